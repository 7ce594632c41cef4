"""Advice on a specification, for `--dry-run`: what is allowed but seldom meant. Never an error."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raysweep.search_spaces.language.params import Choice, Float, RangeOrValues
from raysweep.search_spaces.language.space import Space
from raysweep.tune.sweep import Sweep

DECADES = 3
"""A range that spans more orders of magnitude is seldom meant to be even."""
MANY_EPOCHS = 50
"""From so many epochs on, one epoch tells little."""
SPARE = 8
"""A model that would fit so often is alone on its device by oversight."""
TAIL = 1_000_000
"""Bytes of a ledger that are looked at."""


def advise(sweep: Sweep, cells: int, storage: Path = Path("ray_results")) -> list[str]:
    """One line each. `cells`: the size of the grid. `storage`: where earlier runs lie, which know how much memory a trial took."""
    return [
        *_space(sweep.space),
        *_grid(sweep, cells),
        *_grace(sweep),
        *_promoted_script(sweep),
        *_gpu(sweep, storage),
    ]


def _space(space: Space) -> Iterator[str]:
    for name, param in space.params.items():
        inner = param.range if isinstance(param, RangeOrValues) else param
        if (
            isinstance(inner, Float)
            and not inner.log
            and inner.low > 0
            and inner.high / inner.low >= 10**DECADES
        ):
            decades = math.log10(inner.high / inner.low)
            yield f"{name} spans {decades:.0f} decades evenly, so 9 of 10 draws lie in the last; log: true draws from all alike"
        if (
            isinstance(inner, Choice)
            and len(inner.values) > 2
            and all(_is_number(value) for value in inner.values)
        ):
            values = ", ".join(str(value) for value in inner.values)
            yield f"{name} is a choice of numbers; {{ordinal: [{values}]}} tells the searchers that they have an order"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _grid(sweep: Sweep, cells: int) -> Iterator[str]:
    trials = sweep.budget.trials
    if "grid" in sweep.searchers and cells == 0:
        yield "no cell of the grid satisfies the constraints, so grid has nothing to try; points: 9 beside a parameter makes more cells"
    if "grid" in sweep.searchers and trials is not None and cells > trials:
        yield f"the grid has {cells:,} cells and the budget {trials:,} trials, so {trials:,} of them will run, drawn by the seed"


def _promoted_script(sweep: Sweep) -> Iterator[str]:
    if sweep.trainable.endswith(".py") and sweep.scheduler.promotes:
        yield (
            "a promoted script is started again, and trains its first epochs again unless it goes "
            "on from files that it keeps in RAYSWEEP_FOLDER; type: stopping promotes none"
        )


def _grace(sweep: Sweep) -> Iterator[str]:
    epochs = sweep.budget.epochs
    if (
        getattr(sweep.scheduler, "grace", None) == 1
        and epochs >= MANY_EPOCHS
        and not sweep.scheduler.promotes
    ):
        later = max(2, epochs // 27)
        yield f"grace: 1 stops trials after the first of {epochs} epochs; grace: {later} waits until they can be told apart"


def _gpu(sweep: Sweep, storage: Path) -> Iterator[str]:
    """A whole device for a model that an earlier run of the same train function showed to be small."""
    if sweep.resources.gpu != 1:
        return
    for run in sorted(
        storage.glob("*/ledger.jsonl"), key=lambda path: path.stat().st_mtime, reverse=True
    ):
        found = _memory(run.parent, sweep.trainable)
        if found is not None:
            peak, device = found
            if peak * SPARE <= device:
                yield (
                    f"gpu: 1, but in {run.parent.name} a trial took at most {peak / 2**30:.1f} of {device / 2**30:.0f} GiB; "
                    f"gpu: {1 / SPARE:g} trains {SPARE} at once"
                )
            return


def _memory(run: Path, trainable: str) -> tuple[int, int] | None:
    """The most bytes that a trial of a run held on its device, and the bytes that there are; None where the run does not say."""
    try:
        if f"trainable: {trainable}\n" not in (run / "sweep.yaml").read_text(encoding="utf-8"):
            return None
        gpus = json.loads((run / "environment.json").read_text(encoding="utf-8"))["hardware"][
            "gpus"
        ]
        with open(run / "ledger.jsonl", "rb") as file:
            file.seek(max(0, file.seek(0, 2) - TAIL))
            tail = file.read().decode("utf-8", errors="replace")
    except (OSError, ValueError, KeyError, TypeError):
        return None
    peaks = [
        int(one)
        for line in tail.splitlines()
        if '"cuda' in line
        for one in re.findall(r'"peak_memory":(\d+)', line)
    ]
    sizes = [int(one) * 2**20 for text in _texts(gpus) for one in re.findall(r"(\d+) MiB", text)]
    return (max(peaks), min(sizes)) if peaks and sizes else None


def _texts(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
