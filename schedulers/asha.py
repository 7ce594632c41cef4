"""Asynchronous successive halving, in its stopping form.

Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020, Algorithm 2. In the stopping form, that of Ray Tune and of
Determined, a trial is judged once at each rung and either dies there or runs on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt

from results.history import History, Rung, Trial
from schedulers.decision import GO_ON, Decision

PARTS = {2: "half", 3: "third", 4: "quarter", 5: "fifth", 10: "tenth"}


@dataclass(frozen=True)
class Asha:
    """At epochs `grace`, `grace * eta`, ... a trial must be among the best 1/eta of those that got there before it."""

    grace: Annotated[int, Ge(1)] = 1
    eta: Annotated[float, Gt(1)] = 3

    def levels(self, epochs: int) -> tuple[int, ...]:
        """The rungs, and the end of the training as the last of them. Counted, not computed by logarithms, which miss the top of 243."""
        rungs, level = [], float(self.grace)
        while level < epochs:
            rungs.append(round(level))
            level *= self.eta
        return (*dict.fromkeys(rungs), epochs)

    def decide(self, trial: Trial, history: History) -> Decision:
        level = history.level_of(trial.epoch)
        if level is None or level == history.levels[-1] or not _arrives(trial, level):
            return GO_ON
        rung = history.rungs[level]
        bar = cutoff(rung, trial.loss, 1 / self.eta)
        if bar is None or trial.loss <= bar:
            return GO_ON
        values = f"{history.show(trial.loss)} behind {history.show(bar)}"
        return Decision(True, f"epoch {trial.epoch}: {values} (best {PARTS.get(round(self.eta), f'1/{self.eta:g}')} of {len(rung) - 1})")


def _arrives(trial: Trial, level: int) -> bool:
    """Whether the trial's last report is its first one at this level."""
    return len(trial.reports) < 2 or trial.reports[-2].epoch < level


def cutoff(rung: Rung, own: float, part: float) -> float | None:
    """The loss that the best `part` of the other trials at a rung reached, interpolated linearly; None where there are no others.

    `own` is one of the rung's losses and is left out. An infinite neighbour is not interpolated with: diverged trials lift no bar.
    """
    count = len(rung) - 1
    if count < 1:
        return None
    mine = rung.rank(own)
    place = (count - 1) * part
    low, high = (rung.losses[i + (i >= mine)] for i in (math.floor(place), math.ceil(place)))
    return low if math.isinf(high) else low + (high - low) * (place - math.floor(place))
