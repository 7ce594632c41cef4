"""ASHA, the stopping form: a trial goes on where it is among the best at its rung.

Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020, Algorithm 2, in the form of Ray Tune and Determined: a trial
is judged once at each rung, against those that were there before it, and either dies there or runs on; it never waits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt

from raysweep.history import History, Rung, Trial
from raysweep.schedulers.audit import Share, under_audit, verdict
from raysweep.schedulers.base import CONTINUE, Decision, Ranking
from raysweep.schedulers.rung_reliability import is_skipped
from raysweep.schedulers.rungs import geometric, just_reached

PARTS = {2: "half", 3: "third", 4: "quarter", 5: "fifth", 10: "tenth"}


@dataclass(frozen=True)
class Asha:
    """At epochs `grace`, `grace * eta`, ... a trial must be among the best 1/eta of those that got there before it.

    `grace: auto` begins at epoch 1, but passes over a rung at its start whose ranks say little of
    the next one's (`schedulers/rung_reliability.py`).
    `quorum`: at the two lowest rungs a trial also stops where fewer others got before it, instead of going on unjudged.
    `audit`: this part of the trials that stop is trained to the end all the same.
    """

    grace: Annotated[int, Ge(1)] | Literal["auto"] = 1
    eta: Annotated[float, Gt(1)] = 3
    audit: Share = 0.0
    quorum: Annotated[int, Ge(0)] = 0

    promotes: ClassVar[bool] = False

    def levels(self, epochs: int) -> tuple[int, ...]:
        return geometric(1 if self.grace == "auto" else self.grace, self.eta, epochs)

    def decide(self, trial: Trial, history: History, ranking: Ranking | None = None) -> Decision:
        level = just_reached(trial, history)
        if level is None or level == history.levels[-1] or under_audit(trial):
            return CONTINUE
        if self.grace == "auto" and is_skipped(level, history, trial.number):
            return CONTINUE
        rung = history.rungs[level]
        if len(rung) <= self.quorum and level in history.levels[:2]:
            return verdict(
                trial, f"epoch {trial.epoch}: only {len(rung) - 1} others got here", self.audit
            )
        bar = cutoff(rung, trial.loss, 1 - 1 / self.eta)
        if math.isfinite(trial.loss) and trial.loss <= bar:
            return CONTINUE
        values = f"{history.show(trial.loss)} behind {history.show(bar)}"
        part = PARTS.get(round(self.eta), f"1/{self.eta:g}")
        return verdict(
            trial, f"epoch {trial.epoch}: {values} (best {part} of {len(rung) - 1})", self.audit
        )

    def promote(
        self, history: History, ranking: Ranking | None = None, *, budget_exhausted: bool
    ) -> int | None:
        """None: who was stopped stays stopped."""
        return None


def cutoff(rung: Rung, own: float, worse: float) -> float:
    """The loss at which a part `worse` of the rung's other trials is worse, interpolated; inf where there are none. `own` is left out.

    Computed on negated losses as numpy.percentile does, to the last bit, so that ties fall as in Ray. An infinite neighbour is not
    interpolated with: trials that diverged lift no bar.
    """
    others, mine = len(rung) - 1, rung.rank(own)
    if others < 1:
        return math.inf
    place = (others - 1) * (worse * 100 / 100)
    below = int(place)
    low, high = (
        -_without(rung.losses, mine, others - 1 - min(i, others - 1)) for i in (below, below + 1)
    )
    part = place - below
    if part == 0.0 or math.isinf(low):
        return -low if part == 0.0 else -high
    return -(low + (high - low) * part if part < 0.5 else high - (high - low) * (1 - part))


def _without(losses: list[float], out: int, index: int) -> float:
    """The value at `index` of the sorted losses when the one at `out` is left out."""
    return losses[index + (index >= out)]
