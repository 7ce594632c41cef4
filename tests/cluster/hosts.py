"""Hosts made of namespaces on one Linux machine.

Each has its own address, disk, processes, host name and sshd.

They need root, and no container engine. A bridge joins them, and nothing leads out of it. `cut` and
`heal` take a host's link down and up, `power_off` kills everything on a host, `switch_on` boots it
with an empty disk, and `down` removes everything.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Network:
    """The names of a network of hosts: tests with different ones can run at the same time."""

    addresses: str
    bridge: str
    prefix: str

    @property
    def gateway(self) -> str:
        return f"{self.addresses}.254"


THREE_HOSTS = Network("10.88.0", "rswbr0", "rsw-")
NETWORK, BRIDGE, PREFIX = THREE_HOSTS.addresses, THREE_HOSTS.bridge, THREE_HOSTS.prefix
GATEWAY = THREE_HOSTS.gateway
"""This machine's own address on the bridge: a server started here is seen by the hosts."""
TOOLS = ("ip", "unshare", "nsenter", "sshd", "ssh-keygen", "rsync", "mount")
BOOT_SECONDS = 20.0
COMMAND_SECONDS = 120.0


def missing(network: Network = THREE_HOSTS, *programs: str, make: str = "cluster-tools") -> str:
    """Why hosts cannot be made here, in one line; "" where they can.

    `programs`: what a test needs besides TOOLS; `make` names the target that installs all.
    """
    if sys.platform != "linux" or os.geteuid() != 0:
        return "hosts made of namespaces need root on Linux"
    tools = [
        tool
        for tool in (*TOOLS, *programs)
        if shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None
    ]
    if tools:
        return f"{', '.join(tools)} missing; make {make} installs them"
    shown = ["ip", "link", "show", network.bridge]
    if subprocess.run(shown, capture_output=True, check=False).returncode == 0:
        return (
            f"the bridge {network.bridge} exists: another cluster test runs, or one was killed "
            f"(ip link del {network.bridge})"
        )
    trial = subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "true"],
        capture_output=True,
        check=False,
    )
    return (
        ""
        if trial.returncode == 0
        else f"namespaces are not allowed here: {trial.stderr.decode().strip()}"
    )


class Hosts:
    """The hosts `names`, numbered from 1 on the network.

    `state`: an empty folder. `shared`: a folder that all of them see as /shared.
    """

    def __init__(
        self,
        state: Path,
        names: Sequence[str],
        shared: Path | None = None,
        network: Network = THREE_HOSTS,
    ) -> None:
        self.names = list(names)
        self.network = network
        self.key = state / "key"
        self._state = state
        self._shared = shared
        self._running: dict[str, tuple[subprocess.Popen[bytes], int]] = {}

    def address(self, name: str) -> str:
        return f"{self.network.addresses}.{self.names.index(name) + 1}"

    def up(self) -> None:
        """Make the network and switch all hosts on."""
        disks = self._state / "disks"
        disks.mkdir(parents=True)
        _run("mount", "-t", "tmpfs", "-o", "size=6g", "tmpfs", str(disks))
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key))
        lines = [f"{self.address(name)} {name}" for name in self.names]
        (self._state / "hosts").write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
        _run("ip", "link", "add", self.network.bridge, "type", "bridge")
        _run("ip", "addr", "add", f"{self.network.gateway}/24", "dev", self.network.bridge)
        _run("ip", "link", "set", self.network.bridge, "up")
        for name in self.names:
            self._plug_in(name)
            self.switch_on(name)

    def _plug_in(self, name: str) -> None:
        space = self.network.prefix + name
        _run("ip", "netns", "add", space)
        _run("ip", "link", "add", space, "type", "veth", "peer", "name", "eth0", "netns", space)
        _run("ip", "link", "set", space, "master", self.network.bridge, "up")
        _run("ip", "-n", space, "addr", "add", f"{self.address(name)}/24", "dev", "eth0")
        _run("ip", "-n", space, "link", "set", "eth0", "up")

    def switch_on(self, name: str) -> None:
        """Boot a host with an empty disk, and wait for its sshd."""
        disk = self._state / "disks" / name
        shutil.rmtree(disk, ignore_errors=True)
        disk.mkdir()
        inside = [
            name,
            self.address(name),
            disk,
            self._state,
            PROJECT,
            self._shared or "",
            sys.prefix,
            sys.base_prefix,
        ]
        namespaces = [
            "unshare",
            "--mount",
            "--uts",
            "--ipc",
            "--pid",
            "--fork",
            "--kill-child=KILL",
        ]
        command = [
            "ip",
            "netns",
            "exec",
            self.network.prefix + name,
            *namespaces,
            "bash",
            Path(__file__).with_name("host.sh"),
            *inside,
        ]
        with open(self._state / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._running[name] = process, self._first_process(name, process)
        self._await_sshd(name, process)

    def _first_process(self, name: str, process: subprocess.Popen[bytes]) -> int:
        """The process that is PID 1 on the host: the child of unshare."""
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        until = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < until and process.poll() is None:
            if found := children.read_text().split():
                return int(found[0])
            time.sleep(0.02)
        raise RuntimeError(f"host {name} did not start: {self._said(name)}")

    def _await_sshd(self, name: str, process: subprocess.Popen[bytes]) -> None:
        knock = [
            "ip",
            "netns",
            "exec",
            self.network.prefix + name,
            "bash",
            "-c",
            f"exec 3<>/dev/tcp/{self.address(name)}/22",
        ]
        until = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < until and process.poll() is None:
            if subprocess.run(knock, capture_output=True, check=False).returncode == 0:
                return
            time.sleep(0.05)
        raise RuntimeError(f"host {name} did not come up: {self._said(name)}")

    def _said(self, name: str) -> str:
        return (self._state / f"{name}.log").read_text()[-2000:]

    def command(self, name: str, line: str) -> list[str]:
        """What runs a line of shell on a host, in a login shell, as a person there would."""
        enter = [
            "nsenter",
            "-t",
            str(self._running[name][1]),
            "-m",
            "-u",
            "-i",
            "-n",
            "-p",
            "-r",
            "-w",
        ]
        return [
            *enter,
            "env",
            "-i",
            "HOME=/root",
            "TERM=dumb",
            "bash",
            "-lc",
            f"cd; test ! -e .bashrc || . ./.bashrc; {line}",
        ]

    def run(
        self, name: str, line: str, *, check: bool = True, seconds: float = COMMAND_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run a line of shell on a host and wait.

        With `check`, a failure raises with what was printed.
        """
        command = ["timeout", "-k", "5", str(seconds), *self.command(name, line)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"on {name}: {line}\nexit code {done.returncode}\n{done.stdout[-4000:]}\n"
                f"{done.stderr[-4000:]}"
            )
        return done

    def start(self, name: str, line: str, output: Path) -> subprocess.Popen[bytes]:
        """Start a line of shell on a host, without waiting for it. Its output goes to `output`."""
        with open(output, "ab") as file:
            return subprocess.Popen(
                self.command(name, line),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def is_on(self, name: str) -> bool:
        return name in self._running

    def cut(self, name: str) -> None:
        _run("ip", "link", "set", self.network.prefix + name, "down")

    def heal(self, name: str) -> None:
        _run("ip", "link", "set", self.network.prefix + name, "up")

    def power_off(self, name: str) -> None:
        """Kill everything on a host at once."""
        process, first = self._running.pop(name)
        subprocess.run(["kill", "-KILL", str(first)], check=False, capture_output=True)
        process.wait(BOOT_SECONDS)

    def down(self) -> None:
        """Remove everything that `up` made."""
        for name in list(self._running):
            self.power_off(name)
        for name in self.names:
            _run("ip", "link", "del", self.network.prefix + name, check=False)
            _run("ip", "netns", "del", self.network.prefix + name, check=False)
        _run("ip", "link", "del", self.network.bridge, check=False)
        disks = str(self._state / "disks")
        if subprocess.run(["umount", disks], capture_output=True, check=False).returncode != 0:
            _run("umount", "-l", disks, check=False)


def _run(*command: str, check: bool = True) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
