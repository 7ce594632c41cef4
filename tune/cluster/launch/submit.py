"""Hands the printed files over: to sbatch, kubectl or sky, whichever is on the PATH."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from raysweep.files import atomic_write
from raysweep.tune.cluster.launch.launched import Launch, LaunchError
from raysweep.tune.sweep import Sweep


def fetch_data(sweep: Sweep, launch: Launch) -> None:
    """Fetch what the train function needs: the nodes may not reach the Internet.

    It goes where the nodes look for it. Raises LaunchError if it cannot be fetched.
    """
    from raysweep.tune.executors.ray.node_checks import Question, bring
    from raysweep.tune.make_job import for_workers

    environment = {"RAYSWEEP_DATA_ROOT": launch.data_root} if launch.data_root else {}
    constants = dict(sweep.space.constants)
    question = Question(for_workers(sweep.trainable), "", "", "", constants, environment)
    if problem := bring(vars(question))["data"]:
        raise LaunchError(f"the data cannot be fetched here, for the nodes: {problem}")


def sbatch(launch: Launch, text: str, count: int = 1) -> list[str]:
    """Submit `count` jobs of this file, each to start if the former did not end the sweep.

    Returns their numbers. The file is kept beside the token of the job.
    """
    path = _written(launch, text, "sbatch")
    jobs: list[str] = []
    for _ in range(count):
        after = [f"--dependency=afternotok:{jobs[-1]}", "--kill-on-invalid-dep=yes"] if jobs else []
        jobs.append(_asked("sbatch", ["--parsable", *after, path]).partition(";")[0])
    return jobs


def kubectl(launch: Launch, text: str) -> list[str]:
    """Create the RayJob, and return its name."""
    return [_asked("kubectl", ["create", "--output=name", "--filename", _written(launch, text)])]


def sky(launch: Launch, text: str) -> list[str]:
    """Send the managed job, with a new token for its Ray, and return its name.

    The token travels in the environment: arguments can be read by every user of this machine.
    """
    words = ["jobs", "launch", "--yes", "--detach-run", "--secret", "RAY_AUTH_TOKEN"]
    token = {"RAY_AUTH_TOKEN": secrets.token_hex(32)}
    _asked("sky", [*words, _written(launch, text)], token)
    return [launch.name]


def _written(launch: Launch, text: str, ending: str = "yaml") -> str:
    """The path of the file that is handed over; it stays there."""
    path = launch.folder / ".raysweep" / launch.name / f"job.{ending}"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    atomic_write(path, text)
    return str(path)


def _asked(program: str, words: Sequence[str], more: Mapping[str, str] | None = None) -> str:
    """What a program prints; `more` is added to its environment.

    Raises LaunchError with its last words if it refuses.
    """
    if shutil.which(program) is None:
        raise LaunchError(
            f"--submit: there is no {program} on this machine; without --submit the file is "
            "printed, to be taken to where it is"
        )
    done = subprocess.run(
        [program, *words],
        capture_output=True,
        text=True,
        check=False,
        env={**_outside(), **(more or {})},
    )
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise LaunchError(f"{program} refuses: {said[-1]}")
    return done.stdout.strip()


def _outside() -> dict[str, str]:
    """The environment without what belongs to a job of Slurm in which this may be typed."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
