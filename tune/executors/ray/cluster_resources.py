"""The nodes of a cluster: the alive ones, and those that its autoscaler would start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raysweep.tune.executors.placement import Node
from raysweep.tune.executors.ray import ray_compat

CONFIG = Path("~/ray_bootstrap_config.yaml")
"""Where `ray up` leaves the cluster file on the head."""


def node_resources(ray: Any) -> list[Node]:
    """The resources of each node, in Ray's names.

    Nodes that the autoscaler may add count too, with what their type declares: it starts them for
    trials that wait.
    """
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if ray_compat.joined_a_cluster():
        return [*alive, *autoscaled(CONFIG.expanduser(), len(alive))]
    return alive


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
