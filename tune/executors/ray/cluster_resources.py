"""What a cluster offers: its alive nodes, and the ones that its autoscaler would start for trials that wait."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raysweep.tune.executors.placement import Node

CONFIG = Path("~/ray_bootstrap_config.yaml")
"""Where `ray up` leaves the cluster file on the head."""


def offers(ray: Any) -> list[Node]:
    """What each node offers, in Ray's names. Nodes that are not there yet count as their type says: trials that wait bring them."""
    from ray._private import worker

    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    joined = worker._global_node is not None and not worker._global_node.head
    return [*alive, *to_come(CONFIG.expanduser(), len(alive))] if joined else alive


def to_come(config: Path, alive: int) -> list[Node]:
    """What an autoscaler may add to `alive` nodes, the head among them; [] where nothing is scaled."""
    import yaml

    try:
        said = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return []
    types = {
        name: one
        for name, one in said.get("available_node_types", {}).items()
        if name != said.get("head_node_type")
    }
    nodes = [
        one.get("resources", {})
        for one in types.values()
        for _ in range(int(one.get("max_workers", 0)))
    ]
    return nodes[: int(said.get("max_workers", len(nodes)))][max(0, alive - 1) :]
