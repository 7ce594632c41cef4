"""Retry rules: what happens to a trial that failed, ran out of memory or lost its worker.

Each rule looks at the trial and at what happened, and returns a `Retry` or a `GiveUp`. It changes
nothing: the controller does what the rule says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from raysweep.history import Status, Trial
from raysweep.report_interval import EVERY_EPOCH, ReportInterval

Notes = Mapping[str, Any]

FAILED_ATTEMPT = "failed_attempt"
"""The note that says why the last failed attempt of a trial failed, and after which epoch."""
FORGIVEN: Notes = {"failures": 0, "losses": [], "kills_at_start": 0, FAILED_ATTEMPT: None}
"""The notes of a trial that a person has retried: its former failures do not count."""

MAX_ACCUMULATION = 64
"""Micro-batches per batch. A model that does not fit with a 64th of its batch is too large."""
MAX_WORKER_FAILURES = 3
"""Workers that may die in the same epoch of a trial before the trial itself is blamed."""
SPARED_OOM_KILLS = 1
"""Kills for memory in one epoch that are retried unchanged before the trial itself is blamed:
another process of the machine may have taken the memory."""
SPARED_KILLS_AT_START = 10
"""Kills for memory before a trial began to train, which is no fault of its configuration: the
memory of a process that was killed just before may not be free yet."""

MACHINE_LOST = "its machine was lost"
MACHINE_SILENT = "its machine did not answer"
KILLED_BY_MONITOR = "out of memory on the host, killed by Ray's memory monitor"


@dataclass(frozen=True)
class WorkerFailure:
    """Why a worker died. `machine_lost`: its whole machine was lost, which no trial causes."""

    reason: str
    out_of_memory: bool = False
    machine_lost: bool = False


@dataclass(frozen=True)
class Retry:
    """The trial is queued again, and continues from its last checkpoint."""

    reason: str
    notes: Notes


@dataclass(frozen=True)
class GiveUp:
    """The trial ends with `status`."""

    status: Status
    reason: str
    notes: Notes


def worker_failure(text: str, otherwise: str) -> WorkerFailure:
    """The worker failure that `text`, reported from another process, names.

    `otherwise`: the reason if it names none of those that are told apart.
    """
    if MACHINE_LOST in text:
        return WorkerFailure(MACHINE_LOST, machine_lost=True)
    if MACHINE_SILENT in text:
        return WorkerFailure(MACHINE_SILENT, machine_lost=True)
    if KILLED_BY_MONITOR in text:
        return WorkerFailure(KILLED_BY_MONITOR, out_of_memory=True)
    return WorkerFailure(otherwise)


def after_failure(trial: Trial, reason: str, notes: Notes, retries: int) -> Retry | GiveUp:
    """The user's code failed: it is retried at most `retries` times."""
    failures = trial.notes.get("failures", 0) + 1
    notes = {**notes, "failures": failures}
    if failures <= retries:
        attempt = {"epoch": trial.epoch, "reason": reason}
        return Retry(f"failed, retrying: {reason}", {**notes, FAILED_ATTEMPT: attempt})
    return GiveUp(Status.FAILED, reason, notes)


def after_out_of_memory(
    trial: Trial, reason: str, notes: Notes, on_oom: Collection[str]
) -> Retry | GiveUp:
    """The trial did not fit: it is retried on a whole GPU, then in ever smaller micro-batches.

    The latter only if `on_oom` has "accumulate" and the train function reads `run.accumulation`.
    """
    known = {**trial.notes, **notes}
    accumulation = known.get("accumulation", 1)
    if known.get("share", 1.0) < 1.0:
        whole = {**notes, "share": 1.0, "whole_gpu": True}
        return Retry("out of memory, retrying on a whole GPU", whole)
    if "accumulate" not in on_oom or 2 * accumulation > MAX_ACCUMULATION:
        return GiveUp(Status.OOM, reason, notes)
    if not known.get("accumulation_read", accumulation == 1):
        unread = "the train function does not read run.accumulation"
        return GiveUp(Status.OOM, f"{reason} (not retried in micro-batches: {unread})", notes)
    return Retry(
        f"out of memory, retrying in {2 * accumulation} micro-batches",
        {**notes, "accumulation": 2 * accumulation},
    )


def deaths_in_epoch(trial: Trial) -> int:
    """How often the worker of a trial has died in the epoch that the trial is to train next."""
    losses = trial.notes.get("losses", [])
    return sum(1 for _ in takewhile(lambda epoch: epoch == trial.epoch, reversed(losses)))


def after_worker_failure(
    trial: Trial,
    failure: WorkerFailure,
    notes: Notes,
    on_oom: Collection[str],
    interval: ReportInterval = EVERY_EPOCH,
) -> Retry | GiveUp:
    """The trial's worker died: it is retried, unless workers die again and again in one epoch.

    The loss of a machine never counts, however often it happens: a spot instance may be taken away
    at any time. interval: what the sweep's trials are measured in, as the reason says it.
    """
    if failure.machine_lost:
        return Retry(failure.reason, {})
    if failure.out_of_memory and trial.status is not Status.RUNNING:
        return _after_kill_at_start(trial, failure.reason)
    in_this_epoch = deaths_in_epoch(trial) + 1
    notes = {**notes, "losses": [*trial.notes.get("losses", []), trial.epoch]}
    if failure.out_of_memory and in_this_epoch > SPARED_OOM_KILLS:
        return after_out_of_memory(trial, failure.reason, notes, on_oom)
    if in_this_epoch >= MAX_WORKER_FAILURES:
        due = interval.at(trial.epoch + 1)
        where = f"in {due}" if interval.is_epoch else f"before {due}"
        times = f"killed {in_this_epoch} times {where}"
        return GiveUp(Status.FAILED, f"{times}: {failure.reason}", notes)
    return Retry(f"retrying: {failure.reason}", notes)


def _after_kill_at_start(trial: Trial, reason: str) -> Retry | GiveUp:
    kills = trial.notes.get("kills_at_start", 0) + 1
    notes = {"kills_at_start": kills}
    if kills > SPARED_KILLS_AT_START:
        return GiveUp(Status.OOM, f"{reason}, {kills} times before it began", notes)
    return Retry(f"retrying: {reason} before it began", notes)
