"""What runs inside a Ray worker: it trains one trial after another, and reports to the driver."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from raysweep.trainables.runtime.job import read_job
from raysweep.trainables.runtime.outcome import Outcome
from raysweep.trainables.runtime.run import StorageError
from raysweep.trainables.runtime.trial_process import BEAT_SECONDS
from raysweep.trainables.runtime.worker import Worker
from raysweep.tune.executors.messages import KEY
from raysweep.tune.executors.ray.ray_compat import take_answer

if TYPE_CHECKING:
    from raysweep.trainables.runtime.job import Job

T = TypeVar("T")
_worker = Worker()
"""Of this process: its trials are forked from the same template."""


def pack(job: Any) -> dict[str, str]:
    """A job as the configuration of a Ray trial: one string, which Ray copies and prints without
    looking into it."""
    return {"job": json.dumps(asdict(job))}


def unpack(config: dict[str, Any]) -> Job:
    """The job again."""
    return read_job(json.loads(config["job"]))


def gpu_of(config: dict[str, Any]) -> float:
    """The GPU fraction that a packed job asks for; 1 if there is no job."""
    return float(json.loads(config["job"])["gpu"]) if "job" in config else 1.0


def kind_of_gpu(config: dict[str, Any]) -> str:
    """The kind of GPU that a packed job asks for; "" for any, or if there is no job."""
    return str(json.loads(config["job"])["accelerator"]) if "job" in config else ""


def train_trial(config: dict[str, Any]) -> None:
    """A Ray Tune function trainable. The last message says how the attempt ended by itself."""
    from ray import tune

    from raysweep.tune.executors.ray.multi_node import train_across

    def send(message: dict[str, Any]) -> dict[str, Any] | None:
        tune.report({KEY: [message]})
        if "group" not in message:
            return None
        answer: dict[str, Any] = json.loads(take_answer(tune.get_context().get_trial_id()))
        return answer

    def beat() -> None:
        send({"alive": True})

    beat()
    job = unpack(config)
    train = train_across if job.spread else train_here
    try:
        outcome = train(job, send, beat)
    except StorageError as error:
        outcome = Outcome("storage", str(error))
    send({"outcome": asdict(outcome)})


def train_here(
    job: Job, send: Callable[[dict[str, Any]], Any], beat: Callable[[], None]
) -> Outcome:
    """Train on this machine, the checkpoints stored wherever the run lies before `send` is told.

    `beat` is called every few seconds while there is nothing else to say.
    """
    from raysweep.tune.executors.ray.checkpoint_sync import GroupAtHand, at_hand

    if job.fuse > 1:
        with GroupAtHand(lambda call: beating(call, beat)) as group:
            local = group.bring(job)
            return _worker.train(local, lambda message: group.exchange(send, message), beat)

    with at_hand(job, lambda call: beating(call, beat)) as (job, store):

        def stored(message: dict[str, Any]) -> None:
            if job.rank == 0:  # the others have fetched the checkpoint, and write none
                store()
            send(message)

        return _worker.train(job, stored, beat)


def beating(call: Callable[[], T], beat: Callable[[], None]) -> T:
    """What a call returns that may take minutes, as an upload does; `beat` is called meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(call)
        while True:
            try:
                return future.result(BEAT_SECONDS)
            except TimeoutError:
                if future.done():
                    raise
                beat()
