"""How long optuna-dashboard takes to open and to act on the same trials, for `serving.py`."""

from __future__ import annotations

import contextlib
import http.client
import logging
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.report import SPACE
from benchmarks.serving_browser import LIMIT_SECONDS, Browser
from benchmarks.serving_page import Times
from raysweep.results.storage.run_directory import RunDirectory

STUDY = "run"
HISTORY = "document.querySelectorAll('#plot-history .trace').length > 1"
"""The page of the study with its first plot."""
CURVES = "document.querySelectorAll('#graph-intermediate-values .trace').length > 0"
LIST = """(
  document.querySelectorAll('main ul li').length > 10
  && document.querySelector('main').innerText.includes('Trial 0 (')
)"""
"""The list of trials beside its first trial."""
FILTER = "document.querySelector('[aria-label=Filter]')"
STORAGES = ("SQLite", "journal")


def storage_url(kind: str, folder: Path) -> str:
    """What the dashboard's command line takes as its storage."""
    if kind == "SQLite":
        return f"sqlite:///{folder}/study.db"
    return str(folder / "study.log")


def make_storage(kind: str, folder: Path) -> Any:
    """An empty storage of Optuna in a folder, or the one that is there."""
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    if kind == "SQLite":
        return RDBStorage(storage_url(kind, folder))
    return JournalStorage(JournalFileBackend(str(folder / "study.log")))


def write_study(kind: str, folder: Path, run: RunDirectory) -> Any:
    """Write the trials of a run as a study, and return it."""
    import optuna

    optuna.logging.set_verbosity(logging.WARNING)
    storage = make_storage(kind, folder)
    study = optuna.create_study(storage=storage, study_name=STUDY, direction="maximize")
    trials = [frozen(number, trial) for number, trial in enumerate(run.all_trials())]
    if kind == "SQLite":
        insert(storage, study._study_id, trials)
    else:
        append(folder, study, trials)
    count = len(study.get_trials(deepcopy=False))
    assert count == len(trials), count
    return study


def distributions() -> dict[str, Any]:
    """The space of the run in Optuna's words."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    found: dict[str, Any] = {}
    space: dict[str, Any] = dict(SPACE)
    for name, entry in space.items():
        if "float" in entry:
            found[name] = FloatDistribution(*entry["float"], log=bool(entry.get("log")))
        elif "int" in entry:
            found[name] = IntDistribution(*entry["int"])
        else:
            found[name] = CategoricalDistribution(entry["choice"])
    return found


def frozen(number: int, trial: Any) -> Any:
    """A trial of a run as one of Optuna's."""
    from optuna.trial import FrozenTrial, TrialState

    values = {report.epoch: report.metrics["val_accuracy"] for report in trial.reports}
    times = [datetime.fromtimestamp(trial.reports[k].time or 0.0, UTC) for k in (0, -1)]
    return FrozenTrial(
        number=number,
        trial_id=-1,
        state=TrialState.COMPLETE,
        value=max(values.values()),
        datetime_start=times[0].replace(tzinfo=None),
        datetime_complete=times[1].replace(tzinfo=None),
        params=dict(trial.config),
        distributions=distributions(),
        user_attrs={},
        system_attrs={},
        intermediate_values=values,
    )


def insert(storage: Any, study_id: int, trials: list[Any]) -> None:
    """Insert trials into a database at once: one by one they would take minutes."""
    from optuna.distributions import distribution_to_json
    from optuna.storages._rdb import models

    kept = {name: distribution_to_json(known) for name, known in distributions().items()}
    finite = models.TrialValueModel.TrialValueType.FINITE
    finite_step = models.TrialIntermediateValueModel.TrialIntermediateValueType.FINITE
    rows: dict[Any, list[dict[str, Any]]] = {
        model: []
        for model in (
            models.TrialModel,
            models.TrialValueModel,
            models.TrialParamModel,
            models.TrialIntermediateValueModel,
        )
    }
    trial_rows, value_rows, param_rows, step_rows = rows.values()
    for key, trial in enumerate(trials, 1):
        times = {
            "datetime_start": trial.datetime_start,
            "datetime_complete": trial.datetime_complete,
        }
        about = {"trial_id": key, "number": trial.number, "study_id": study_id}
        trial_rows.append({**about, "state": trial.state, **times})
        value_rows.append(
            {"trial_id": key, "objective": 0, "value": trial.value, "value_type": finite}
        )
        for name, value in trial.params.items():
            number = trial.distributions[name].to_internal_repr(value)
            param = {"param_name": name, "param_value": number, "distribution_json": kept[name]}
            param_rows.append({"trial_id": key, **param})
        for step, value in trial.intermediate_values.items():
            known = {"intermediate_value": value, "intermediate_value_type": finite_step}
            step_rows.append({"trial_id": key, "step": step, **known})
    with storage.engine.begin() as connection:
        for model, content in rows.items():
            connection.execute(model.__table__.insert(), content)


def append(folder: Path, study: Any, trials: list[Any]) -> None:
    """Append trials to a journal at once: each alone would wait for the disk."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import BaseJournalBackend, JournalFileBackend

    class Memory(BaseJournalBackend):  # type: ignore[misc]
        """A journal in memory."""

        def __init__(self) -> None:
            self.logs: list[dict[str, Any]] = []

        def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
            yield from self.logs[log_number_from:]

        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            self.logs += logs

    memory = Memory()
    copy = optuna.create_study(
        storage=JournalStorage(memory), study_name=study.study_name, direction="maximize"
    )
    first = len(memory.logs)
    for trial in trials:
        copy.add_trial(trial)
    JournalFileBackend(str(folder / "study.log")).append_logs(memory.logs[first:])


@contextmanager
def dashboard(program: str, kind: str, folder: Path) -> Iterator[str]:
    """optuna-dashboard over a storage, in a process of its own; gives its address."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [program, storage_url(kind, folder), "--port", str(port)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        await_server(port, process)
        yield f"http://127.0.0.1:{port}/dashboard"
    finally:
        process.terminate()
        process.wait()


def await_server(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until it answers."""
    until = time.monotonic() + LIMIT_SECONDS
    while process.poll() is None and time.monotonic() < until:
        with (
            contextlib.suppress(OSError),
            closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection,
        ):
            connection.request("GET", "/api/studies")
            connection.getresponse().read()
            return
        time.sleep(0.05)
    raise SystemExit("optuna-dashboard did not start")


def dashboard_times(browser: Browser, address: str, study: Any) -> Times:
    """Times of the dashboard's pages about a study."""
    page = f"{address}/studies/{study._study_id}"
    times: Times = {"open": browser.open(page, HISTORY)}
    if times["open"] is None:  # nothing else is done within the limit either
        return times
    times["again"] = browser.open(page, HISTORY)
    times["curves"] = browser.open(page, CURVES)
    times["list"] = browser.open(f"{page}/trials", LIST)
    if times["list"] is None:
        return times
    times["trial"] = browser.act(
        "document.querySelectorAll('main ul li [role=button]')[3].click()",
        "document.querySelector('main').innerText.includes('Trial 3 (')",
    )
    browser.act(f"{FILTER}.click()", "document.querySelectorAll('#filter-trials li').length > 5")
    times["filter"] = browser.act(
        "[...document.querySelectorAll('#filter-trials li')]"
        ".find(e => e.innerText.startsWith('Best Trial')).click()",
        "document.querySelector('main ul li').innerText.startsWith('1 Trials')",
    )
    browser.open(f"{page}/trials", LIST)
    times["update"] = update_seconds(browser, study)
    return times


def update_seconds(browser: Browser, study: Any) -> float | None:
    """From the adding of a trial to the frame with it in the list."""
    trials = study.get_trials(deepcopy=False)
    shown = f"{len(trials) + 1} Trials"
    browser.watch(f"document.querySelector('main ul li').innerText.startsWith('{shown}')")
    began = time.time()
    study.add_trial(trials[0])
    seen = browser.seen()
    if seen is None:
        return None
    return seen - began
