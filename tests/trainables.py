"""Train functions for tests of the engine: no model, no data, each shows one behaviour."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from raysweep.trainables.runtime import process_setup
from raysweep.trainables.runtime.run import Run
from raysweep.trainables.runtime.trial_process import WORKER

IMPORTED_IN = os.getpid()


def bowl(config: dict[str, Any], run: Run) -> None:
    """Falls with the epochs towards (x - 0.3) ** 2."""
    for epoch in run.epochs():
        time.sleep(config.get("seconds", 0.0))
        run.report(loss=(config["x"] - 0.3) ** 2 + 1 / epoch)


def newcomer(config: dict[str, Any], run: Run) -> None:
    """Trains for less time than a worker takes to start.

    Its loss is 1 in the first process that trains it, whose number goes to the file `first`; else
    0.
    """
    first = Path(config["first"])
    if not first.exists():
        first.write_text(str(os.getpid()))
    for _ in run.epochs():
        time.sleep(0.05)
        run.report(loss=float(first.read_text() == str(os.getpid())))


def noisy(config: dict[str, Any], run: Run) -> None:
    """Its numbers need every generator in a checkpoint, and a weight that training moves."""
    model = torch.nn.Linear(1, 1)
    for _ in run.epochs(model=model):
        time.sleep(config.get("seconds", 0.0))
        with torch.no_grad():
            model.weight.add_(torch.randn(1, 1) * 0.1)
        noise = float(torch.rand(1)) + float(np.random.rand()) + random.random()
        run.report(loss=(config["x"] - 0.3) ** 2 + 0.1 * noise + float(model.weight.detach().abs()))


def devices(config: dict[str, Any], run: Run) -> None:
    """Writes when it ran and which GPUs it saw.

    Waits up to a minute until `mates` trials are there at once.
    """
    folder, begin = Path(config["folder"]), time.time()
    (folder / f"here-{run.trial}").touch()
    for _ in run.epochs():
        while (
            len(list(folder.glob("here-*"))) < config.get("mates", 1) and time.time() - begin < 60
        ):
            time.sleep(0.05)
        time.sleep(0.5)
        run.report(loss=config["x"])
    (folder / f"ran-{run.trial}").write_text(
        f"{begin} {time.time()} {os.environ.get('CUDA_VISIBLE_DEVICES')}"
    )


def hungry(config: dict[str, Any], run: Run) -> None:
    """Claims to hold `need` of a device's 80 GB; its epochs take as long beside others as alone.

    An attempt begins when `mates` trials are there at once. The first attempt of the trial that is
    `first` does not wait for others.
    """
    process_setup.gpu_memory = lambda: (int(config["need"] * 80e9), int(80e9))
    folder, begins = Path(config["folder"]), True
    for epoch in run.epochs():
        began = time.time()
        if begins and (epoch > 1 or not config["first"]):
            (folder / f"here-{run.trial}").touch()
            while len(list(folder.glob("here-*"))) < config["mates"] and time.time() - began < 60:
                time.sleep(0.05)
        begins = False
        time.sleep(0.5)
        run.report(
            loss=config["x"],
            at_once=len(list(folder.glob("here-*"))) - len(list(folder.glob("ran-*"))),
        )
    (folder / f"ran-{run.trial}").touch()


def one_way(config: dict[str, Any], run: Run) -> None:
    """Behaves as the function of this module that `way` names."""
    globals()[config["way"]](config, run)


def slow_to_stop(config: dict[str, Any], run: Run) -> None:
    """Takes so many seconds to clean up when it is stopped.

    After two seconds, Ray by itself fails the next trial.
    """
    try:
        for _ in run.epochs():
            run.report(loss=config["x"])
    finally:
        time.sleep(config["unwinding"])


def dies_once(config: dict[str, Any], run: Run) -> None:
    """Kills its own process in epoch 2 of the first attempt."""
    mark = Path(config["folder"]) / f"died-{config['x']}"
    for epoch in run.epochs():
        if epoch == 2 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        run.report(loss=config["x"])


def worker() -> int:
    """The process that has this trial trained."""
    return int(os.environ[WORKER])


def kills_its_worker(config: dict[str, Any], run: Run) -> None:
    """Kills its worker before the first report, where `x` is high."""
    for _ in run.epochs():
        if config["x"] > 0.5:
            os.kill(worker(), signal.SIGKILL)
            time.sleep(60)
        run.report(loss=config["x"])


def dies_always(config: dict[str, Any], run: Run) -> None:
    """Kills its own process before the first report, where `x` is high."""
    for _ in run.epochs():
        if config["x"] > 0.5:
            os.kill(os.getpid(), signal.SIGKILL)
        run.report(loss=config["x"])


def raises(config: dict[str, Any], run: Run) -> None:
    """Raises in epoch 2."""
    for epoch in run.epochs():
        if epoch == 2:
            inner(config["x"])
        run.report(loss=config["x"])


def inner(x: float) -> None:
    raise ValueError(f"x is {x}, and that is bad")


def diverges(config: dict[str, Any], run: Run) -> None:
    """NaN where `x` is high."""
    for _ in run.epochs():
        run.report(loss=float("nan") if config["x"] > 0.5 else config["x"])


def forgets(config: dict[str, Any], run: Run) -> None:
    """Reports something else than what it should."""
    for _ in run.epochs():
        run.report(accuracy=1.0, val_los=0.5)


def out_of_memory(config: dict[str, Any], run: Run) -> None:
    """Runs out of memory unless the batch is split into four."""
    for _ in run.epochs():
        if run.accumulation < 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        run.report(loss=config["x"], pieces=run.accumulation)


def leaves_early(config: dict[str, Any], run: Run) -> None:
    """Has an early stopping of its own."""
    for epoch in run.epochs():
        run.report(loss=config["x"])
        if epoch == 2:
            return


def modules(config: dict[str, Any], run: Run) -> None:
    """Says whether this module was imported in the trial's own process."""
    for _ in run.epochs():
        run.report(loss=config["x"], imported_here=os.getpid() == IMPORTED_IN)


def freezes_once(config: dict[str, Any], run: Run) -> None:
    """Its worker stops in epoch 3, without an end or an error; once, which leaves a file."""
    for epoch in run.epochs():
        once = Path(config["once"])
        if epoch == 3 and not once.exists():
            once.touch()
            os.kill(worker(), signal.SIGSTOP)
        run.report(loss=config["x"] / epoch)


def raises_until(config: dict[str, Any], run: Run) -> None:
    """Raises in epoch 2 if `x` is high or `heal` is set, until the file `mark` is there.

    With `heal` it writes its epochs into it.
    """
    mark, heal = Path(config["mark"]), config.get("heal", False)
    for epoch in run.epochs():
        first = not mark.exists() or (heal and mark.read_text() == "1 ")
        if heal:
            with open(mark, "a") as file:
                file.write(f"{epoch} ")
        if epoch == 2 and first and (heal or config["x"] > 0.5):
            raise ValueError(f"x is {config['x']}")
        run.report(loss=config["x"])


def always_raises(config: dict[str, Any], run: Run) -> None:
    """Raises the same, whatever the configuration."""
    raise RuntimeError("always")


def fills(config: dict[str, Any], run: Run) -> None:
    """Each checkpoint takes 400 kB."""
    model = torch.nn.Linear(100_000, 1)
    for _ in run.epochs(model=model):
        run.report(loss=config["x"])


def loses_its_storage(config: dict[str, Any], run: Run) -> None:
    """Moves the run folder away, once, in epoch 2 of its second trial."""
    for epoch in run.epochs():
        once = Path(f"{config['away']}.once")
        if run.trial == "random-1" and epoch == 2 and not once.exists():
            once.touch()
            os.rename(config["run"], config["away"])
        run.report(loss=config["x"])


def eats_memory(config: dict[str, Any], run: Run) -> None:
    """Takes 1 GiB in the control group `group`, where `x` is high."""
    held = []
    for _ in run.epochs():
        if config["x"] > 0.5:
            (Path(config["group"]) / "cgroup.procs").write_text(str(os.getpid()))
            held += [b"x" * 2**20 for _ in range(1024)]
        run.report(loss=config["x"])


def takes_all_memory(config: dict[str, Any], run: Run) -> None:
    """Takes 1 GiB a second until it is killed, where `x` is high."""
    held = []
    for _ in run.epochs():
        while config["x"] > 0.5:
            held.append(b"x" * 2**24)
            time.sleep(1 / 64)
        run.report(loss=config["x"])


def waits(config: dict[str, Any], run: Run) -> None:
    """Ends epoch N as soon as `config["folder"]` has a file `epochN`, or `config["x"]` is 0."""
    for epoch in run.epochs():
        while config["x"] and not (Path(config["folder"]) / f"epoch{epoch}").exists():
            time.sleep(0.02)
        run.report(loss=config["x"] / epoch)
