"""A run folder, read back: `run = load("ray_results/cnn")`, then `run.trials`, `run.curves`, `run.best`.

Everything comes from the ledger and `sweep.yaml`; the other files of the folder are written for other programs. A run that goes on may be
loaded as well: what is there is what had happened by then.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.errors import UserError
from raysweep.history import Config, Event, History, Report, Trial, apply
from raysweep.results.storage import ledger, mirror, tables
from raysweep.results.storage.object_store import ObjectStore, is_url

if TYPE_CHECKING:
    import pandas as pd


STATE = b"_state_dict"
"""In the names of what a checkpoint holds of a model, an optimizer and the like."""
KINDS = frozenset({"float", "int", "ordinal", "choice", "expr"})
"""What declares a parameter in a file's `space`, as opposed to a constant."""


class RunError(UserError):
    """A run folder that cannot be read, or that lacks what was asked for, in one line."""


@dataclass(frozen=True)
class Best:
    """The best epoch of a trial: the objective there, and the checkpoint of that epoch (None where none was kept)."""

    trial: Trial
    report: Report
    value: float
    checkpoint: Path | None

    @property
    def config(self) -> Config:
        return self.trial.config

    @property
    def has_state(self) -> bool:
        """Whether the checkpoint holds the state of anything that the train function named in `run.epochs(...)`."""
        if self.checkpoint is None:
            return False
        try:
            with zipfile.ZipFile(self.checkpoint) as file:
                pickles = [name for name in file.namelist() if name.endswith("/data.pkl")]
                return any(STATE in file.read(name) for name in pickles)
        except (OSError, zipfile.BadZipFile):
            return True  # whoever loads it says what is wrong

    @property
    def epoch(self) -> int:
        return self.report.epoch


class RunDirectory:
    """What a run folder tells. Read when first asked for, then kept: load again to see what has happened since."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"load({str(self.path)!r})"

    @cached_property
    def sweep(self) -> dict[str, Any]:
        """The resolved specification, as plain data."""
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError

        try:
            content = YAML(typ="safe", pure=True).load(self.path / "sweep.yaml")
        except (OSError, YAMLError) as error:
            raise RunError(
                f"{self.path / 'sweep.yaml'} cannot be read: {str(error).splitlines()[0]}"
            ) from None
        if not isinstance(content, dict) or not isinstance(content.get("metric"), dict):
            raise RunError(
                f"{self.path / 'sweep.yaml'} is not a resolved sweep: it names no metric"
            )
        return content

    @cached_property
    def environment(self) -> dict[str, Any]:
        """Versions, commit and hardware; {} where they were not recorded."""
        try:
            content: dict[str, Any] = json.loads(
                (self.path / "environment.json").read_text(encoding="utf-8")
            )
        except (OSError, ValueError):
            return {}
        return content

    @cached_property
    def events(self) -> list[Event]:
        """The ledger, in the order of what happened."""
        return ledger.read(self.path)

    @cached_property
    def levels(self) -> tuple[int, ...]:
        """The epochs at which the scheduler compared trials, as the session that opened the ledger wrote them; else ()."""
        opened = [
            event["levels"]
            for event in self.events
            if event["event"] == "opened" and "levels" in event
        ]
        return tuple(opened[-1]) if opened else ()

    @cached_property
    def histories(self) -> dict[str, History]:
        """The history of each study, in the order in which studies first proposed."""
        names = dict.fromkeys(
            event["study"] for event in self.events if event["event"] == "proposed"
        )
        histories = {name: History(self.levels) for name in names}
        for event in self.events:
            apply(event, histories)
        return histories

    @cached_property
    def exhausted(self) -> set[str]:
        """The studies whose searcher had nothing more to try."""
        return {event["study"] for event in self.events if event["event"] == "exhausted"}

    @property
    def constants(self) -> tuple[str, ...]:
        """The names in `space` that have the same value in every trial, because no parameter is declared there."""
        return tuple(
            name
            for name, said in self.sweep.get("space", {}).items()
            if not (isinstance(said, Mapping) and KINDS & said.keys())
        )

    @property
    def metric(self) -> str:
        return str(self.sweep["metric"]["name"])

    @property
    def maximize(self) -> bool:
        return bool(self.sweep["metric"].get("goal") == "maximize")

    @property
    def seed(self) -> int:
        return int(self.sweep.get("seed") or 0)

    @property
    def seeds(self) -> int:
        """How many search seeds each searcher has."""
        return int(self.sweep.get("seeds") or 1)

    @property
    def searchers(self) -> list[str]:
        """The searchers that have proposed something."""
        return list(
            dict.fromkeys(tables.split_study(study, self.seeds)[0] for study in self.histories)
        )

    @cached_property
    def rows(self) -> list[tables.Row]:
        """The table of trials as plain dicts."""
        return tables.trial_rows(self.histories, self.metric, self.seed, self.seeds)

    @cached_property
    def trials(self) -> pd.DataFrame:
        """A row a trial: trial, searcher, seed, status, reason, best_<metric>, best_epoch, last_<metric>, ..., config/<name>."""
        return tables.frame(self.rows)

    @cached_property
    def curves(self) -> pd.DataFrame:
        """The long form, a row a report: trial, searcher, epoch, seconds, time, and every metric."""
        return tables.frame(tables.curve_rows(self.histories, self.seeds))

    @cached_property
    def best(self) -> Best:
        """The best epoch of all studies (the earlier trial where two are equal). RunError where no trial has a finite value."""
        found = best_of(self.histories)
        if found is None:
            raise RunError(f"{self.path}: no trial has reported a finite {self.metric} yet")
        return self.best_epoch(*found)

    def trial(self, trial_id: str) -> Trial:
        """A trial by its name, as `bohb-7`. RunError, naming near ones, where there is none."""
        trials = {trial.id: trial for history in self.histories.values() for trial in history}
        if trial_id in trials:
            return trials[trial_id]
        import difflib

        near = difflib.get_close_matches(trial_id, trials, n=3) or list(trials)[:3]
        raise RunError(
            f"{self.path} has no trial '{trial_id}'"
            + (f"; did you mean {' or '.join(near)}?" if near else ": it has none yet")
        )

    def best_epoch(self, trial: Trial, report: Report) -> Best:
        checkpoint = mirror.checkpoint(self.path, trial.id, "best.pt")
        return Best(
            trial, report, report.metrics[self.metric], checkpoint if checkpoint.exists() else None
        )


def best_of(histories: Mapping[str, History]) -> tuple[Trial, Report] | None:
    """The trial and the report with the least loss over all studies; None before the first finite one."""
    found = [history.best for history in histories.values() if history.best]
    return min(found, key=lambda one: (one[1].loss, one[0].number)) if found else None


def runs_below(place: Path | str) -> list[str | Path]:
    """The runs directly in a folder or under a URL; [] where it is itself a run. RunError where the store cannot be read."""
    if isinstance(place, Path):
        inside = sorted(path.parent for path in place.glob(f"*/{ledger.NAME}"))
        return [] if (place / ledger.NAME).exists() else [*inside]
    bucket = ObjectStore(place)
    try:
        return [] if mirror.is_run(bucket) else [one.url for one in mirror.runs(bucket)]
    except OSError as error:
        raise RunError(f"{place} cannot be read: {str(error).splitlines()[0]}") from None


def fetched(url: str) -> Path:
    """A working copy of a run in object storage. RunError where there is none."""
    bucket = ObjectStore(url)
    try:
        if mirror.is_run(bucket):
            return mirror.fetch(bucket)
        there = ", ".join(one.url for one in mirror.runs(bucket)[:8])
    except OSError as error:
        raise RunError(f"{url} cannot be read: {str(error).splitlines()[0]}") from None
    raise RunError(f"{url} is not a run" + (f"; there are: {there}" if there else ""))


def load(path: str | Path) -> RunDirectory:
    """A run folder by its path. RunError where there is none, naming the runs beside it."""
    folder = fetched(str(path)) if is_url(path) else Path(path)
    if (folder / ledger.NAME).is_file() and (folder / "sweep.yaml").is_file():
        return RunDirectory(folder)
    around = folder if folder.is_dir() else folder.parent
    runs = sorted(str(one.parent) for one in around.glob(f"*/{ledger.NAME}"))
    raise RunError(
        f"{folder} is not a run folder" + (f"; there are: {', '.join(runs[:8])}" if runs else "")
    )
