"""A run directory, read back: its sweep, its ledger, and the histories and tables made of them.

Everything comes from `ledger.jsonl` and `sweep.yaml`; the other files are written for other
programs. The directory of a running sweep may be read as well: it shows what had happened by then.
"""

from __future__ import annotations

import difflib
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from raysweep.errors import UserError, first_line
from raysweep.final_reasons import final_reasons
from raysweep.history import APPLIED, Config, Event, History, Report, Trial, apply
from raysweep.objectives import Objectives
from raysweep.repeats import mean_of, with_model
from raysweep.report_interval import ReportInterval
from raysweep.results.storage import ledger, mirror, tables
from raysweep.results.storage.front import front_of, in_words, knee_of, why_none, with_front
from raysweep.results.storage.object_store import ObjectStore, is_url
from raysweep.results.storage.old_versions import translate_sweep
from raysweep.shown_status import pauses
from raysweep.steering import STOPPED_BY_HAND, Steering, steering

if TYPE_CHECKING:
    import pandas as pd

State = Literal["running", "finished", "interrupted"]
Found = TypeVar("Found")
SWEEP = "sweep.yaml"
"""The file of a run directory that says what the sweep is."""

MAX_NAMED_RUNS = 8
"""How many runs an error message lists."""
PARAM_KINDS = frozenset({"float", "int", "ordinal", "choice", "expr"})
"""Keys that declare a parameter in a file's `space`. An entry without them is a constant."""
STATE_DICT = b"_state_dict"
"""Part of the name of each state dict in a checkpoint: of the model, the optimizer and so on."""


class RunError(UserError):
    """A run directory that cannot be read, or that lacks what was asked for."""


@dataclass(frozen=True)
class BestEpoch:
    """The epoch in which a trial had its best metric.

    value: the metric there. checkpoint: the file of that epoch, or None if none was kept.
    """

    trial: Trial
    report: Report
    value: float
    checkpoint: Path | None

    @property
    def config(self) -> Config:
        return self.trial.config

    @property
    def epoch(self) -> int:
        return self.report.epoch

    @property
    def has_state(self) -> bool:
        """True if there is a checkpoint and it holds a state; see `holds_state`."""
        return self.checkpoint is not None and holds_state(self.checkpoint)


def holds_state(checkpoint: Path) -> bool:
    """True if a checkpoint holds the state of a model, an optimizer or the like.

    It does if the train function named them in `run.epochs(...)`. A file that is damaged counts as
    well: whatever loads it reports the damage.
    """
    try:
        with zipfile.ZipFile(checkpoint) as file:
            # A checkpoint is a zip archive whose pickle names the keys. Searching its bytes takes
            # no torch, and no time for the tensors.
            pickles = [name for name in file.namelist() if name.endswith("/data.pkl")]
            return any(STATE_DICT in file.read(name) for name in pickles)
    except (OSError, zipfile.BadZipFile):
        return True


def why_interrupted(events: Sequence[Event]) -> str | None:
    """Why the last session of a ledger was interrupted, if it was and that is known.

    A session that a person stops at once (`stop --now`) has no time to record its end.
    """
    for event in reversed(events):
        if event["event"] == "closed":
            return str(event.get("reason")) if event.get("interrupted") else None
        if _ends_session(event):
            return STOPPED_BY_HAND
        if event["event"] == "opened":
            return None
    return None


def _ends_session(event: Event) -> bool:
    """True for a command that stops the session, and not a trial."""
    is_stop = event["event"] == "command" and event["command"] == "stop"
    return is_stop and event["outcome"] == APPLIED and "trial" not in event["arguments"]


class RunDirectory:
    """What a run directory holds. Each part is read when it is first used, and then kept.

    in_order: its trials are listed in the order in which they were proposed, rather than study by
    study, so that the place of a trial in a table stays the same while the sweep runs.
    """

    def __init__(self, path: Path, in_order: bool = False) -> None:
        self.path = path
        self._in_order = in_order

    @classmethod
    def followed(cls, path: Path, **parts: Any) -> RunDirectory:
        """One whose parts are known already, by name, to a program that follows its ledger."""
        run = cls(path, in_order=True)
        vars(run).update(parts)  # where a cached property looks first
        return run

    def __repr__(self) -> str:
        return f"RunDirectory({str(self.path)!r})"

    @property
    def name(self) -> str:
        """The name of the directory, which is the name of the run."""
        return self.path.resolve().name

    @cached_property
    def sweep(self) -> dict[str, Any]:
        """The resolved specification, as plain data."""
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError

        path = self.path / SWEEP
        try:
            content = YAML(typ="safe", pure=True).load(path)
        except OSError as error:
            raise RunError(f"{path} cannot be read: {error.strerror or error}") from None
        except YAMLError as error:
            raise RunError(f"{path} cannot be read: {first_line(error)}") from None
        if not isinstance(content, dict) or not _names_metric(content):
            raise RunError(f"{path} is not a resolved sweep: it names no metric")
        translated: dict[str, Any] = translate_sweep(content)
        return translated

    @cached_property
    def environment(self) -> dict[str, Any]:
        """Versions, commit and hardware; {} if they were not recorded."""
        path = self.path / "environment.json"
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}  # it says where the run was made; nothing else depends on it
        return content

    @cached_property
    def events(self) -> list[Event]:
        """The events of the ledger, in the order in which they happened."""
        return ledger.read(self.path)

    @property
    def began(self) -> float | None:
        """When the first event happened, in Unix seconds; None if there is none yet."""
        return next((event["time"] for event in self.events), None)

    @property
    def last_event(self) -> float | None:
        """When the last event happened, in Unix seconds; None if there is none yet."""
        return next((event["time"] for event in reversed(self.events)), None)

    @property
    def end_reason(self) -> str | None:
        """Why the sweep ended (`done` or a limit); None if it has not ended."""
        sessions = [event for event in self.events if event["event"] in ("opened", "closed")]
        if not sessions or sessions[-1]["event"] == "opened" or sessions[-1].get("interrupted"):
            return None
        return str(sessions[-1].get("reason"))

    @property
    def interrupted_by(self) -> str | None:
        """Why the last session was interrupted, if it was and that is known."""
        return why_interrupted(self.events)

    @property
    def state(self) -> State:
        """`running` while a process writes to the ledger, else `finished` or `interrupted`."""
        if mirror.is_locked(self.path):
            return "running"
        if self.end_reason is None:
            return "interrupted"
        return "finished"

    @cached_property
    def may_promote(self) -> bool:
        """True if the sweep has not ended and its scheduler may promote a trial that it stopped."""
        return self.end_reason is None and self._promotes

    @cached_property
    def final_reasons(self) -> dict[str, str]:
        """Why trials that paused or waited to the end of the sweep do not continue, by name.

        {} before the end.
        """
        if self.end_reason is None:
            return {}
        histories = self.histories.values()
        return final_reasons(histories, self.interval, self.end_reason, self._promotes)

    @property
    def _promotes(self) -> bool:
        """True if the scheduler promotes trials that it stopped."""
        opened = (event for event in reversed(self.events) if event["event"] == "opened")
        said = next(opened, {}).get("promotes")
        if said is None:  # an earlier version did not record it
            said = pauses(self.sweep)
        return bool(said)

    @cached_property
    def levels(self) -> tuple[int, ...]:
        """The epochs of the scheduler's rungs; () if no session has recorded them.

        They change when a person's command lets every trial train longer.
        """
        levels: Sequence[int] = ()
        for event in self.events:
            if event["event"] == "opened" or event.get("outcome") == APPLIED:
                levels = event.get("levels", levels)
        return tuple(levels)

    @cached_property
    def histories(self) -> dict[str, History]:
        """The history of each study, in the order in which the studies first proposed a trial."""
        names = dict.fromkeys(
            event["study"] for event in self.events if event["event"] == "proposed"
        )
        histories = {name: History(self.levels) for name in names}
        for event in self.events:
            apply(event, histories)
        return histories

    @cached_property
    def steering(self) -> Steering:
        """What people's commands have changed: tags, notes, the budget and so on."""
        return steering(self.events)

    def all_trials(self) -> Iterator[Trial]:
        """The trials of all studies: study by study, in the order in which they were proposed."""
        if self._in_order:
            for event in self.events:
                if event["event"] == "proposed":
                    yield self.histories[event["study"]][event["number"]]
            return
        for history in self.histories.values():
            yield from history

    @cached_property
    def exhausted(self) -> set[str]:
        """The studies whose searcher had no further configuration to propose."""
        return {event["study"] for event in self.events if event["event"] == "exhausted"}

    @property
    def constants(self) -> tuple[str, ...]:
        """The names in `space` that are no parameters: every trial has the same value there."""
        return tuple(
            name
            for name, entry in self.sweep.get("space", {}).items()
            if not (isinstance(entry, Mapping) and PARAM_KINDS & entry.keys())
        )

    @property
    def metric(self) -> str:
        """The name of the metric that the sweep optimizes; the first one of several."""
        if self.objectives:
            return self.objectives.objectives[0].name
        return str(self.sweep["metric"]["name"])

    @cached_property
    def objectives(self) -> Objectives | None:
        """The objectives and limits of a sweep with several metrics; None with one."""
        return Objectives.of(self.sweep)

    @property
    def interval(self) -> ReportInterval:
        """What lies between two reports of a trial, and in which unit."""
        return ReportInterval.of(self.sweep.get("budget") or {})

    @property
    def maximize(self) -> bool:
        """True if larger values of the metric are better."""
        if self.objectives:
            return self.objectives.objectives[0].maximize
        return bool(self.sweep["metric"].get("goal") == "maximize")

    @property
    def seed(self) -> int:
        """The first search seed."""
        return int(self.sweep.get("seed") or 0)

    @property
    def seeds(self) -> int:
        """The number of search seeds of each searcher."""
        return int(self.sweep.get("seeds") or 1)

    @property
    def searchers(self) -> list[str]:
        """The searchers that have proposed a trial."""
        # A searcher with several seeds has several studies, and is named once.
        names = (tables.split_study(study, self.seeds)[0] for study in self.histories)
        return list(dict.fromkeys(names))

    @cached_property
    def rows(self) -> list[tables.Row]:
        """The table of trials as plain dictionaries."""
        trials = list(self.all_trials())
        rows = [
            tables.trial_row(
                trial, self.metric, self.seed, self.seeds, self.may_promote, self.interval
            )
            | {"reason": self.reason_of(trial)}
            for trial in trials
        ]
        return with_front(rows, trials, self.objectives) if self.objectives else rows

    @cached_property
    def trials(self) -> pd.DataFrame:
        """The table of trials as a data frame."""
        return tables.frame(self.rows)

    @cached_property
    def curves(self) -> pd.DataFrame:
        """The reports of all trials as a data frame in long form."""
        return tables.frame(tables.curve_rows(self.histories, self.seeds, self.interval))

    @cached_property
    def best(self) -> BestEpoch:
        """The best epoch of all studies; of two equal ones, that of the earlier trial.

        Of several metrics it is the best in the first one that keeps all limits. Raises RunError if
        no trial has reported a finite value.
        """
        found = best_of(self.histories)
        if found is None:
            raise RunError(f"{self.path}: {self.why_no_best}")
        return self.best_epoch(*found)

    @property
    def why_no_best(self) -> str:
        """Why there is no best epoch, of a run that has none."""
        if self.objectives:
            return why_none(self.all_trials(), self.objectives)
        return f"no trial has reported a finite {self.metric} yet"

    @cached_property
    def front(self) -> list[Trial]:
        """The trials that no other beats in all objectives, the best in the first one first."""
        return front_of(self.all_trials())

    @property
    def knee(self) -> Trial | None:
        """The trial of the front that is nearest to the best of all objectives; None without."""
        return knee_of(self.front)

    @property
    def chosen(self) -> tuple[Trial, Report] | None:
        """The trial that stands for the run in one line: the knee of several objectives.

        With one objective it is the best. None before the first that keeps all limits.
        """
        knee = self.knee if self.has_front else None
        return (knee, knee.best) if knee and knee.best else best_of(self.histories)

    @property
    def objective_names(self) -> tuple[str, ...]:
        """The metrics that the sweep optimizes, without those that only have a limit."""
        if self.objectives is None:
            return (self.metric,)
        return tuple(objective.name for objective in self.objectives.objectives)

    @property
    def has_front(self) -> bool:
        """True if the sweep has several objectives."""
        return self.objectives is not None and self.objectives.has_front

    @property
    def front_line(self) -> str:
        """The front in a line, with the values of its knee; "" without a front."""
        if not self.has_front or self.objectives is None or self.knee is None:
            return ""
        return in_words(self.front, self.knee, self.objectives)

    @property
    def is_infeasible(self) -> bool:
        """True if trials have reported all objectives, and none has kept the limits."""
        return self.limits_kept is False

    @property
    def limits_kept(self) -> bool | None:
        """True if a trial keeps all limits; None without limits, and if that is not known yet."""
        if not self.has_limits:
            return None
        if best_of(self.histories) is not None:
            return True
        reports = (report for trial in self.all_trials() for report in trial.reports)
        return False if any(report.is_finite for report in reports) else None

    @property
    def has_limits(self) -> bool:
        """True if metrics of the sweep must keep limits."""
        return self.objectives is not None and bool(self.objectives.limits)

    def trial(self, trial_id: str) -> Trial:
        """The trial of this name, as `bohb-7`. Raises RunError, with similar names, if none is."""
        trials = {trial.id: trial for trial in self.all_trials()}
        if trial_id in trials:
            return trials[trial_id]
        if not trials:
            raise RunError(f"{self.path} has no trial '{trial_id}': it has no trials yet")
        similar = difflib.get_close_matches(trial_id, trials, n=3) or list(trials)[:3]
        hint = f"did you mean {' or '.join(similar)}?"
        raise RunError(f"{self.path} has no trial '{trial_id}'; {hint}")

    def reason_of(self, trial: Trial) -> str:
        """Why a trial has its status."""
        return self.final_reasons.get(trial.id, trial.reason)

    def best_epoch(self, trial: Trial, report: Report) -> BestEpoch:
        """A trial's best epoch, with its checkpoint, which may be downloaded for this."""
        checkpoint: Path | None = mirror.fetch_checkpoint(self.path, trial.id, "best.pt")
        if checkpoint and not checkpoint.exists():
            checkpoint = None
        return BestEpoch(trial, report, report.metrics[self.metric], checkpoint)

    def with_checkpoint(self, found: BestEpoch, download: bool = True) -> BestEpoch:
        """The epoch whose model stands for a configuration, of which `found` is an epoch.

        It is another seed's if the checkpoint of this one was deleted (`checkpoints.keep`).
        download: of a run in object storage, which is not searched without it.
        """
        if not download and mirror.origin(self.path) is not None:
            return found
        history = self.histories[found.trial.study]
        if found.checkpoint is not None or found.trial.number not in history.repeats:
            return found
        for trial in with_model(history, found.trial)[1:]:
            other = self.best_epoch(trial, trial.best) if trial.best else found
            if other.checkpoint is not None:
                return other
        return found


def _names_metric(content: Mapping[str, Any]) -> bool:
    """True if a resolved specification says what is optimized."""
    return isinstance(content.get("metric"), dict) or isinstance(content.get("metrics"), list)


def best_of(histories: Mapping[str, History]) -> tuple[Trial, Report] | None:
    """The trial and the report with the least loss; None before the first finite loss.

    A configuration that was trained with several seeds counts by its mean over them.
    """
    found = [(history.best, history) for history in histories.values() if history.best]
    if len(found) < 2:
        return found[0][0] if found else None
    losses = [mean_of(history, *best) for best, history in found]
    # Of equal losses the trial with the smaller number, so that the answer is always the same.
    order = [(loss, best[0].number) for loss, (best, _) in zip(losses, found, strict=True)]
    return found[order.index(min(order))][0]


def runs_below(place: Path | str) -> list[str | Path]:
    """The runs directly in a folder or under a URL; [] if it is a run itself.

    Raises RunError if the store cannot be read.
    """
    if isinstance(place, Path):
        if (place / ledger.NAME).exists():
            return []
        return sorted(path.parent for path in place.glob(f"*/{ledger.NAME}"))
    store = ObjectStore(place)
    try:
        if mirror.is_run(store):
            return []
        return [run.url for run in mirror.list_runs(store)]
    except OSError as error:
        raise RunError(f"{place} cannot be read: {str(error).splitlines()[0]}") from None


@dataclass(frozen=True)
class DamagedRun:
    """A run in a list of runs that cannot be read. place: its path or URL. problem: in one line."""

    place: str
    problem: str

    @property
    def name(self) -> str:
        return self.place.partition("?")[0].rstrip("/").rpartition("/")[2]


def read_each(
    places: Iterable[Path | str], read: Callable[[RunDirectory], Found]
) -> list[Found | DamagedRun]:
    """What `read` makes of each of the runs in a folder, whatever the files of some of them hold.

    places: paths, or URLs.
    """
    return [_read(place, read) for place in places]


def _read(place: Path | str, read: Callable[[RunDirectory], Found]) -> Found | DamagedRun:
    try:
        return read(RunDirectory(place if isinstance(place, Path) else fetch_run(place)))
    except UserError as error:
        problem = first_line(error).removeprefix(f"{place}/")
    except Exception as error:  # a file may hold anything, and the other runs are listed
        problem = f"it cannot be understood: {type(error).__name__}: {first_line(error)}"
    return DamagedRun(str(place), problem)


def fetch_run(url: str) -> Path:
    """Make a mirror of a run in object storage. Raises RunError if there is no such run."""
    store = ObjectStore(url)
    try:
        if mirror.is_run(store):
            return mirror.fetch(store)
        others = [run.url for run in mirror.list_runs(store)]
    except OSError as error:
        raise RunError(f"{url} cannot be read: {str(error).splitlines()[0]}") from None
    raise RunError(f"{url} is not a run{naming(url.rpartition('/')[2], others)}")


def load(path: str | Path) -> RunDirectory:
    """Open a run directory by its path or URL.

    Raises RunError, with the runs near it, if there is none.
    """
    folder = Path(path)
    if is_url(path):
        folder = fetch_run(str(path))
    if (folder / ledger.NAME).is_file() and (folder / SWEEP).is_file():
        return RunDirectory(folder)
    around = folder
    if not folder.is_dir():
        around = folder.parent
    raise RunError(f"{folder} is not a run directory{naming(folder.name, runs_in(around))}")


def runs_in(folder: Path) -> list[str]:
    """The paths of the runs directly in a folder."""
    return sorted(str(path.parent) for path in folder.glob(f"*/{ledger.NAME}"))


def naming(name: str, runs: Sequence[str]) -> str:
    """The end of a message about an unknown run: the one that was probably meant.

    Else all that exist, by their names, paths or URLs; "" if there are none.
    """
    name = name.lower()
    known = {run.rpartition("/")[2].lower(): run for run in runs}
    begun = [one for one in known if one.startswith(f"{name}-")]  # the name of the file and a time
    if near := difflib.get_close_matches(name, known, n=1) or begun[-1:]:
        return f"; did you mean '{known[near[0]]}'?"
    if not runs:
        return ""
    more = f" and {len(runs) - MAX_NAMED_RUNS} more" if len(runs) > MAX_NAMED_RUNS else ""
    return f"; there are: {', '.join(runs[:MAX_NAMED_RUNS])}{more}"
