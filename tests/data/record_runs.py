"""Record run directories as this version writes them: `python -m tests.data.record_runs`.

Writes `tests/data/runs/<kind>/` through the command line, on one Ray: a finished run, an
interrupted one, a comparison, a recording for `simulate`, and one whose best configurations were
trained again. What is particular to this machine is replaced by neutral words. What can be made
again (the page, TensorBoard's files) or is not needed (logs, most checkpoints) is left out.

These directories stand for those of people who used this version. Later versions must read them:
do not record them again with a later version, but add new ones.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import shutil
import signal
import socket
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from results import ledger
from results.folder import load
from tune.cli import main as raysweep
from tune.engine.run import Machines, cluster

RUNS = Path(__file__).parent / "runs"
ROOT = Path(__file__).resolve().parents[2]

SWEEP = """\
trainable: tests.data.steady:train
metric: {name: loss, goal: minimize}
searcher: bohb
scheduler: promotion
budget: {trials: 9, epochs: 4}
parallel: 1
seed: 6
resources: {cpu: 1, gpu: 0}
space:
  x: {float: [0, 1]}
  kind: {choice: [flat, curved]}
  y: {float: [0.1, 10], log: true, when: {kind: curved}}
  model.width: {int: [4, 16]}
  size: {expr: 2 * model.width}
  data: none
"""
COMPARED = ["--seeds", "2", "--set", "searcher=[random, tpe]", "--set", "budget.trials=4"]
COMPARED += ["--set", "scheduler={name: asha, grace: 1, eta: 2}"]
CONFIRMED = ["--set", "searcher=random", "--set", "scheduler=none", "--set", "budget.trials=4"]
CONFIRMED += ["--set", "confirm={top: 2, seeds: 2}", "--set", "budget.epochs=2"]
KINDS = {
    "finished": ["--set", "space.seconds=0.15"],
    "interrupted": ["--set", "space.seconds=0.15"],
    "compared": COMPARED,
    "recorded": ["--record", "14"],
    "confirmed": CONFIRMED,
}
INTERRUPTED_AFTER = 6
"""So many reports are in the ledger when the interrupted run is told to end: in mid-trial."""
LEFT_OUT = ("logs", "tensorboard", "report.html", "lock")
INTERRUPTED = 4
HARDWARE = {"cores": 2, "memory": 8_000_000_000, "processor": "a processor", "gpus": []}


def record(kind: str, space: Path, storage: Path) -> None:
    """Make a run of a kind, and put what is kept of it into its place."""
    words = ["run", "--space", str(space), "--storage", str(storage), "--name", kind, *KINDS[kind]]
    run = storage / kind
    if kind == "interrupted":
        with interrupting(run / ledger.NAME):
            code = raysweep(words)
    else:
        code = raysweep(words)
    if code != (INTERRUPTED if kind == "interrupted" else 0):
        raise RuntimeError(f"{kind}: exit code {code}")
    shutil.rmtree(RUNS / kind, ignore_errors=True)
    keep(run, RUNS / kind, neutral_words(storage))


@contextmanager
def interrupting(path: Path) -> Iterator[None]:
    """Send this process SIGINT once the ledger holds enough reports."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            text = path.read_bytes() if path.exists() else b""
            if text.count(b'"event":"reported"') >= INTERRUPTED_AFTER:
                os.kill(os.getpid(), signal.SIGINT)
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def keep(run: Path, place: Path, words: dict[str, str]) -> None:
    """Copy a run directory without what is left out, and in neutral words."""
    needed = checkpoints_needed(run)
    for path in sorted(path for path in run.rglob("*") if path.is_file()):
        name = path.relative_to(run)
        if set(LEFT_OUT) & set(name.parts) or (path.suffix == ".pt" and path not in needed):
            continue
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".pt":
            shutil.copyfile(path, place / name)
        elif path.name == ledger.NAME:
            events = [neutral(event, words) for event in ledger.read(path.parent)]
            lines = [ledger.encode(event, number) for number, event in enumerate(events)]
            (place / name).write_bytes(b"".join(lines))
        elif path.name == "environment.json":
            content = json.loads(path.read_text()) | {"hardware": HARDWARE, "system": "Linux"}
            content |= {"host": "node", "code": {"commit": "0" * 40, "dirty": False}}
            (place / name).write_text(json.dumps(content, indent=2) + "\n")
        else:
            (place / name).write_text(replaced(path.read_text(), words))
    check(place, words)


def checkpoints_needed(run: Path) -> set[Path]:
    """The exported model, and the checkpoints of the best trial or, to resume, of all trials."""
    loaded = load(run)
    exported = set((run / "best").glob("*.pt"))
    if not loaded.events[-1]["interrupted"]:
        return exported | {run / "trials" / loaded.best.trial.id / "best.pt"}
    return {run / "trials" / trial / "last.pt" for trial in loaded.trials["trial"]}


def neutral_words(storage: Path) -> dict[str, str]:
    """What says something about this machine, and what stands in its place; longer texts first."""
    words = {
        str(storage): "/runs",
        str(storage.resolve()): "/runs",
        str(ROOT): "/project",
        sysconfig.get_path("purelib"): "/site-packages",
        sysconfig.get_path("stdlib"): "/python",
        sys.prefix: "/python",
        socket.gethostname(): "node",
    }
    return dict(sorted(words.items(), key=lambda pair: -len(pair[0])))


def replaced(text: str, words: dict[str, str]) -> str:
    """The text in neutral words."""
    for word, instead in words.items():
        text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", instead, text)
    return text


def neutral(value: Any, words: dict[str, str]) -> Any:
    """A value of the ledger in neutral words; the numbers of processes are 1."""
    if isinstance(value, str):
        return replaced(value, words)
    if isinstance(value, dict):
        return {
            key: 1 if key in ("pid", "worker") else neutral(inner, words)
            for key, inner in value.items()
        }
    return [neutral(inner, words) for inner in value] if isinstance(value, list) else value


def check(place: Path, words: dict[str, str]) -> None:
    """Raise ValueError if a file still says something about this machine."""
    for path in (path for path in place.rglob("*") if path.is_file()):
        for word in (*words, getpass.getuser(), str(Path.home())):
            if re.search(rf"(?<!\w){re.escape(word)}(?!\w)".encode(), path.read_bytes()):
                raise ValueError(f"{path} holds '{word}'")


def main() -> None:
    """Record all kinds."""
    with tempfile.TemporaryDirectory() as folder:
        storage = Path(folder) / "storage"
        space = Path(folder) / "sweep.yaml"
        space.write_text(SWEEP)
        with cluster(Machines(cpus=2, gpus=0), Path(folder) / "ray-logs"):
            for kind in KINDS:
                record(kind, space, storage)


if __name__ == "__main__":
    began = time.monotonic()
    main()
    print(f"{time.monotonic() - began:.0f} s")
