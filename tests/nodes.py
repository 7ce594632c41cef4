"""A running cluster of two nodes, and sweeps that a user starts on it with `--address auto`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parent.parent
CLUSTER = """
import sys
from ray.cluster_utils import Cluster

each = {"num_cpus": 1, "num_gpus": 1, "object_store_memory": 80_000_000}
kind = {"accelerator_type:L4": 1}
node = {**each, "include_dashboard": False, "resources": kind}
cluster = Cluster(initialize_head=True, head_node_args=node, shutdown_at_exit=False)
site_b = {**each, "resources": {"site_b": 1, "accelerator_type:A100": 1}}
second = cluster.add_node(**site_b)
cluster.wait_for_nodes()
print("address", cluster.address, flush=True)
for line in sys.stdin:
    if line == "lose\\n":
        cluster.remove_node(second, allow_graceful=False)
    elif line == "join\\n":
        second = cluster.add_node(**site_b)
    print("done", flush=True)
cluster.shutdown()
"""


def environment() -> dict[str, str]:
    """Without what a Ray in this process has left there."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {
        "OMP_NUM_THREADS": "1"
    }


@dataclass(frozen=True)
class Nodes:
    """Two of one CPU and one GPU each, in a process of their own, and the GPUs only pretend.

    The second has a resource `site_b` and an A100, the first an L4.
    """

    address: str
    process: subprocess.Popen[str]

    def lose(self) -> None:
        """The second one, all at once."""
        self._say("lose")

    def join(self) -> None:
        """A new one in its place."""
        self._say("join")

    def _say(self, word: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        next(line for line in self.process.stdout if line == "done\n")

    def typed(
        self, text: str, folder: Path, *changes: str, storage: str = ""
    ) -> subprocess.Popen[str]:
        """Run `run_sweep.py --address auto` on a file with this text.

        Ray's address is in the environment, as on a head node.
        """
        space = folder / "steps.yaml"
        space.write_text(text)
        settings = [part for change in changes for part in ("--set", change)]
        place = [
            "--space",
            str(space),
            "--storage",
            storage or str(folder),
            "--name",
            "run",
            "--address",
            "auto",
        ]
        return subprocess.Popen(
            [sys.executable, str(PROJECT / "run_sweep.py"), *place, *settings],
            cwd=PROJECT,
            env=environment() | {"RAY_ADDRESS": self.address},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def sweep(
        self, text: str, folder: Path, *changes: str, storage: str = ""
    ) -> tuple[int, str, str]:
        """The same to its end: exit code, output and errors."""
        with self.typed(text, folder, *changes, storage=storage) as process:
            output, errors = process.communicate(timeout=180)
        return process.returncode, output, errors


@contextmanager
def two_nodes() -> Iterator[Nodes]:
    """The cluster, as long as it is needed."""
    command = [sys.executable, "-W", "ignore", "-c", CLUSTER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Nodes(
                next(line.split()[1] for line in process.stdout if line.startswith("address")),
                process,
            )
        finally:
            process.stdin.close()
            process.wait(60)
