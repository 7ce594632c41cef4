"""What the tests of the server share: a client that has the token, and runs that change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from starlette.testclient import TestClient

from raysweep.results.storage.ledger import Ledger
from raysweep.tune.serve.access import Access
from raysweep.tune.serve.app import Application
from raysweep.tune.serve.folders import Folder, LocalFolder

TOKEN = "a-token-for-tests"
ORIGIN = "http://127.0.0.1:8765"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
OWN = {"X-Raysweep": "1"}
Seen = TypeVar("Seen")


@contextmanager
def serving(folder: Folder | Path, **headers: str) -> Iterator[TestClient]:
    """A client of a server over a folder; by default it holds the token."""
    if isinstance(folder, Path):
        folder = LocalFolder(folder)
    app = Application(folder).asgi(Access(TOKEN, 8765))
    with TestClient(app, base_url=ORIGIN, headers=headers or BEARER) as client:
        yield client


def until(seen: Callable[[], Seen]) -> Seen:
    """The first answer that is not empty."""
    began = time.monotonic()
    while not (found := seen()):
        assert time.monotonic() - began < 60, "it never came"
        time.sleep(0.02)
    return found


def rows(client: TestClient) -> dict[str, Any]:
    """The list of sweeps, by name."""
    return {row["name"]: row for row in client.get("/api/runs").json()["runs"]}


class Session:
    """Somebody who works on a run: holds its lock, and appends events."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger(folder)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None:
        self.ledger.close()

    def write(self, event: str, trial: str = "", **more: Any) -> None:
        about = {"trial": trial} if trial else {}
        self.ledger.append({"event": event, **about, **more, "time": time.time()})

    def propose(self, study: str, number: int, **config: Any) -> None:
        self.write("proposed", study=study, number=number, config=config, seed=number)
        self.write("started", f"{study}-{number}")

    def report(self, trial: str, epoch: int, value: float) -> None:
        metrics = {"acc": value, "other": 1 - value}
        self.write(
            "reported", trial, epoch=epoch, loss=-value, metrics=metrics, seconds=float(epoch)
        )

    def end(self, trial: str, status: str = "completed", reason: str = "") -> None:
        self.write("ended", trial, status=status, reason=reason)
