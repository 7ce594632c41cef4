"""Rules for a task of SkyPilot: each mistake with its place in the file.

The names are those of SkyPilot 0.14.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

from raysweep.errors import did_you_mean
from raysweep.tune.cluster.launch.sky import INTERRUPTED

Path = tuple[str | int, ...]
Finding = tuple[Path, str]
Task = dict[str, Any]

TOP = (
    "api_server_access config envs event_callback file_mounts file_mounts_mapping inputs "
    "managed_secrets name num_nodes outputs pool resources run secrets service setup volume_mounts "
    "volumes workdir"
)
RESOURCES = (
    "accelerator_args accelerators any_of autostop cloud cpus disk_size disk_tier "
    "ephemeral_storage image_id infra instance_type job_recovery labels local_disk "
    "max_hourly_cost memory network_tier ordered ports priority priority_class region use_spot "
    "volumes zone"
)
MARKS = {"run", "setup", "resources", "num_nodes", "workdir"}


def is_sky_task(data: Any) -> bool:
    known = isinstance(data, dict) and bool(MARKS & set(data))
    return known and not {"cluster_name", "provider", "trainable"} & set(data)


def check_sky_task(task: Task) -> Iterator[Finding]:
    for rule in RULES:
        yield from rule(task)


def names(task: Task) -> Iterator[Finding]:
    for path, known in (((), TOP), (("resources",), RESOURCES)):
        part = task if not path else task.get("resources") or {}
        for key in part if isinstance(part, dict) else ():
            if key not in known.split():
                message = f"unknown key '{key}'{did_you_mean(key, known.split())}"
                yield (*path, key), message
    if not isinstance(task.get("num_nodes", 1), int):
        yield ("num_nodes",), "num_nodes: expected a whole number"


def scripts(task: Task) -> Iterator[Finding]:
    bash = shutil.which("bash")
    for key in ("setup", "run"):
        text = task.get(key)
        if text is not None and not isinstance(text, str):
            yield (key,), f"{key}: expected lines of shell, below {key}: |"
        elif text and bash:
            check = [bash, "-n"]
            done = subprocess.run(check, input=text, text=True, capture_output=True, check=False)
            if done.returncode:
                reason = done.stderr.splitlines()[0].removeprefix(f"{bash}: ")
                yield (key,), f"{key}: {reason}"


def session(task: Task) -> Iterator[Finding]:
    run = str(task.get("run") or "")
    if "raysweep run" not in run:
        yield ("run",), "nothing runs the sweep: raysweep run ... --or-resume"
        return
    if "--or-resume" not in run:
        yield ("run",), "--or-resume is missing: after a lost machine the run would not continue"
    found = re.search(r"--storage[= ](\S+)", run)
    if found and "://" not in found[1]:
        yield ("run",), f"--storage {found[1]}: machines of a cloud share no folder; s3://..."
    resources = task.get("resources")
    recovery = resources.get("job_recovery") if isinstance(resources, dict) else None
    codes = recovery.get("recover_on_exit_codes", []) if isinstance(recovery, dict) else []
    if INTERRUPTED not in (codes if isinstance(codes, list) else [codes]):
        yield (
            ("resources",),
            f"job_recovery: {{recover_on_exit_codes: [{INTERRUPTED}]}} is missing: a session that "
            "was interrupted would not be continued",
        )


def ray(task: Task) -> Iterator[Finding]:
    run = str(task.get("run") or "")
    if re.search(r"\bray stop\b", run):
        yield ("run",), "ray stop would end SkyPilot's own Ray, too: kill this one by its folder"
    if re.search(r"--port[= ]6380\b", run):
        yield ("run",), "port 6380 is that of SkyPilot's own Ray: take another"
    if "ray start" not in run:
        return
    secrets = task.get("secrets")
    if "RAY_AUTH_MODE=token" not in run:
        yield ("run",), "RAY_AUTH_MODE=token is not set: whoever reaches the machine runs code"
    elif not isinstance(secrets, dict | list) or "RAY_AUTH_TOKEN" not in secrets:
        yield ("run",), "secrets: {RAY_AUTH_TOKEN: null} is missing: the machines need one token"
    if isinstance(secrets, dict) and secrets.get("RAY_AUTH_TOKEN"):
        yield ("secrets", "RAY_AUTH_TOKEN"), "a token in a file: sky jobs launch --secret passes it"


RULES: tuple[Callable[[Task], Iterator[Finding]], ...] = (names, scripts, session, ray)
