"""Rules for what Ray's schema does not see in a cluster file, each a function.

A rule yields the path of the part to mend, and what is wrong with it. The rules read commands as
text: they know the mistakes that were met in practice, and not every way to write a correct file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Finding = tuple[tuple[str | int, ...], str]

CLOUDS = ("aws", "gcp", "azure", "vsphere", "aliyun")
PRIVATE = ("~", "$HOME", "/tmp", "/var/tmp", "/root", "/home", ".")
HEAD, WORKER, SETUP = "head_start_ray_commands", "worker_start_ray_commands", "setup_commands"
TOKEN_MODE = "RAY_AUTH_MODE=token"
"""The environment variable by which Ray asks for a token, as a command sets it."""
OWN_KEYS = ("id_rsa", "id_ed25519", "id_ecdsa", "id_dsa")


@dataclass(frozen=True)
class ClusterFile:
    """A cluster file as Ray reads it, and the folder that it is in, from which `ray up` is run."""

    data: dict[str, Any]
    folder: Path

    @property
    def provider(self) -> dict[str, Any]:
        found: dict[str, Any] = self.data["provider"]
        return found

    @property
    def local(self) -> bool:
        return bool(self.provider["type"] == "local")

    @property
    def cloud(self) -> bool:
        return self.provider["type"] in CLOUDS

    def section(self, name: str) -> dict[str, Any]:
        found = self.data.get(name)
        return found if isinstance(found, dict) else {}

    def commands(self, *names: str) -> list[tuple[tuple[str | int, ...], str]]:
        """The commands of these lists, with their places."""
        lists = [(name, self.data.get(name)) for name in names]
        return [
            ((name, index), str(command))
            for name, commands in lists
            if isinstance(commands, list)
            for index, command in enumerate(commands)
        ]

    def text(self, *names: str) -> str:
        return "\n".join(command for _, command in self.commands(*names))

    @property
    def setup(self) -> str:
        """Everything that prepares a machine."""
        return self.text(
            "initialization_commands", SETUP, "head_setup_commands", "worker_setup_commands"
        )

    def local_path(self, path: object) -> Path:
        return self.folder / Path(str(path)).expanduser()


def lists(file: ClusterFile) -> Iterator[Finding]:
    for name, given in file.data.items():
        if name.endswith("_commands") and not isinstance(given, list):
            yield (name,), f"{name}: expected a list of commands"


def authentication(file: ClusterFile) -> Iterator[Finding]:
    auth = file.section("auth")
    if "ssh_user" not in auth:
        yield (
            ("auth",) if "auth" in file.data else ("provider",),
            "auth.ssh_user is missing; ray up only fails on it later",
        )
    key = auth.get("ssh_private_key")
    where = ("auth", "ssh_private_key")
    if key is None:
        if file.local and file.provider.get("worker_ips"):
            yield (
                ("auth",),
                "auth.ssh_private_key is missing: the head needs a key to reach the workers",
            )
        return
    path = file.local_path(key)
    if not path.is_file():
        yield where, f"there is no key {key}; ssh-keygen -t ed25519 -N '' -f {key} makes one"
    elif path.stat().st_mode & 0o077:
        yield where, f"{key} can be read by others, and ssh refuses it: chmod 600 {key}"
    if path.name in OWN_KEYS:
        yield (
            where,
            "Ray copies the private key to the head: give the cluster a key of its own instead of "
            f"{key}",
        )


def mounts(file: ClusterFile) -> Iterator[Finding]:
    for remote, given in file.section("file_mounts").items():
        path, where = file.local_path(given), ("file_mounts", remote)
        if not path.exists():
            hint = "; ray get-auth-token --generate makes it" if path.name == "auth_token" else ""
            yield where, f"there is no {given}{hint}"
        elif path.is_dir() and any(path.glob("pyvenv.cfg")) | any(path.glob("*/pyvenv.cfg")):
            yield (
                where,
                f"{given} contains a virtual environment, and Ray reads every file of it at each "
                "start: mount folders by name",
            )


def token(file: ClusterFile) -> Iterator[Finding]:
    mounted = file.section("file_mounts")
    tokens = [remote for remote in mounted if str(remote).endswith(".ray/auth_token")]
    if not tokens:
        yield (
            ("file_mounts",),
            "Ray's token is not copied: add ~/.ray/auth_token: ~/.ray/auth_token",
        )
    else:
        local = file.local_path(mounted[tokens[0]])
        if local.is_file() and local.stat().st_mode & 0o077:
            yield (
                ("file_mounts", tokens[0]),
                f"the token {local} can be read by others: chmod 600 {local}",
            )
        if not re.search(r"chmod\s+0?600\s+\S*auth_token", file.setup):
            yield (
                (SETUP,),
                "the copied token can be read by others: add chmod 600 ~/.ray/auth_token",
            )
    in_setup = TOKEN_MODE in file.text(SETUP, "initialization_commands")
    at_start = TOKEN_MODE in file.text(HEAD) and TOKEN_MODE in file.text(WORKER)
    if not in_setup and not at_start:
        yield (
            (SETUP,),
            "RAY_AUTH_MODE=token is not set on every machine: the head may ask for a token that "
            "the others do not show",
        )


def dashboard(file: ClusterFile) -> Iterator[Finding]:
    if file.cloud and HEAD not in file.data:
        yield (
            (HEAD,),
            f"Ray's own {HEAD} for {file.provider['type']} open the dashboard to every address: "
            "write them out",
        )
    for where, command in file.commands(HEAD):
        bound = re.search(r"--dashboard-host[= ]\s*(\S+)", command)
        if bound and bound.group(1) not in ("127.0.0.1", "localhost", "::1"):
            yield (
                where,
                f"--dashboard-host={bound.group(1)}: whoever reaches it runs code on the cluster; "
                "use 127.0.0.1 and ray dashboard",
            )


def start(file: ClusterFile) -> Iterator[Finding]:
    head = [(where, command) for where, command in file.commands(HEAD) if "ray start" in command]
    where: tuple[str | int, ...] = head[0][0] if head else (HEAD,)
    text = head[0][1] if head else ""
    if file.local and "RAY_enable_autoscaler_v2=0" not in file.text(
        HEAD, SETUP, "head_setup_commands"
    ):
        yield (
            where,
            "export RAY_enable_autoscaler_v2=0 is missing: on machines of your own Ray starts only "
            "one of the workers without it",
        )
    if HEAD in file.data and "--head" not in text:
        yield where, "nothing starts the head: ray start --head is missing"
    elif head and "--autoscaling-config" not in text:
        yield (
            where,
            "--autoscaling-config=~/ray_bootstrap_config.yaml is missing: no worker would be "
            "started",
        )
    given = re.search(r"--node-ip-address[= ]\s*(\S+)", text)
    if file.local and given and given.group(1) != file.provider.get("head_ip"):
        yield (
            where,
            f"--node-ip-address={given.group(1)}, but head_ip is {file.provider.get('head_ip')}",
        )
    if WORKER in file.data and "RAY_HEAD_IP" not in file.text(WORKER):
        yield (WORKER,), "the workers do not join: ray start --address=$RAY_HEAD_IP:6379 is missing"


def path(file: ClusterFile) -> Iterator[Finding]:
    if file.section("docker"):
        return
    if not ("PATH=" in file.setup and re.search(r"\.(bashrc|bash_profile|profile)\b", file.setup)):
        yield (
            (SETUP,),
            "nothing puts ray on the PATH of login shells (~/.bashrc): where it is missing, ray "
            "down reports success and stops nothing",
        )


def versions(file: ClusterFile) -> Iterator[Finding]:
    if file.cloud and not file.data.get(SETUP) and not file.section("docker"):
        yield (
            (SETUP,),
            f"Ray's own {SETUP} for {file.provider['type']} install a nightly build: install the "
            "project with its constraints.txt",
        )
    for where, command in file.commands(SETUP, "head_setup_commands", "worker_setup_commands"):
        if "ray-wheels/latest" in command:
            yield where, "a nightly build of Ray: the versions of two machines would differ"
        unpinned = re.search(r"pip3? install\b.*?['\" ](ray(\[[^]]*\])?)['\"]?(?=\s|$)", command)
        if unpinned and not re.search(r"(--constraint|-c|-r|--requirement)[ =]", command):
            yield (
                where,
                f"{unpinned.group(1)} without a version: pin it (==) or use --constraint, so that "
                "all machines have the same",
            )


def storage(file: ClusterFile) -> Iterator[Finding]:
    places = [
        (where, found.group(1))
        for where, command in file.commands(SETUP, "head_setup_commands", HEAD)
        if (found := re.search(r"RAYSWEEP_STORAGE=['\"]?([^\s'\";]+)", command))
    ]
    if not places:
        yield (
            (SETUP,),
            "RAYSWEEP_STORAGE is not set: say where all machines can write (a shared folder, "
            "s3://..., gs://...)",
        )
    for where, place in places:
        if place.startswith(PRIVATE):
            yield (
                where,
                f"RAYSWEEP_STORAGE={place} is each machine's own: take a folder that all of them "
                "share, or s3://..., gs://...",
            )
        elif file.cloud and "://" not in place and "mount " not in file.setup:
            yield (
                where,
                f"RAYSWEEP_STORAGE={place}: machines of a cloud share no folder by themselves; "
                "take s3://... or gs://...",
            )


def placeholders(file: ClusterFile) -> Iterator[Finding]:
    for where, command in file.commands(SETUP):
        if "your-bucket" in command:
            yield where, "your-bucket stands for the name of your bucket"
    if file.provider.get("project_id") == "your-project":
        yield ("provider", "project_id"), "your-project stands for the name of your project"


def workers(file: ClusterFile) -> Iterator[Finding]:
    if not file.local and "min_workers" in file.data:
        yield ("min_workers",), "min_workers at the top is ignored: write it under a node type"
    addresses = file.provider.get("worker_ips")
    if not file.local or not isinstance(addresses, list):
        return
    for i, address in enumerate(addresses):
        where = ("provider", "worker_ips", i)
        if address == file.provider.get("head_ip"):
            yield (
                where,
                f"{address} is the head: a second Ray on it would count its resources twice",
            )
        elif address in addresses[:i]:
            yield where, f"{address} stands twice"


RULES = (
    lists,
    authentication,
    mounts,
    token,
    dashboard,
    start,
    path,
    versions,
    storage,
    placeholders,
    workers,
)
