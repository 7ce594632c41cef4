"""Advice on a specification, for `--dry-run`: what is allowed but seldom meant. It is no error."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raysweep.search_spaces.file.likely_ranges import NUMBER
from raysweep.search_spaces.language.params import Choice, Float, RangeOrValues
from raysweep.search_spaces.language.space import Space
from raysweep.tune.sweep import Sweep

DECADES = 3
"""Orders of magnitude from which on an even range is seldom meant to be even."""
MANY_EPOCHS = 50
"""Epochs of a trial from which on its first epoch tells little."""
SPARE = 8
"""A model that fits this many times on a device is alone there by oversight."""
TAIL_BYTES = 1_000_000
"""The end of a ledger that is searched for what a trial held."""


def advise(sweep: Sweep, cells: int | None, storage: Path = Path("ray_results")) -> list[str]:
    """The advice, a line each.

    `cells`: the size of the grid; None if no searcher tries one. `storage`: the folder of earlier
    runs, whose ledgers say how much memory a trial took.
    """
    return [
        *_space(sweep.space),
        *_texts(sweep.space),
        *(_grid(sweep, cells) if cells is not None else ()),
        *_grace(sweep),
        *_promoted_script(sweep),
        *_gpu(sweep, storage),
    ]


def _space(space: Space) -> Iterator[str]:
    for name, param in space.params.items():
        if isinstance(param, RangeOrValues):
            param = param.range
        if isinstance(param, Float) and _decades(param) >= DECADES and not param.log:
            yield (
                f"{name} spans {_decades(param):.0f} decades evenly, so 9 of 10 draws lie in the "
                "last; log: true draws from all alike"
            )
        if (
            isinstance(param, Choice)
            and len(param.values) > 2
            and all(map(_is_number, param.values))
        ):
            values = ", ".join(str(value) for value in param.values)
            yield (
                f"{name} is a choice of numbers; {{ordinal: [{values}]}} tells the searchers "
                "that they have an order"
            )


def _texts(space: Space) -> Iterator[str]:
    """Constants that are texts, although they look like numbers."""
    for name, value in space.constants.items():
        parts = value.split(",") if isinstance(value, str) else [""]
        if not all(NUMBER.fullmatch(part.strip()) for part in parts):
            continue
        if len(parts) == 1:
            yield f"{name} is the text '{value}'; without quotes it is a number"
        else:
            yield f"{name} is one text, '{value}'; {{ordinal: [{value}]}} tries each number of it"


def _decades(param: Float) -> float:
    """The orders of magnitude that a range spans; 0 if it does not lie above zero."""
    return math.log10(param.high / param.low) if param.low > 0 else 0.0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _grid(sweep: Sweep, cells: int) -> Iterator[str]:
    trials = sweep.budget.trials
    if cells == 0:
        yield (
            "no cell of the grid satisfies the constraints, so grid has nothing to try; "
            "points: 9 beside a parameter makes more cells"
        )
    if trials is not None and cells > trials:
        yield (
            f"the grid has {cells:,} cells and the budget {trials:,} trials, "
            f"so {trials:,} of them will run, drawn by the seed"
        )


def _promoted_script(sweep: Sweep) -> Iterator[str]:
    line = sweep.command_line
    if line is not None and line.resume is None and sweep.scheduler.promotes:
        yield (
            "a promoted script is started again, and trains its first epochs again unless "
            "script.resume says how it continues; type: stopping promotes none"
        )


def _grace(sweep: Sweep) -> Iterator[str]:
    epochs, scheduler = sweep.budget.epochs, sweep.scheduler
    stops_at_once = getattr(scheduler, "grace", None) == 1 and not scheduler.promotes
    if stops_at_once and epochs >= MANY_EPOCHS:
        later = max(2, epochs // 27)
        counted = "epochs" if sweep.budget.interval.is_epoch else "reports"
        yield (
            f"grace: 1 stops trials after the first of {epochs} {counted}; "
            f"grace: {later} waits until they can be told apart"
        )


def _gpu(sweep: Sweep, storage: Path) -> Iterator[str]:
    """A whole device for a model that was small in an earlier run of the same train function."""
    if sweep.resources.gpu != 1:
        return
    ledgers = storage.glob("*/ledger.jsonl")
    for ledger in sorted(ledgers, key=lambda path: path.stat().st_mtime, reverse=True):
        found = _memory(ledger.parent, sweep.trainable)
        if found is None:
            continue
        peak, device = found
        if peak * SPARE <= device:
            yield (
                f"gpu: 1, but in {ledger.parent.name} a trial took at most {peak / 2**30:.1f} of "
                f"{device / 2**30:.0f} GiB; gpu: {1 / SPARE:g} trains {SPARE} at once"
            )
        return


def _memory(run: Path, trainable: str) -> tuple[int, int] | None:
    """The most bytes that a trial of a run held on its device, and the bytes that the device has.

    None if the run does not say.
    """
    try:
        if f"trainable: {trainable}\n" not in (run / "sweep.yaml").read_text(encoding="utf-8"):
            return None
        environment = json.loads((run / "environment.json").read_text(encoding="utf-8"))
        gpus = environment["hardware"]["gpus"]
        with open(run / "ledger.jsonl", "rb") as file:
            file.seek(max(0, file.seek(0, 2) - TAIL_BYTES))
            tail = file.read().decode("utf-8", errors="replace")
    except (OSError, ValueError, KeyError, TypeError):
        return None
    on_gpu = "\n".join(line for line in tail.splitlines() if '"cuda' in line)
    peaks = [int(size) for size in re.findall(r'"peak_memory":(\d+)', on_gpu)]
    sizes = [int(size) * 2**20 for size in re.findall(r"(\d+) MiB", _text(gpus))]
    return (max(peaks), min(sizes)) if peaks and sizes else None


def _text(value: Any) -> str:
    """The texts of a list, a line each; "" for anything else that a file may hold."""
    if not isinstance(value, list):
        return ""
    return "\n".join(text for text in value if isinstance(text, str))
