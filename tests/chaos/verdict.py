"""Does the sweep that was killed again and again give the results of the undisturbed one?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from raysweep.results.storage.ledger import LedgerError, read
from raysweep.results.storage.run_directory import RunDirectory, load

Story = dict[str, tuple[Any, ...]]


def reports(folder: Path) -> set[tuple[str, int, float]]:
    """What the ledger has confirmed: trial, epoch and loss."""
    try:
        return {
            (event["trial"], event["epoch"], event["loss"])
            for event in read(folder)
            if event["event"] == "reported"
        }
    except LedgerError as error:
        raise SystemExit(f"the ledger is damaged: {error}") from None


def story(run: RunDirectory, study: str) -> Story:
    """What must be equal in both: configurations, seeds, all numbers, statuses and reasons."""
    return {
        trial.id: (
            {key: value for key, value in trial.config.items() if key != "folder"},
            trial.seed,
            [(report.epoch, report.loss, dict(report.metrics)) for report in trial.reports],
            str(trial.status),
            trial.reason,
        )
        for trial in run.histories[study]
    }


def differences(calm: RunDirectory, storm: RunDirectory) -> list[str]:
    """Where the two tell different stories; [] where they agree to the last digit."""
    wrong = (
        [f"the best differs: {calm.best.trial.id}, {storm.best.trial.id}"]
        if calm.best.trial.id != storm.best.trial.id
        else []
    )
    for study in calm.histories:
        one, other = story(calm, study), story(storm, study)
        wrong += [
            f"{name} differs:\n  calm  {one.get(name)}\n  storm {other.get(name)}"
            for name in sorted({*one, *other})
            if one.get(name) != other.get(name)
        ]
    return wrong


def trained_twice(storm: Path, written: Path) -> list[str]:
    """Epochs that were trained again although the ledger had confirmed their report."""
    confirmed = {
        (event["trial"], event["epoch"]): event["time"]
        for event in read(storm)
        if event["event"] == "reported"
    }
    twice = []
    for path in sorted(written.iterdir()):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            known = confirmed.get((entry["trial"], entry["epoch"]))
            if known is not None and entry["time"] > known:
                twice.append(
                    f"{entry['trial']} epoch {entry['epoch']} was trained again after its report "
                    "was confirmed"
                )
    return twice


def lines_of(written: Path) -> int:
    """How many epochs were trained, those among them whose process was killed before the report."""
    return sum(len(path.read_text().splitlines()) for path in written.iterdir())


def studies(place: Path) -> list[tuple[str, int, int, str]]:
    """By searcher: its trials, its epochs, and where its best value is, of the disturbed run."""
    run = load(place)
    return [
        (
            name,
            len(history),
            history.epochs,
            f"{history.best[1].loss:.4f}, {history.best[0].id}" if history.best else "none",
        )
        for name, history in run.histories.items()
    ]
