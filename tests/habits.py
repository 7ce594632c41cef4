"""A train function with the habits that people's have, which ends in each way that there is.

It prints, logs, warns, draws a progress bar and writes to stderr; and it tells what it finds that
a trial before it in the same worker left behind, before it leaves all of that behind itself.
"""

from __future__ import annotations

import ctypes
import locale
import logging
import os
import random
import signal
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from raysweep.trainables.runtime.run import DataError, Run

logger = logging.getLogger(__name__)
seen: list[str] = []
"""What a module keeps; in the next trial it must be empty again."""


def train(config: dict[str, Any], run: Run) -> None:
    """Train three epochs, or end in the way that `kind` names."""
    kind, loud = config["kind"], config["loud"]
    left = leftovers()
    if loud:
        speak(kind)
    leave_behind()
    for epoch in run.epochs():
        if loud:
            list(tqdm(range(5), desc=f"epoch {epoch}"))
        if kind.endswith("_first") or (epoch == 2 and kind not in AT_THE_END):
            WAYS.get(kind.removesuffix("_first"), nothing)(config)
        run.report(loss=float("nan") if kind == "nan" else 1 / epoch, left=len(left))
        if kind == "early":
            return
    if kind in AT_THE_END:
        WAYS[kind](config)


def speak(kind: str) -> None:
    """All the ways to say something."""
    logging.basicConfig(level=logging.INFO)
    print(f"this is {kind}")
    print("to stderr", file=sys.stderr)
    logger.info("logged")
    warnings.warn("some library says so", stacklevel=1)
    os.write(1, b"from native code\n")


def leftovers() -> list[str]:
    """What is not as it was when the process began."""
    probe = torch.nn.Linear(2, 2)
    probed = probe(torch.ones(1, 2)).detach()
    found = {
        "module state": bool(seen),
        "handlers": bool(logging.getLogger().handlers),
        "threads": threading.active_count() > 1,
        "folder": os.getcwd() == "/",
        "variable": "RAYSWEEP_LEFT" in os.environ,
        "arguments": "left" in sys.argv,
        "recursion": sys.getrecursionlimit() == 12_345,
        "umask": mask() == 0o777,
        "path": "/left" in sys.path,
        "signal": signal.getsignal(signal.SIGUSR1) is ignore,
        "builtin": hasattr(__builtins__, "left") or "left" in dir(__builtins__),
        "filters": any(one[0] == "error" and one[2] is UserWarning for one in warnings.filters),
        "hook": bool((probed == 0).all()),
        "no grad": not torch.is_grad_enabled(),
        "float64": torch.get_default_dtype() == torch.float64,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "main thread": threading.current_thread() is not threading.main_thread(),
        "locale": locale.setlocale(locale.LC_NUMERIC) not in ("C", START_LOCALE),
    }
    return [name for name, is_left in found.items() if is_left]


def leave_behind() -> None:
    """All of it, with a thread that never ends (a daemon, as those of loaders are)."""
    seen.append("a trial")
    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
    os.chdir("/")
    os.environ["RAYSWEEP_LEFT"] = "1"
    sys.argv.append("left")
    sys.setrecursionlimit(12_345)
    sys.path.append("/left")
    signal.signal(signal.SIGUSR1, ignore)
    warnings.filterwarnings("error", category=UserWarning)
    torch.nn.modules.module.register_module_forward_hook(zeros)
    torch.set_default_dtype(torch.float64)
    torch.use_deterministic_algorithms(True)
    random.seed(1)


def zeros(module: Any, inputs: Any, output: Any) -> Any:
    """A hook for every module's output."""
    return torch.zeros(1, 2)


def mask() -> int:
    """The mask of permissions."""
    current = os.umask(0)
    os.umask(current)
    return current


def ignore(number: int, frame: object) -> None:
    """Handles a signal."""


def nothing(config: dict[str, Any]) -> None:
    """Goes on."""


def raises(config: dict[str, Any]) -> None:
    raise RuntimeError("boom of my own")


def out_of_memory(config: dict[str, Any]) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def mistake(config: dict[str, Any]) -> None:
    raise DataError("there are no data")


def killed_once(config: dict[str, Any]) -> None:
    mark = Path(config["folder"]) / f"killed-{config['loud']}"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def exits(config: dict[str, Any]) -> None:
    sys.exit("bye")


def exits_at_once(config: dict[str, Any]) -> None:
    os._exit(3)


def crashes(config: dict[str, Any]) -> None:
    ctypes.string_at(0)


def terminated(config: dict[str, Any]) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)


def interrupted(config: dict[str, Any]) -> None:
    raise KeyboardInterrupt


def closed(config: dict[str, Any]) -> None:
    raise GeneratorExit


def deadlocks(config: dict[str, Any]) -> None:
    lock = threading.Lock()
    with lock:
        lock.acquire()


WAYS = {
    "raises": raises,
    "raises_after": raises,
    "out_of_memory": out_of_memory,
    "mistake": mistake,
    "killed": killed_once,
    "exits": exits,
    "exits_after": exits,
    "exits_at_once": exits_at_once,
    "crashes": crashes,
    "terminated": terminated,
    "interrupted": interrupted,
    "closed": closed,
    "deadlocks": deadlocks,
}
AT_THE_END = ("raises_after", "exits_after")
START_LOCALE = locale.setlocale(locale.LC_NUMERIC)
