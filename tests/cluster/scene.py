"""What the cluster tests do on the hosts.

A laptop has the project and a cluster file that is filled in. Sweeps run, and their ledgers are
read.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import yaml

from raysweep.history import Event
from raysweep.results.storage import ledger
from tests.cluster.hosts import GATEWAY, PROJECT, Hosts

S3_PORT = 5000
S3_ACCESS = {
    "AWS_ENDPOINT_URL": f"http://{GATEWAY}:{S3_PORT}",
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
}
HEAD, WORKERS, LAPTOP = "head", ("w1", "w2"), "laptop"
NODES = (HEAD, *WORKERS)
ROOMS = ("raysweep", "search_spaces", "schedulers", "tune", "trainables", "results")
ADDRESSES = {"192.168.1.10": HEAD, "192.168.1.11": WORKERS[0], "192.168.1.12": WORKERS[1]}
"""The addresses that the cluster file and the documentation name."""
CHANGES = {
    "ssh_user: ubuntu": "ssh_user: root",
    "--disable-usage-stats": "--disable-usage-stats --num-cpus=1 --object-store-memory=100000000",
    "export RAY_enable_autoscaler_v2=0;": (
        "export RAY_enable_autoscaler_v2=0 RAY_health_check_initial_delay_ms=1000 "
        "RAY_health_check_period_ms=1000 "
        "RAY_health_check_timeout_ms=2000 RAY_health_check_failure_threshold=3;"
    ),
    "'export RAY_AUTH_MODE=token'": "'export RAY_AUTH_MODE=token' "
    + " ".join(f"'export {name}={value}'" for name, value in S3_ACCESS.items()),
}
"""What the tests change in `cluster.yaml` besides the addresses: small machines, the S3 server of
the tests, and the faster health check that the file describes."""


def project() -> bytes:
    """A tar archive of the project as a fresh clone has it."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(
        listed, cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    there = [name for name in files if name and os.path.lexists(PROJECT / name)]
    command = ["tar", "cf", "-", "-C", str(PROJECT), *there]
    return subprocess.run(command, capture_output=True, check=True).stdout


def equip_laptop(hosts: Hosts, shared: Path) -> None:
    """Put the project on the laptop as a fresh clone, and a key in its home for the other hosts."""
    (shared / "project.tar").write_bytes(project())
    shutil.copy(hosts.key, shared / "laptop-key")
    hosts.run(
        LAPTOP,
        "mkdir raysweep && tar xf /shared/project.tar -C raysweep && install -m 600 "
        "/shared/laptop-key ~/.ssh/id_ed25519; "
        "printf 'StrictHostKeyChecking no\\nLogLevel ERROR\\n' > ~/.ssh/config; "
        "echo 'export PATH=$HOME/.raysweep/bin:$PATH' > ~/.bashrc; "
        "~/.raysweep/bin/pip install --quiet --no-deps --editable raysweep",
    )
    (shared / "project.tar").unlink()
    (shared / "laptop-key").unlink()


def fill_in(hosts: Hosts, text: str) -> str:
    """The cluster file as its user changes it, for these hosts."""
    for old, name in ADDRESSES.items():
        assert old in text
        text = text.replace(old, hosts.address(name))
    for old, new in CHANGES.items():
        assert old in text
        text = text.replace(old, new)
    return text


def put(hosts: Hosts, name: str, path: str, text: str) -> None:
    """Write a file on a host."""
    hosts.run(name, f"mkdir -p $(dirname {path}) && printf %s {shlex.quote(text)} > {path}")


def alive_nodes(hosts: Hosts) -> set[str]:
    """The addresses of the nodes that Ray's head believes to be alive."""
    said = hosts.run(
        HEAD, "ray list nodes --format yaml --limit 1000 2>/dev/null", check=False
    ).stdout
    return {
        address
        for address, state in re.findall(r"node_ip: (\S+).*?state: (\w+)", said, flags=re.DOTALL)
        if state == "ALIVE"
    }


def until(true: Callable[[], bool], seconds: float, what: str, every: float = 0.3) -> None:
    """Wait for something to become true.

    Raises AssertionError, with `what`, if it has not after so many seconds.
    """
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"{what}: not within {seconds:g} s"
        time.sleep(every)


def events(run: Path) -> list[Event]:
    """The ledger of a run that may be going on; [] before it begins."""
    return ledger.read(run) if (run / ledger.NAME).exists() else []


def reports(run: Path) -> list[Event]:
    return [event for event in events(run) if event["event"] == "reported"]


def outcome(run: Path | str) -> dict[str, tuple[object, ...]]:
    """Each trial's configuration, status and losses by epoch, which no disturbance may change.

    Without `seconds`, the pace, which a twin need not share.
    """
    from raysweep.results.storage.run_directory import load

    trials = [trial for history in load(run).histories.values() for trial in history]
    return {
        trial.id: (
            {**trial.config, "seconds": None},
            trial.status,
            [(report.epoch, report.loss) for report in trial.reports],
        )
        for trial in trials
    }


def nodes(run: Path) -> dict[str, str]:
    """On which host each trial was last heard."""
    found: dict[str, str] = {}
    for event in events(run):
        if "node" in event.get("notes", {}):
            found[event["trial"]] = event["notes"]["node"]
    return found


def attempts(run: Path) -> Counter[str]:
    """How often each trial was started."""
    return Counter(event["trial"] for event in events(run) if event["event"] == "started")


def join_by_hand(hosts: Hosts, name: str) -> None:
    """Have a machine with an empty disk join the cluster.

    It is done with what `ray up` copies and runs on a worker, typed on the laptop.
    """
    file = yaml.safe_load(hosts.run(LAPTOP, "cat raysweep/cluster.yaml").stdout)
    address = hosts.address(name)
    parts = f"pyproject.toml constraints.txt README.md LICENSE run_sweep.py {' '.join(ROOMS)}"
    hosts.run(
        LAPTOP,
        f"cd raysweep && ssh root@{address} mkdir -p raysweep .ray && rsync -a --exclude "
        f"__pycache__ {parts} root@{address}:raysweep/ && "
        f"rsync -a ~/.ray/auth_token root@{address}:.ray/",
    )
    for line in [*file["setup_commands"], *file["worker_start_ray_commands"]]:
        hosts.run(name, f"export RAY_HEAD_IP={hosts.address(HEAD)}; {line}")


def bring_dashboard(hosts: Hosts) -> None:
    """Forward the head's dashboard to the laptop, as `ray dashboard cluster.yaml` does.

    Does nothing if it is forwarded already.
    """
    there = "exec 3<>/dev/tcp/127.0.0.1/8265"
    forward = f"ssh -f -N -L 8265:127.0.0.1:8265 root@{hosts.address(HEAD)} > /dev/null 2>&1"
    hosts.run(LAPTOP, f"bash -c '{there}' 2> /dev/null || {forward}")


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@contextmanager
def s3_server(log: Path) -> Iterator[str]:
    """An S3 server on this machine, with a bucket in memory that the hosts can reach.

    Yields the bucket's URL.
    """
    command = [sys.executable, "-m", "moto.server", "-H", GATEWAY, "-p", str(S3_PORT)]
    with open(log, "ab") as file:
        server = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        until(_answers, 60, "the S3 server")
        with urlopen(Request(f"http://{GATEWAY}:{S3_PORT}/sweeps", method="PUT")):
            yield "s3://sweeps/runs"
    finally:
        server.kill()
        server.wait()


def _answers() -> bool:
    try:
        with urlopen(f"http://{GATEWAY}:{S3_PORT}/", timeout=1):
            return True
    except OSError:
        return False
