"""Sweeps as jobs of a Ray cluster: submitted with the working folder, followed, listed and stopped.

The job's entry point is the command that was typed, with `--address auto` in the place of
`--submit`. A job runs on if the process that follows it ends.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raysweep.errors import UserError
from raysweep.results.storage.object_store import refuse_credentials
from raysweep.tune.cli.resume_command import SUBMITTED

URL = "http://127.0.0.1:8265"
"""Where `ray dashboard cluster.yaml` makes the head's dashboard available."""
STOP_SECONDS = 60
"""Seconds that Ray lets a stopped job end its running epochs."""
LOOK_SECONDS = 1.0
"""Seconds between two questions about a job's status."""
WITH_VALUE = ("--submit", "--address", "--save")
"""Options that are not passed on to the cluster, each with its value."""


class JobsError(UserError):
    """A job that cannot be sent, found or followed, in one line."""


def submit(
    url: str,
    arguments: Sequence[str],
    folder: Path,
    words: Sequence[str] = (),
    verb: str = "run",
) -> str:
    """Send a sweep to the cluster, with the folder that the command was typed in.

    arguments: those of `verb`, `run` or `resume`. words: those behind `--`. Returns the job's name.
    """
    from raysweep.tune.executors.ray.connect import EXCLUDED

    for argument in [*arguments, *words]:
        refuse_credentials(argument)  # the cluster shows and logs a job's command
    name = f"raysweep-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:4]}"
    environment = {
        "working_dir": str(folder),
        "excludes": EXCLUDED,
        "env_vars": {
            "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS),
            "PYTHONUNBUFFERED": "1",
            SUBMITTED: url,
        },
    }
    if folder.resolve() in (Path.home(), Path("/")):
        raise JobsError(
            f"--submit sends the folder it is typed in, and {folder} is too much: type it in the "
            "folder of your sweep"
        )
    os.environ.setdefault("RAY_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES", "")
    with _asking(url) as client:
        client.submit_job(
            entrypoint=entry_point(arguments, words, verb),
            submission_id=name,
            runtime_env=environment,
        )
    return name


def entry_point(arguments: Sequence[str], words: Sequence[str] = (), verb: str = "run") -> str:
    """The command that the head runs for what was typed."""
    kept, skip = [], False
    for word in arguments:
        if not skip and word.split("=")[0] not in WITH_VALUE:
            kept.append(word)
        skip = not skip and word in WITH_VALUE
    program_words = ["--", *words] if words else []
    return shlex.join(["raysweep", verb, *kept, "--address", "auto", *program_words])


def follow(url: str, name: str, say: Callable[[str], None]) -> int:
    """Pass on what a job prints, from its beginning, until it ends, and return its exit code.

    A connection that breaks is made anew.
    """
    said = 0

    async def tail(client: Any) -> None:
        nonlocal said
        at = 0
        async for text in client.tail_job_logs(name):
            if at + len(text) > said:
                say(text[max(0, said - at) :])
                said = at + len(text)
            at += len(text)

    while True:
        with _asking(url) as client:
            try:
                asyncio.run(tail(client))
            except (RuntimeError, OSError):
                time.sleep(LOOK_SECONDS)  # the connection broke; the job itself may run on
            job = _job(client, name)
        if job.status.is_terminal():
            return exit_code(job)
        time.sleep(LOOK_SECONDS)


def exit_code(job: Any) -> int:
    """The exit code of a job's own process, if that ended by itself.

    Otherwise 4, interrupted, if the job was stopped, and else 1.
    """
    if job.driver_exit_code is not None and job.driver_exit_code >= 0:
        return int(job.driver_exit_code)
    return 4 if str(job.status.value) == "STOPPED" else 1


def listed(url: str) -> Iterator[tuple[str, str, str]]:
    """The name, the status and the command of each sweep on the cluster, the newest last."""
    with _asking(url) as client:
        jobs = [job for job in client.list_jobs() if str(job.submission_id).startswith("raysweep-")]
    for job in sorted(jobs, key=lambda job: job.start_time or 0):
        yield job.submission_id, str(job.status.value).lower(), job.entrypoint


def stop(url: str, name: str) -> str:
    """Stop a job after its running epochs, and return its last status."""
    with _asking(url) as client:
        _job(client, name)
        client.stop_job(name)
        while not (job := _job(client, name)).status.is_terminal():
            time.sleep(LOOK_SECONDS)
    return str(job.status.value).lower()


def _job(client: Any, name: str) -> Any:
    jobs = {job.submission_id: job for job in client.list_jobs()}
    if name not in jobs:
        raise JobsError(f"there is no job {name} on the cluster; raysweep jobs lists them")
    return jobs[name]


@contextmanager
def _asking(url: str) -> Iterator[Any]:
    """A client of the Jobs API. Raises JobsError if the cluster does not answer, or refuses."""
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    from raysweep.tune.executors.ray import ray_compat
    from raysweep.tune.executors.ray.auth_token import has_token, protect_token

    if not url.startswith(("http://", "https://")):
        raise JobsError(
            f"{url}: expected the address of the cluster's dashboard, as {URL}; ray dashboard "
            "cluster.yaml brings it here"
        )
    protect_token()
    if "RAY_AUTH_MODE" not in os.environ and has_token():
        ray_compat.enable_token()
    logging.getLogger("ray").setLevel(logging.WARNING)
    try:
        yield JobSubmissionClient(url)
    except ConnectionError as error:
        raise JobsError(
            f"no Ray dashboard answers at {url}; ray dashboard cluster.yaml brings it here, and "
            "keeps it while it runs"
        ) from error
    except AuthenticationError as error:
        raise JobsError(
            f"the cluster at {url} refuses the token: copy ~/.ray/auth_token from its head"
        ) from error
