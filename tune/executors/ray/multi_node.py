"""One trial trained by several processes wherever the cluster has room for them: `resources: {workers: 4, spread: true}`.

Each is an actor in a bundle of the trial's own placement group, started and heard by the trial's worker. They meet over TCP. Stopping the
trial ends them three times over: its worker kills them, they die with their owner, and the placement group goes with the trial.

Ray Train's TorchTrainer would do the same with a placement group outside of the trial's resources, which is left to a cleaner that asks
the State API; where that does not answer, the group stays, and the next trial waits for ever.
"""

from __future__ import annotations

import fcntl
import queue
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from raysweep.results.storage.object_store import is_url
from raysweep.trainables.runtime.job import Job
from raysweep.trainables.runtime.local_ddp import (
    Message,
    job_of_one_process,
    rendezvous_suffix,
    supervise,
)
from raysweep.trainables.runtime.outcome import Outcome
from raysweep.trainables.runtime.process_group import open_rendezvous
from raysweep.tune.executors.ray.by_value import member_class
from raysweep.tune.executors.ray.ray_worker import pack, train_here, unpack
from raysweep.tune.executors.ray.worker_failure import explain

GRACE = 5.0
"""Seconds in which the others' words count after the first bad one: Ray takes a while to tell that a machine is gone."""
ADDRESS_OF = 0x8915
"""SIOCGIFADDR: the IPv4 address of a network interface."""


def train_across(job: Job, send: Callable[[Message], None], beat: Callable[[], None]) -> Outcome:
    """Train with one process in each bundle of this trial's placement group. `send` may raise to stop them."""
    import ray

    with _gathered(ray, job.workers) as members:
        rendezvous = ray.get(members[0].open.remote()) + rendezvous_suffix(job)
        ends = [
            member.train.remote(pack(_its(job, rank, rendezvous)))
            for rank, member in enumerate(members)
        ]
        return supervise(
            Gang(ray, members[0], dict(zip(ends, range(job.workers), strict=True))),
            job.workers,
            send,
            GRACE,
            beat,
        )


@contextmanager
def _gathered(ray: Any, count: int) -> Iterator[list[Any]]:
    """An actor in each bundle; killed at the end."""
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    group = ray.util.get_current_placement_group()
    members: list[Any] = []
    try:
        for index, bundle in enumerate(group.bundle_specs[:count]):
            amounts = dict(bundle)
            options = {
                "num_cpus": amounts.pop("CPU", 0),
                "num_gpus": amounts.pop("GPU", 0),
                "resources": amounts,
                "scheduling_strategy": PlacementGroupSchedulingStrategy(group, index),
                "max_concurrency": 4,  # it trains, and is heard and answered meanwhile
            }
            members.append(ray.remote(member_class()).options(**options).remote())
        yield members
    finally:
        for member in members:
            ray.kill(member)


def _its(job: Job, rank: int, rendezvous: str) -> Job:
    """The job as the process of that rank sees it."""
    log = job.log if is_url(job.log) or not rank else str(Path(job.log).with_suffix(f".{rank}.log"))
    return replace(job_of_one_process(job), rank=rank, rendezvous=rendezvous, log=log)


@dataclass
class Gang:
    """The actors as `supervise` hears them: the first one's reports, and how each of them ends."""

    ray: Any
    first: Any
    ends: dict[Any, int]
    word: Any = None

    def hear(self, timeout: float) -> tuple[int, Message | None]:
        self.word = self.word or self.first.say.remote()
        ready, _ = self.ray.wait([*self.ends, self.word], num_returns=1, timeout=timeout)
        if not ready:
            raise queue.Empty
        rank = self.ends.pop(ready[0], None)
        if rank is None:
            self.word = None
        return rank or 0, self._said(ready[0])

    def _said(self, reference: Any) -> Message:
        try:
            message: Message = self.ray.get(reference)
        except self.ray.exceptions.RayActorError as error:
            return {
                "outcome": {
                    "status": "died",
                    "time": time.time(),
                    "reason": explain(error).reason,
                }
            }
        return message

    def acknowledge(self) -> None:
        self.first.go_on.remote()


class Member:
    """One of the processes, in an actor."""

    def __init__(self) -> None:
        self._reports: queue.Queue[Message] = queue.Queue()
        self._replies: queue.Queue[None] = queue.Queue()
        self._store: Any = None

    def open(self) -> str:
        """Open a rendezvous at this process."""
        name, self._store = open_rendezvous(_address())
        return name

    def train(self, config: dict[str, str]) -> Message:
        """Train, and say how that ended and when."""
        job, network = unpack(config), interface(_address())
        names = {"GLOO_SOCKET_IFNAME": network, "NCCL_SOCKET_IFNAME": network} if network else {}
        outcome = train_here(
            replace(job, environment=job.environment | names),
            self._report if job.rank == 0 else _ignore,
            _nothing,
        )
        return {"outcome": asdict(outcome) | {"time": time.time()}}

    def _report(self, message: Message) -> None:
        self._reports.put(message)
        self._replies.get()

    def say(self) -> Message:
        """The next report, when there is one."""
        return self._reports.get()

    def go_on(self) -> None:
        """The last report was received."""
        self._replies.put(None)


def _nothing() -> None:
    """The process that the gang belongs to says that the trial is alive."""


def _ignore(message: Message) -> None:
    """Only the first process is heard."""


def _address() -> str:
    """The address by which other machines reach this one, as Ray knows it."""
    import ray

    return str(ray.util.get_node_ip_address())


def interface(address: str) -> str:
    """The network interface with an IPv4 address, where gloo and nccl are to meet the others: they would guess it from the host's name.

    "" where there is none.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        for _, name in socket.if_nameindex():
            try:
                found = fcntl.ioctl(one, ADDRESS_OF, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue  # it has none
            if socket.inet_ntoa(found[20:24]) == address:
                return name
    return ""
