"""What a sweep takes from earlier runs (`memory`): which of them it reads, and what it records.

Earlier runs are read once, before the first trial. What is used of them is written to the ledger,
so a resumed sweep proposes the same when they are gone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from raysweep.clock import now
from raysweep.errors import UserError
from raysweep.history import Event
from raysweep.results.storage import ledger, mirror
from raysweep.results.storage.object_store import is_url
from raysweep.results.storage.run_directory import SWEEP, RunDirectory, fetch_run, runs_below
from raysweep.search_spaces.file.python_form import python_document
from raysweep.search_spaces.file.reader import specification
from raysweep.search_spaces.language.space import Space
from raysweep.trainables.runtime.import_trainable import same_function
from raysweep.tune.searchers.memory.memory import FIRST, Memory
from raysweep.tune.searchers.memory.sources import (
    LEAST_TRIALS,
    Source,
    matched,
    merged,
    source_of,
)
from raysweep.tune.sweep import RememberingSearcher, Study, Sweep

EVENT = "remembered"
"""The event that holds what earlier runs told."""
MOST_RUNS, MOST_SOURCES = 100, 8
"""With `memory: auto`, so many of the newest runs are looked at, and at most so many remembered."""
MOST_BYTES = 16 * 2**20
"""So many bytes of ledgers are read at most; a newer run goes first. That takes about a second."""
MOST_NAMED = 20
"""So many runs that the sweep names are remembered, the first ones."""
SHOWN = 3
"""So many runs are named in one line."""


class RecallError(UserError):
    """A run that cannot be remembered although the sweep names it, in one line."""


@dataclass(frozen=True)
class Recalled:
    """The earlier runs that a sweep remembers, and what is said of them in one line."""

    sources: tuple[Source, ...]
    line: str

    def event(self) -> Event:
        """The event that keeps all of it."""
        kept = [source.plain() for source in self.sources]
        return {"event": EVENT, "time": now(), "sources": kept}


def recall_once(sweep: Sweep, folder: Path, past: Iterable[Event]) -> Recalled | None:
    """What a run begins with; None if it has begun already, as the events of its ledger say."""
    if any(event["event"] in (EVENT, "proposed") for event in past):
        return None
    return recall(sweep, folder)


def recall(sweep: Sweep, folder: Path) -> Recalled | None:
    """What a new sweep remembers, whose run directory is `folder`; None if nothing.

    With `memory: auto` no run that it cannot read keeps a sweep from beginning. Raises RecallError
    if one that the sweep names cannot be remembered.
    """
    if sweep.memory == "none" or not any(map(_can_remember, sweep.searchers.values())):
        return None
    if isinstance(sweep.memory, tuple):
        return _told(sweep, _named(sweep, folder.parent))
    if mirror.origin(folder):
        return None
    found = _newest(sweep, folder)
    return _told(sweep, found) if found else None


def previewed(sweep: Sweep, storage: Path | str) -> Sweep:
    """A sweep with what it would remember if it began now, which its notes say.

    Raises RecallError, as its start would.
    """
    folder = (storage if isinstance(storage, Path) else Path()) / "a new run"
    recalled = recall(sweep, folder)
    if recalled is None or (isinstance(storage, str) and sweep.memory == "auto"):
        return sweep
    memory = Memory(recalled.sources)
    searchers = {
        name: one.remembering(memory) if isinstance(one, RememberingSearcher) else one
        for name, one in sweep.searchers.items()
    }
    return replace(sweep, searchers=searchers, notes=(*sweep.notes, recalled.line))


def remember(studies: Mapping[str, Study], past: Iterable[Event]) -> dict[str, Study]:
    """The studies with what a ledger says that they remember."""
    kept = [event for event in past if event["event"] == EVENT]
    if not kept:
        return dict(studies)
    memory = Memory(tuple(map(Source.read, kept[0]["sources"])))
    return {name: _remembering(study, memory) for name, study in studies.items()}


def _remembering(study: Study, memory: Memory) -> Study:
    if not isinstance(study.searcher, RememberingSearcher):
        return study
    return replace(study, searcher=study.searcher.remembering(memory))


def _can_remember(searcher: object) -> bool:
    return isinstance(searcher, RememberingSearcher)


def _told(sweep: Sweep, sources: Sequence[Source]) -> Recalled:
    """What is remembered, in words."""
    names = [source.run for source in sources]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    line = (
        f"memory: up to {FIRST} of the first configurations come from "
        f"{', '.join(names[:SHOWN])}{more}"
    )
    if others := [name for name, one in sweep.searchers.items() if not _can_remember(one)]:
        return Recalled(tuple(sources), f"{line}; {', '.join(others)} does without")
    return Recalled(tuple(sources), f"{line}; write 'memory: none' to begin without")


def _newest(sweep: Sweep, folder: Path) -> list[Source]:
    """The newest finished runs beside a run that are alike (`_is_alike`)."""
    found: list[Source] = []
    left = MOST_BYTES
    for run in _beside(folder)[:MOST_RUNS]:
        if len(found) == MOST_SOURCES:
            break
        # Nobody asked for these runs, so nothing about them may keep a sweep from beginning: one
        # that is damaged, of another program, or just being deleted tells nothing.
        with contextlib.suppress(Exception):
            size = (run / ledger.NAME).stat().st_size
            if size <= left and _may_match(sweep, run) and _is_alike(sweep, RunDirectory(run)):
                left -= size
                found.append(_source(sweep, run, finished=True))
    return found


def _may_match(sweep: Sweep, run: Path) -> bool:
    """False if the file of a run lacks too many of the names; reading it takes much longer."""
    text = (run / SWEEP).read_text(encoding="utf-8")
    shared = sum(name in text for name in sweep.space.names)
    return sweep.metric.name in text and 2 * shared >= len(sweep.space)


def _is_alike(sweep: Sweep, run: RunDirectory) -> bool:
    """True if a run trained the same function for the same metric and goal.

    It shares at least half of the parameters of the sweep, too.
    """
    if not same_function(str(run.sweep.get("trainable")), sweep.trainable):
        return False
    if (run.metric, run.maximize) != (sweep.metric.name, sweep.metric.goal == "maximize"):
        return False
    return 2 * len(matched(sweep.space, _space(run))) >= len(sweep.space)


def _beside(folder: Path) -> list[Path]:
    """The other runs in the folder of a run, the newest first."""
    times: dict[Path, float] = {}
    for path in folder.parent.glob(f"*/{ledger.NAME}"):
        with contextlib.suppress(OSError):  # it is being deleted
            times[path.parent] = path.stat().st_mtime
    times.pop(folder, None)
    newest = sorted(times, key=lambda run: (run.is_symlink(), -times[run], run.name))
    return [run for run in _once(newest) if run.resolve() != folder.resolve()]


def _once(runs: Iterable[Path]) -> list[Path]:
    """The same runs without those to which another path before them leads, too."""
    found: dict[Path, Path] = {}
    for run in runs:
        found.setdefault(run.resolve(), run)
    return list(found.values())


def _named(sweep: Sweep, storage: Path) -> list[Source]:
    """The runs that a sweep names, and those in the folders that it names."""
    found: list[Source] = []
    for entry in sweep.memory:
        place = _place(entry, storage)
        below = _below(place, is_url(entry))
        if not below:
            found.append(_source(sweep, _at_hand(place)))
            continue
        told = [source for run in below[:MOST_NAMED] if (source := _try(sweep, run)) is not None]
        if not told:
            raise RecallError(f"memory: {entry}: none of its runs can be remembered")
        found += told
    return found[:MOST_NAMED]


def _below(place: str, is_stored: bool) -> Sequence[str | Path]:
    if is_stored:
        return runs_below(place)
    runs = map(Path, runs_below(Path(place)))
    return _once(sorted(runs, key=lambda run: (run.is_symlink(), run.name)))


def _at_hand(run: str | Path) -> Path:
    """The folder of a run; a mirror of it if it is in object storage."""
    return fetch_run(str(run)) if is_url(run) else Path(run)


def _try(sweep: Sweep, run: str | Path) -> Source | None:
    # The sweep names the folder and not this run, which may be damaged or still be running.
    with contextlib.suppress(Exception):
        return _source(sweep, _at_hand(run))
    return None


def _place(entry: str, storage: Path) -> str:
    """Where a run or folder of runs lies: in the current folder, or beside the sweep's own run.

    Raises RecallError if there is none.
    """
    if is_url(entry):
        return entry
    for place in (Path(entry), storage / entry):
        if (place / ledger.NAME).is_file() or (place.is_dir() and runs_below(place)):
            return str(place)
    raise RecallError(f"memory: {entry} is neither a run directory nor a folder of runs")


def _source(sweep: Sweep, run: Path, finished: bool = False) -> Source:
    """What an earlier run tells. Raises UserError with the reason if it tells nothing.

    `finished`: a run that has not come to its end tells nothing.
    """
    directory = RunDirectory(run)
    space = _space(directory)
    kinds = matched(sweep.space, space)
    if not kinds:
        raise RecallError(f"memory: {run} shares no parameter with this sweep")
    if directory.objectives:
        raise RecallError(f"memory: {run} has several metrics, so its trials have no one order")
    if finished and directory.end_reason is None:
        raise RecallError(f"memory: {run} has not ended")
    history = merged(directory.all_trials(), directory.levels)
    source = source_of(directory.name, kinds, space, history)
    if source is None:
        raise RecallError(
            f"memory: {run} has fewer than {LEAST_TRIALS} trials to compare, or all are alike"
        )
    return source


def _space(run: RunDirectory) -> Space:
    """The space of an earlier run, whose train function may be gone."""
    said = {
        "trainable": "earlier.run:train",
        "metric": {"name": "loss", "goal": "minimize"},
        "budget": {"trials": 1, "epochs": 1},
        "space": run.sweep.get("space", {}),
        "constraints": run.sweep.get("constraints", []),
    }
    return specification(python_document(said), run.path / SWEEP, recorded=True).space
