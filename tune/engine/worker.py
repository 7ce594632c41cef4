"""What runs inside a Ray worker: one attempt of one trial, reporting to the driver."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

KEY = "raysweep"
"""Messages travel as `{KEY: [message]}`: Ray flattens dictionaries, and leaves lists alone."""


def pack(job: Any) -> dict[str, str]:
    """A job as the configuration of a Ray trial: one string, which Ray copies and prints without looking into it."""
    return {"job": json.dumps(asdict(job))}


def share_of(config: dict[str, Any]) -> float:
    """The share of a GPU that a packed job asks for; 1 where there is no job."""
    return float(json.loads(config["job"])["gpu"]) if "job" in config else 1.0


def train_trial(config: dict[str, Any]) -> None:
    """A Ray Tune function trainable. The last message says how the attempt ended by itself."""
    from ray import tune

    from trainables.attempt import Job, attempt
    from trainables.run import Objective
    from tune.engine.away import at_hand

    fields = json.loads(config["job"])
    job = Job(**fields | {"objective": Objective(**fields["objective"])})
    with at_hand(job) as (job, store):

        def send(message: dict[str, Any]) -> None:
            store()
            tune.report({KEY: [message]})

        outcome = attempt(job, send)
    tune.report({KEY: [{"outcome": asdict(outcome)}]})
