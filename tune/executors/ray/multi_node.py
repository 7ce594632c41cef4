"""Trains one trial with several processes on any nodes: `resources: {workers: 4, spread: true}`.

Each process is an actor in a bundle of the trial's own placement group. The trial's worker starts
the actors and receives their messages; among themselves they communicate over TCP. Stopping the
trial ends them in any case: its worker kills them, they die with their owner, and the placement
group is removed with the trial.

Ray Train's TorchTrainer would do the same with a placement group outside of the trial's resources.
A cleaner that asks the State API removes that group; if the API does not answer, the group stays,
and the next trial waits for ever.
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
"""Seconds after the first bad end in which those of the other processes count, too: Ray takes a
while to tell that a machine is gone."""
ADDRESS_OF = 0x8915
"""SIOCGIFADDR: the IPv4 address of a network interface."""


def train_across(job: Job, send: Callable[[Message], Any], beat: Callable[[], None]) -> Outcome:
    """Train with one process in each bundle of this trial's placement group.

    What `send` raises stops them.
    """
    import ray

    with _actors(ray, job.workers) as members:
        rendezvous = ray.get(members[0].open.remote()) + rendezvous_suffix(job)
        ends = [
            member.train.remote(pack(_job_of_rank(job, rank, rendezvous)))
            for rank, member in enumerate(members)
        ]
        return supervise(
            ActorGroup(ray, members[0], dict(zip(ends, range(job.workers), strict=True))),
            job.workers,
            send,
            GRACE,
            beat,
        )


@contextmanager
def _actors(ray: Any, count: int) -> Iterator[list[Any]]:
    """An actor in each bundle; they are killed after the body."""
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
                "max_concurrency": 4,  # it answers calls while it trains
            }
            members.append(ray.remote(member_class()).options(**options).remote())
        yield members
    finally:
        for member in members:
            ray.kill(member)


def _job_of_rank(job: Job, rank: int, rendezvous: str) -> Job:
    """The job as the process of that rank gets it: each process has a log of its own."""
    log = job.log
    if rank and not is_url(log):
        log = str(Path(log).with_suffix(f".{rank}.log"))
    return replace(job_of_one_process(job), rank=rank, rendezvous=rendezvous, log=log)


@dataclass
class ActorGroup:
    """The actors as `supervise` receives from them: the reports of the first, and all their ends.

    `ends`: the rank of the actor whose training each of Ray's references stands for. `report`: the
    reference of the next report.
    """

    ray: Any
    first: Any
    ends: dict[Any, int]
    report: Any = None

    def hear(self, timeout: float) -> tuple[int, Message | None]:
        self.report = self.report or self.first.next_report.remote()
        ready, _ = self.ray.wait([*self.ends, self.report], num_returns=1, timeout=timeout)
        if not ready:
            raise queue.Empty
        rank = self.ends.pop(ready[0], None)
        if rank is None:
            self.report = None
        return rank or 0, self._message(ready[0])

    def _message(self, reference: Any) -> Message:
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
        self.first.acknowledge.remote()


class Member:
    """What an actor runs: one of the processes that train a trial."""

    def __init__(self) -> None:
        self._reports: queue.Queue[Message] = queue.Queue()
        self._replies: queue.Queue[None] = queue.Queue()
        self._store: Any = None

    def open(self) -> str:
        """Open a rendezvous at this process."""
        name, self._store = open_rendezvous(_address())
        return name

    def train(self, config: dict[str, str]) -> Message:
        """Train, and return how and when that ended."""
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

    def next_report(self) -> Message:
        """Wait for the next report, and return it."""
        return self._reports.get()

    def acknowledge(self) -> None:
        """Say that the last report was received, so that training continues."""
        self._replies.put(None)


def _nothing() -> None:
    """No sign of life: the trial's worker gives one for all of its processes."""


def _ignore(message: Message) -> None:
    """Drop a report: only those of the first process count."""


def _address() -> str:
    """The address by which other machines reach this one, as Ray knows it."""
    import ray

    return str(ray.util.get_node_ip_address())


def interface(address: str) -> str:
    """The network interface that has an IPv4 address; "" if none has it.

    gloo and nccl are told to use it: they would guess another from the host's name.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                found = fcntl.ioctl(probe, ADDRESS_OF, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue  # it has none
            if socket.inet_ntoa(found[20:24]) == address:
                return name
    return ""
