"""What a sweep with several metrics may say: the parts that can do with them, and the others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from raysweep.objectives import TRACKED_COLUMNS
from raysweep.search_spaces.file.document import Path
from raysweep.search_spaces.file.reader import Specification

SAMPLER = "{name: optuna, sampler: TPESampler}"
"""A searcher for several metrics, which who names `tpe` may want."""


class Chosen(Protocol):
    """A searcher or a scheduler that a file names."""

    @property
    def label(self) -> str: ...

    @property
    def component(self) -> Any: ...


def check_metrics(said: Specification, searchers: Iterable[Chosen], scheduler: Chosen) -> None:
    """Raise SpecificationError for a part that knows one metric only, if the sweep has several.

    A searcher or scheduler says that it can do with several by an attribute `several_metrics`.
    """
    if said.content.metrics is None:
        return
    for searcher in searchers:
        if not _several(searcher):
            raise _error(
                said,
                ("searcher",),
                f"searcher {searcher.label} proposes for one metric, and metrics has several; "
                f"use auto, bohb, random, grid, or {SAMPLER}",
            )
    if not _several(scheduler):
        raise _error(
            said,
            ("scheduler",),
            f"scheduler {scheduler.label} judges by one metric, and metrics has several; "
            "use asha or none",
        )
    _check_keys(said)


def check_tracked(said: Specification) -> None:
    """Raise SpecificationError for a metric that would hide what W&B keeps of a trial's end."""
    content = said.content
    names = [content.metric.name, *(entry.name for entry in content.metrics or ())]
    for name in names:
        if "wandb" in content.track and name in TRACKED_COLUMNS:
            text = f"track: wandb keeps each trial's {name}, which the metric {name} would hide"
            raise _error(said, ("track",), text)


def _several(chosen: Chosen) -> bool:
    return bool(getattr(chosen.component, "several_metrics", False))


def _check_keys(said: Specification) -> None:
    """Refuse what is told of a sweep by one number alone."""
    content = said.content
    if content.plateau is not None:
        raise _error(said, ("plateau",), "plateau: compares trials by one metric; leave it out")
    if content.budget.worth is not None:
        raise _error(said, ("budget", "worth"), "budget.worth: is of one metric; leave it out")
    if content.confirm is not None and content.confirm.race:
        text = "confirm.race: compares by one metric; leave it out"
        raise _error(said, ("confirm", "race"), text)
    if content.seeds_per_trial is not None:
        text = "seeds_per_trial: compares by one metric; leave it out"
        raise _error(said, ("seeds_per_trial",), text)
    if content.checkpoints.keep != "all":
        text = "checkpoints.keep: the front is known at the end only, so all are kept"
        raise _error(said, ("checkpoints", "keep"), text)


def _error(said: Specification, path: Path, text: str) -> Exception:
    return said.document.error(path, text)
