"""What is sent to Ray's workers by value: a worker may lack raysweep, or find it in another folder.

Functions and classes that are defined inside a function are pickled by value, so that nothing of
ours is imported to unpickle them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from raysweep.finder import START


def finding() -> Callable[[], None]:
    """A function that makes `raysweep` importable in a worker.

    It is taken from the driver's folder or, on a node that lacks the folder, from the node's own
    installation.
    """
    start = str(START)

    def find() -> None:
        import os
        import runpy
        import sys

        if "raysweep" not in sys.modules and os.path.exists(start):
            runpy.run_path(start, run_name="raysweep_start")
        import raysweep  # noqa: F401

    return find


def train_function() -> Callable[[dict[str, Any]], None]:
    """The function that Ray Tune calls in a worker for each trial."""
    find = finding()

    def train_trial(config: dict[str, Any]) -> None:
        find()
        from raysweep.tune.executors.ray.ray_worker import train_trial as train

        train(config)

    return train_trial


def member_class() -> type[Any]:
    """The class of an actor that is a `raysweep.tune.executors.ray.multi_node.Member`."""
    find = finding()

    class Carried:
        def __init__(self) -> None:
            find()
            from raysweep.tune.executors.ray.multi_node import Member

            self._member = Member()

        def open(self) -> str:
            return self._member.open()

        def train(self, config: dict[str, str]) -> dict[str, Any]:
            return self._member.train(config)

        def next_report(self) -> dict[str, Any]:
            return self._member.next_report()

        def acknowledge(self) -> None:
            self._member.acknowledge()

    return Carried
