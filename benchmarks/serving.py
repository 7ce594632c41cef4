"""How long `raysweep serve` takes to show a large run, and to show what is new in it.

    python benchmarks/serving.py [trials ...]

By default with 200, 1,000, 5,000 and 20,000 trials of 9 epochs, each with a server of its own, and
without anything else in its folder. Times are in seconds:

start      from the start of the process to the first list of sweeps that has the run
data       the answer with all data of the run, the first time
again      the same a second time
nothing    the answer about changes if there are none
seen       from the writing of an event to its arrival in the stream of events (median of 9)
change     the answer about changes after it (median of 9)
browser    from opening the page to its load event, if chromium is installed

`memory` is that of the server with the run in it, and `after` what 500 more requests of each kind
and 50 streams leave of it, in MB.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
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
from raysweep.results.storage.ledger import Ledger

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
    "browser",
    "memory",
    "after",
)


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


def measure(trials: int) -> dict[str, float | None]:
    """The row of the table for a run of so many trials."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        run = Path(name, "runs", "run")
        run.mkdir(parents=True)
        large_run(run, trials, EPOCHS)
        began = time.perf_counter()
        server = Server(run.parent)
        try:
            return {"trials": trials, **opening(server, began), **updates(server, run, trials)} | {
                "browser": browser_seconds(server.url, f"{name}/profile"),
                **memory(server),
            }
        finally:
            server.close()


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


def browser_seconds(url: str, profile: str) -> float | None:
    """Seconds until a browser has loaded the page at `url`; None if there is no chromium."""
    program, driver_program = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver_program is None:
        return None
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = program
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"):
        options.add_argument(word)
    driver: Any = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver_program))
    try:
        driver.get(f"{url}#run=run")
        timing = "return performance.getEntriesByType('navigation')[0].loadEventEnd / 1000"
        return float(driver.execute_script(timing))
    finally:
        driver.quit()


def cell(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    digits = {"trials": 0, "memory": 0, "after": 0, "nothing": 4, "change": 4, "again": 4}
    return f"{value:,.{digits.get(name, 2)}f}"


def main() -> None:
    print(f"load {os.getloadavg()[0]:.1f}\n\n| {' | '.join(COLUMNS)} |")
    print(f"|{' ---: |' * len(COLUMNS)}", flush=True)
    for trials in map(int, sys.argv[1:] or TRIALS):
        row = measure(trials)
        print(f"| {' | '.join(cell(name, row[name]) for name in COLUMNS)} |", flush=True)


if __name__ == "__main__":
    main()
