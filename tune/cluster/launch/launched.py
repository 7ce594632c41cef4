"""What is launched: a sweep under a name, and what each of its nodes holds.

The same on Slurm, Kubernetes and SkyPilot. Nothing here contacts a cluster.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from raysweep.errors import UserError
from raysweep.tune.sweep import Resources

NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


class LaunchError(UserError):
    """A sweep that cannot be launched as asked, in one line."""


@dataclass(frozen=True)
class Nodes:
    """How many nodes, and what the sweep gets of each.

    `memory`: as Slurm and Kubernetes write it, such as 64G; "" for what a node gives by itself.
    """

    count: int
    cpus: int
    gpus: int = 0
    memory: str = ""


@dataclass(frozen=True)
class Launch:
    """A sweep to launch.

    `file`: its YAML file. `folder`: where it is typed, from which the train function is found.
    `environment`: the folder of the Python environment. `storage`: a folder or a URL that all
    nodes see. `settings`: what `--set` overrides. `command`: what was typed, for the first lines
    of the file that is printed.
    """

    name: str
    file: str
    folder: Path
    environment: Path
    storage: str
    nodes: Nodes
    command: str
    data_root: str = ""
    settings: Sequence[str] = ()
    setup: Sequence[str] = ()

    @property
    def run(self) -> list[str]:
        """The command of each session: the first begins the run, and later ones resume it."""
        words = ["raysweep", "run", "--space", self.file, "--name", self.name]
        words += ["--storage", self.storage]
        for setting in self.settings:
            words += ["--set", setting]
        return [*words, "--or-resume"]


def checked_name(name: str) -> str:
    """The name, if jobs, files and run directories can have it. Raises LaunchError."""
    if not NAME.fullmatch(name):
        raise LaunchError(
            f"--name {name}: expected letters, digits, '.', '-' and '_' between letters or digits"
        )
    return name


def environment() -> Path:
    """The Python environment in which raysweep runs now."""
    return Path(sys.prefix)


def n_cpus(resources: Resources, gpus: int, given: int | None) -> int:
    """The CPUs that the sweep asks of each node.

    By default so many as the trials need that fit on its GPUs. Raises LaunchError if too little is
    known, or if no trial fits.
    """
    if given is None:
        given = _n_cpus_beside(resources, gpus)
    spread = resources.workers if resources.spread else 1
    needed = resources.cpu / spread, resources.gpu / spread
    if needed[0] > given or needed[1] > gpus:
        raise LaunchError(
            f"no node can hold a trial, which needs {needed[0]:g} CPU and {needed[1]:g} GPU: "
            f"a node has {given} and {gpus}; see --cpus-per-node and --gpus-per-node"
        )
    return given


def _n_cpus_beside(resources: Resources, gpus: int) -> int:
    share = 1.0 if resources.auto_gpu else resources.gpu
    if not gpus or not share:
        raise LaunchError(
            "how many CPUs does the sweep get of each node? --cpus-per-node says it; it follows "
            "from --gpus-per-node alone if trials need GPUs"
        )
    return max(1, math.ceil(resources.cpu * gpus / share))
