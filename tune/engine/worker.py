"""What runs inside a Ray worker: one attempt of one trial, reporting to the driver."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainables.attempt import Job, Outcome

KEY = "raysweep"
"""Messages travel as `{KEY: [message]}`: Ray flattens dictionaries, and leaves lists alone."""


def pack(job: Any) -> dict[str, str]:
    """A job as the configuration of a Ray trial: one string, which Ray copies and prints without looking into it."""
    return {"job": json.dumps(asdict(job))}


def unpack(config: dict[str, Any]) -> Job:
    """The job again."""
    from trainables.attempt import Job
    from trainables.run import Objective

    fields = json.loads(config["job"])
    return Job(**fields | {"objective": Objective(**fields["objective"])})


def share_of(config: dict[str, Any]) -> float:
    """The share of a GPU that a packed job asks for; 1 where there is no job."""
    return float(json.loads(config["job"])["gpu"]) if "job" in config else 1.0


def train_trial(config: dict[str, Any]) -> None:
    """A Ray Tune function trainable. The last message says how the attempt ended by itself."""
    from ray import tune

    from tune.engine.gang import train_across

    def send(message: dict[str, Any]) -> None:
        tune.report({KEY: [message]})

    job = unpack(config)
    outcome = train_across(job, send) if job.spread else train_here(job, send)
    tune.report({KEY: [{"outcome": asdict(outcome)}]})


def train_here(job: Job, send: Callable[[dict[str, Any]], None]) -> Outcome:
    """Train in this process, its checkpoints stored wherever the run lies before `send` gets a message."""
    from trainables.attempt import attempt
    from tune.engine.away import at_hand

    with at_hand(job) as (job, store):

        def stored(message: dict[str, Any]) -> None:
            if job.rank == 0:  # the others have fetched the checkpoint, and write none
                store()
            send(message)

        return attempt(job, stored)
