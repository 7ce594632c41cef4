"""What starts a script: this Python, or words such as `torchrun --nproc_per_node 2`."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from raysweep.trainables.runtime.import_trainable import TrainableError


@dataclass(frozen=True)
class Rendezvous:
    """How a launcher is told to let its processes meet at a free port.

    `words`: the launcher's own. `option`: what is added behind them; a port follows if
    `takes_port`. `chosen_by`: beginnings of options by which a user has chosen already.
    """

    words: tuple[str, ...]
    option: str
    takes_port: bool
    chosen_by: tuple[str, ...]


_TORCHRUN = ("--standalone", "--rdzv", "--master", "--nnodes", "--node")
RENDEZVOUS = (
    Rendezvous(("torchrun",), "--standalone", False, _TORCHRUN),
    Rendezvous(("-m", "torch.distributed.run"), "--standalone", False, _TORCHRUN),
    Rendezvous(("-m", "torch.distributed.launch"), "--standalone", False, _TORCHRUN),
    Rendezvous(("accelerate", "launch"), "--main_process_port", True, ("--main",)),
    Rendezvous(("accelerate-launch",), "--main_process_port", True, ("--main",)),
    Rendezvous(("-m", "accelerate.commands.launch"), "--main_process_port", True, ("--main",)),
    Rendezvous(("deepspeed",), "--master_port", True, ("--master",)),
    Rendezvous(("fabric", "run"), "--main-port", True, ("--main", "--node", "--num-nodes")),
)
"""Launchers that else take one port for all, 29500, which only one trial of a machine can have.

torchrun looks for a free one itself from torch 2.14 on. accelerate does only if it finds the port
in use, which it does not yet where two trials start at once.
"""


def launched(launcher: Sequence[str] | None) -> list[str]:
    """The words before the script, the first of them a program of this machine.

    Raises TrainableError if there is no such program.
    """
    if launcher is None:
        return [sys.executable]
    return [_program(launcher[0]), *with_free_port(launcher)[1:]]


def with_free_port(launcher: Sequence[str], port: Callable[[], object] | None = None) -> list[str]:
    """The words of a launcher, told to use a free port unless they say which one.

    `port`: finds a free port.
    """
    names = [word.rpartition("/")[2] for word in launcher]
    for known in RENDEZVOUS:
        length = len(known.words)
        for end in range(length, len(names) + 1):
            if tuple(names[end - length : end]) != known.words:
                continue
            if any(word.startswith(known.chosen_by) for word in launcher[end:]):
                return list(launcher)
            added = [known.option]
            if known.takes_port:
                added.append(str((port or free_port)()))
            return [*launcher[:end], *added, *launcher[end:]]
    return list(launcher)


def free_port() -> int:
    """A port of this machine that no process listens on."""
    with socket.socket() as listener:
        listener.bind(("", 0))
        port: int = listener.getsockname()[1]
        return port


def search_path(environment: Mapping[str, str]) -> str:
    """The PATH on which a script finds programs.

    The folder of this Python comes first unless it is there already, as if its virtual environment
    were activated: `python` in a shell script then is the Python that has the user's packages.
    """
    path, own = environment.get("PATH", os.defpath), str(Path(sys.executable).parent)
    if own in path.split(os.pathsep):
        return path
    return os.pathsep.join([own, path])


def _program(name: str) -> str:
    """The path of a program: beside this Python, else on the PATH; a path stays as it is."""
    if "/" in name:
        return name
    beside = Path(sys.executable).parent / name
    if beside.is_file():
        return str(beside)
    found = shutil.which(name)
    if found is None:
        raise TrainableError(f"script.launcher: there is no program '{name}' on this machine")
    return found
