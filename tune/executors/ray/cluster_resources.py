"""The nodes of a cluster: the alive ones, and those that its autoscaler would start."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raysweep.tune.controller import SweepController
from raysweep.tune.executors.placement import Node
from raysweep.tune.executors.ray import ray_compat

CONFIG = Path("~/ray_bootstrap_config.yaml")
"""Where `ray up` leaves the cluster file on the head."""
WORKERS = "RAYSWEEP_WORKER_NODES"
"""The environment variable by which `raysweep launch kuberay` tells which nodes may be added."""

JOIN_SECONDS, LOOK_SECONDS = 120.0, 1.0
"""Seconds that the nodes of a cluster that has just been started are waited for, and between two
looks. Those that join later are used as well."""


def wait_for_nodes(count: int, controller: SweepController) -> None:
    """Wait until the cluster has so many nodes, JOIN_SECONDS at most."""
    import ray

    until = time.monotonic() + JOIN_SECONDS
    while (found := _n_alive(ray)) < count and not controller.interrupted:
        if time.monotonic() > until:
            controller.say(f"{found} of {count} nodes have joined; the sweep begins on these")
            return
        time.sleep(LOOK_SECONDS)


def _n_alive(ray: Any) -> int:
    return sum(1 for node in ray.nodes() if node["Alive"])


def node_resources(ray: Any) -> list[Node]:
    """The resources of each node, in Ray's names.

    Nodes that the autoscaler may add count too, with what their type declares: it starts them for
    trials that wait. Those that are being emptied do not count.
    """
    gone = ray_compat.draining_nodes()
    nodes = [node for node in ray.nodes() if node["Alive"] and node["NodeID"] not in gone]
    alive = [node["Resources"] for node in nodes]
    if ray_compat.joined_a_cluster():
        told = os.environ.get(WORKERS, "")
        more = launched(told, alive) if told else autoscaled(CONFIG.expanduser(), len(alive))
        return [*alive, *more]
    return alive


def launched(told: str, alive: Sequence[Node]) -> list[Node]:
    """The nodes that Ray's autoscaler may add on Kubernetes, beside those that are alive.

    `told`: what the head's pod was told, a list of groups with their `count` and `resources`.
    """
    nodes: list[Node] = []
    for group in json.loads(told):
        wanted = group["resources"]
        there = [node for node in alive if all(node.get(key) == wanted[key] for key in wanted)]
        nodes += [wanted] * max(0, int(group["count"]) - len(there))
    return nodes


def autoscaled(config: Path, alive: int) -> list[Node]:
    """The nodes that an autoscaler may add to `alive` ones, the head among them.

    `config` is the cluster file. [] if there is none.
    """
    import yaml

    try:
        content = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return []
    head = content.get("head_node_type")
    nodes: list[Node] = []
    for name, node_type in content.get("available_node_types", {}).items():
        if name != head:
            nodes += [node_type.get("resources", {})] * int(node_type.get("max_workers", 0))
    most = int(content.get("max_workers", len(nodes)))
    return nodes[:most][max(0, alive - 1) :]
