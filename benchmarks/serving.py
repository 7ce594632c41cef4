"""How long `raysweep serve` takes to show a large run and what is new in it, and its page to act.

    python benchmarks/serving.py [--dashboard PROGRAM] [trials ...]

By default with 200, 1,000, 5,000 and 20,000 trials of 9 epochs, each with a server of its own, and
without anything else in its folder. It takes up to twenty minutes, and a machine that does nothing
else. Chromium and chromedriver must be installed. `--dashboard` names the program of
optuna-dashboard, with which the page is compared on the same trials (parameters, values and
intermediate values) in an SQLite database and in a journal file. It needs an environment of its
own, outside of the project's:

    python -m venv /tmp/dashboard
    /tmp/dashboard/bin/pip install optuna-dashboard optuna==5.0.0 gunicorn
    python benchmarks/serving.py --dashboard /tmp/dashboard/bin/optuna-dashboard

Times are in seconds. The first table is about the server:

start      from the start of the process to the first list of sweeps that has the run
data       the answer with all data of the run, the first time
again      the same a second time
nothing    the answer about changes if there are none
seen       from the writing of an event to its arrival in the stream of events (median of 9)
change     the answer about changes after it (median of 9)

`memory` is that of the server with the run in it, and `after` what 500 more requests of each kind
and 50 streams leave of it, in MB.

The second table is about the pages, in a headless Chromium of 1,400 by 900 pixels. Each time ends
with the frame that shows it. A dash is what a page does not have, and `> 40` what took longer:

open       from opening the address, with an empty cache, to the first screen: of raysweep the
           title, the state, the numbers and the rows of the table; of optuna-dashboard the title
           and the first plot
again      the same with what the browser has kept (median of 3; once of the dashboard)
curves     from scrolling to the learning curves to their being drawn; the dashboard draws those of
           a study with its first plots, so there it is from opening the study again
list       from opening the list of trials to its first rows; raysweep's is on the first screen
filter     `lr<0.01` in raysweep, whose page waits 0.15 s for further letters; the dashboard's list
           filters by the state of a trial
mark       a trial in the table and in all plots
sort       the table by a column
trial      from the click on a trial to all that is known of it
update     from the writing of a report to the frame with it (median of 5); of the dashboard once,
           from the writing of a trial: it asks every ten seconds
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psutil

from benchmarks.report import large_run
from benchmarks.serving_browser import LIMIT_SECONDS, chromium
from benchmarks.serving_optuna import STORAGES, dashboard, dashboard_times, write_study
from benchmarks.serving_page import Times, page_times
from raysweep.results.storage.ledger import Ledger
from raysweep.results.storage.run_directory import RunDirectory

TRIALS, EPOCHS = (200, 1_000, 5_000, 20_000), 9
TOKEN = "token-of-the-benchmark"
UPDATES, REQUESTS, STREAMS = 9, 500, 50
COLUMNS = (
    "trials",
    "start",
    "data",
    "data, MB",
    "again",
    "nothing",
    "seen",
    "change",
    "memory",
    "after",
)
ACTS = ("open", "again", "curves", "list", "filter", "mark", "sort", "trial", "update")


class Server:
    """A server over a folder, in a process of its own, and a connection to it."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "raysweep", "serve", str(folder), "--port", "0"]
        environment = os.environ | {"RAYSWEEP_TOKEN": TOKEN}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert self.process.stdout is not None
        self.url = [self.process.stdout.readline() for _ in range(2)][-1].strip()
        self.port = int(self.url.partition("127.0.0.1:")[2].partition("/")[0])
        self._connection = self.connect()

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)

    def get(self, path: str) -> bytes:
        self._connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
        return self._connection.getresponse().read()

    def json(self, path: str) -> Any:
        return json.loads(self.get(path))

    @contextmanager
    def stream(self) -> Iterator[http.client.HTTPResponse]:
        """The stream of events, connected."""
        with closing(self.connect()) as connection:
            connection.request("GET", "/api/stream", headers={"Authorization": f"Bearer {TOKEN}"})
            response = connection.getresponse()
            response.readline()
            yield response

    @property
    def memory(self) -> float:
        """Resident memory, in MB."""
        return float(psutil.Process(self.process.pid).memory_info().rss / 1e6)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


def measure(trials: int, program: str | None) -> tuple[Times, list[tuple[str, Times]]]:
    """The row of the first table for a run of so many trials, and the rows of the second."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        run = Path(name, "runs", "run")
        run.mkdir(parents=True)
        large_run(run, trials, EPOCHS)
        # Before the server has appended anything to it.
        rivals = rival_rows(Path(name), RunDirectory(run), program) if program else []
        began = time.perf_counter()
        server = Server(run.parent)
        try:
            row: Times = {
                "trials": trials,
                **opening(server, began),
                **updates(server, run, trials),
            }
            ours = page_row(server, run, Path(name, "profile"))
            return row | memory(server), [("raysweep serve", ours), *rivals]
        finally:
            server.close()


def page_row(server: Server, run: Path, profile: Path) -> Times:
    """The times of our page."""
    with chromium(profile) as browser, closing(Ledger(run)) as ledger:

        def report(value: float) -> None:
            epoch = EPOCHS + 1_000 + int(value)
            about = {"epoch": epoch, "loss": -value, "seconds": 1.0, "time": time.time()}
            metrics = {"val_accuracy": value, "val_loss": 1.0}
            ledger.append({"event": "reported", "trial": "grid-0", **about, "metrics": metrics})

        return page_times(browser, f"{server.url}#run=run", report)


def rival_rows(folder: Path, run: RunDirectory, program: str) -> list[tuple[str, Times]]:
    """The times of optuna-dashboard with each kind of storage."""
    found = []
    for kind in STORAGES:
        study = write_study(kind, folder, run)
        profile = folder / f"profile of {kind}"
        with dashboard(program, kind, folder) as address, chromium(profile) as browser:
            found.append((f"optuna-dashboard, {kind}", dashboard_times(browser, address, study)))
    return found


def opening(server: Server, began: float) -> dict[str, float]:
    while not any(row["trials"] for row in server.json("/api/runs")["runs"]):
        time.sleep(0.01)
    start = time.perf_counter() - began
    seconds, content = timed(server, "/api/runs/run/data")
    again, _ = timed(server, "/api/runs/run/data")
    version = json.loads(content)["version"]
    nothing, _ = timed(server, f"/api/runs/run/changes?after={version}")
    return {
        "start": start,
        "data": seconds,
        "data, MB": len(content) / 1e6,
        "again": again,
        "nothing": nothing,
    }


def updates(server: Server, run: Path, trials: int) -> dict[str, float]:
    """Times from an event of a session to its arrival, and of the answer about it."""
    seen, answered = [], []
    version = server.json("/api/runs/run/data")["version"]
    ledger = Ledger(run)
    with server.stream() as stream, closing(ledger):
        for number in range(UPDATES):
            time.sleep(0.3)  # or the server might not be done with the last one
            trial = f"random-{number % (trials // 3)}"
            now = time.time()
            report = {"epoch": EPOCHS + 1 + number, "loss": -0.5, "seconds": 1.0, "time": now}
            values = {"val_accuracy": 0.5, "val_loss": 0.5}
            ledger.append({"event": "reported", "trial": trial, **report, "metrics": values})
            while True:
                while not stream.readline().startswith(b"data:"):
                    pass
                arrived = time.time()
                seconds, content = timed(server, f"/api/runs/run/changes?after={version}")
                found = json.loads(content)
                version = found["version"]
                if found["trials"]:  # otherwise it was told of a new analysis
                    break
            seen.append(arrived - now)
            answered.append(seconds)
    return {"seen": statistics.median(seen), "change": statistics.median(answered)}


def timed(server: Server, path: str) -> tuple[float, bytes]:
    began = time.perf_counter()
    content = server.get(path)
    return time.perf_counter() - began, content


def memory(server: Server) -> dict[str, float]:
    before = server.memory
    version = server.json("/api/runs/run/data")["version"]
    for _ in range(REQUESTS):
        server.get("/api/runs")
        server.get("/api/runs/run/data")
        server.get(f"/api/runs/run/changes?after={version - 100}")
        server.get("/api/runs/run/trials/random-0")
    for _ in range(STREAMS):
        with server.stream():
            pass
    return {"memory": before, "after": server.memory}


def cell(name: str, value: float | None) -> str:
    digits = {"trials": 0, "memory": 0, "after": 0, "nothing": 4, "change": 4, "again": 4}
    return f"{value:,.{digits.get(name, 2)}f}"


def act_cell(times: Times, name: str) -> str:
    """A dash for what the page does not have."""
    if name not in times:
        return "–"
    seconds = times[name]
    if seconds is None:
        return f"> {LIMIT_SECONDS:.0f}"
    return f"{seconds:.2f}"


def header(*columns: str) -> str:
    return f"| {' | '.join(columns)} |\n|{' ---: |' * len(columns)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--dashboard", metavar="PROGRAM", help="the program of optuna-dashboard")
    parser.add_argument("trials", type=int, nargs="*", default=TRIALS)
    given = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}\n\n{header(*COLUMNS)}", flush=True)
    pages = []
    for trials in given.trials:
        row, rows = measure(trials, given.dashboard)
        print(f"| {' | '.join(cell(name, row[name]) for name in COLUMNS)} |", flush=True)
        pages += [(trials, program, times) for program, times in rows]
    print(f"\n{header('trials', 'page', *ACTS)}")
    for trials, program, times in pages:
        cells = [f"{trials:,}", program, *(act_cell(times, name) for name in ACTS)]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
