"""Hands the printed files over: to sbatch, kubectl or sky, whichever is on the PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

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
    path = launch.folder / ".raysweep" / launch.name / "job.sbatch"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    atomic_write(path, text)
    jobs: list[str] = []
    for _ in range(count):
        after = [f"--dependency=afternotok:{jobs[-1]}", "--kill-on-invalid-dep=yes"] if jobs else []
        jobs.append(_asked("sbatch", ["--parsable", *after, str(path)]).partition(";")[0])
    return jobs


def _asked(program: str, words: Sequence[str]) -> str:
    """What a program prints. Raises LaunchError with its last words if it refuses."""
    if shutil.which(program) is None:
        raise LaunchError(
            f"--submit: there is no {program} on this machine; without --submit the file is "
            "printed, to be taken to where it is"
        )
    done = subprocess.run(
        [program, *words], capture_output=True, text=True, check=False, env=_outside()
    )
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise LaunchError(f"{program} refuses: {said[-1]}")
    return done.stdout.strip()


def _outside() -> dict[str, str]:
    """The environment without what belongs to a job of Slurm in which this may be typed."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
