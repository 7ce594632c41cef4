"""Empties a node of a Ray cluster before it goes: no trial starts there, and running epochs end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from raysweep.errors import UserError
from raysweep.tune.executors.ray import ray_compat
from raysweep.tune.executors.ray.connect import join

LOOK_SECONDS = 1.0


class DrainError(UserError):
    """A node that cannot be emptied, in one line."""


def drain(address: str, name: str | None, seconds: int, say: Callable[[str], None]) -> bool:
    """Have trials leave a node after their running epochs; True once none is left.

    `name`: the node's host name, address or identifier; None for this machine. After `seconds` Ray
    takes the node for lost. Raises DrainError if there is no such node.
    """
    import ray

    join(ray, address)
    try:
        node = name or ray.get_runtime_context().get_node_id()
        for found in _named(ray, node):
            say(f"{found['NodeManagerHostname']} is emptied, within {seconds} s")
            if reason := ray_compat.drain_node(ray, found["NodeID"], seconds):
                raise DrainError(f"Ray does not empty {node}: {reason}")
        return _emptied(ray, node, seconds)
    finally:
        ray.shutdown()


def _named(ray: Any, name: str) -> list[Any]:
    """The alive nodes of a machine, or the one with an identifier."""
    keys = ("NodeID", "NodeName", "NodeManagerHostname", "NodeManagerAddress")
    alive = [node for node in ray.nodes() if node["Alive"]]
    found = [node for node in alive if name in {node[key] for key in keys}]
    if not found:
        known = ", ".join(sorted({node["NodeManagerHostname"] for node in alive}))
        raise DrainError(f"no node is called {name}; there are {known}")
    return found


def _emptied(ray: Any, name: str, seconds: int) -> bool:
    """Wait until a node is idle, or gone: Ray ends a drained node that is idle."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            nodes = _named(ray, name)
        except DrainError:
            return True
        if all(ray_compat.is_idle(node) for node in nodes):
            return True
        time.sleep(LOOK_SECONDS)
    return False
