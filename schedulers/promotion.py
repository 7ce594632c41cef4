"""ASHA, the promotion form: a trial stops at every rung; whenever a worker is free, the best one that may go on does.

Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020, Algorithm 2. As many go on from a rung as a part 1/eta of
those that reached it, and no more, however many later ones turn out better: Li et al., "Hyper-Tune", VLDB 2022, section 4.2 (D-ASHA).
That keeps the share of each rung when a searcher learns, whose proposals are nearly all among the best third of what came before.

Whose turn it is, the searcher's outlook says where it has one (`tune/searchers/gp.py`): what it expects of a trial's end, from all
that it saw. Else the losses at the rung do, which are blind where those that learn begin worse than those that never will.

Nothing is decided for good at a rung: who stopped early on, when there was little to compare with, goes on later if its turn comes, and
the first few do not train to the end for want of others. It goes on from its checkpoint, so no epoch is trained
twice, where that was kept (`tune/callbacks/checkpoint_retention.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt

from raysweep.history import History, Rung, Trial
from raysweep.schedulers.asha import PARTS
from raysweep.schedulers.audit import Share, under_audit, verdict
from raysweep.schedulers.base import CONTINUE, Decision, Ranking
from raysweep.schedulers.rung_reliability import is_skipped, n_probes
from raysweep.schedulers.rungs import geometric, just_reached, promotion_order


@dataclass(frozen=True)
class Promotion:
    """At epochs `grace`, `grace * eta`, ... a trial waits until it is its turn to go on; 1/eta of a rung's trials do, the best first.

    `grace: auto` begins at epoch 1, but passes over a rung at its start whose ranks say little of
    the next one's (`schedulers/rung_reliability.py`). A
    searcher that learns is led astray by such a rung, and the few trials that pass it unjudged, beside the 1/eta, cost little
    (`benchmarks/search.md`).
    `audit`: this part of the trials that stop is trained to the end all the same.
    """

    grace: Annotated[int, Ge(1)] | Literal["auto"] = "auto"
    eta: Annotated[float, Gt(1)] = 3
    audit: Share = 0.0

    promotes: ClassVar[bool] = True

    def levels(self, epochs: int) -> tuple[int, ...]:
        return geometric(1 if self.grace == "auto" else self.grace, self.eta, epochs)

    def decide(self, trial: Trial, history: History, ranking: Ranking | None = None) -> Decision:
        """Where the trial would be promoted at once, it goes on instead, and its worker need not take it up again."""
        level = just_reached(trial, history)
        if level is None or level == history.levels[-1] or under_audit(trial):
            return CONTINUE
        if self.grace == "auto" and is_skipped(level, history, trial.number):
            return CONTINUE
        rung = history.rungs[level]
        if (
            self._room(rung, history) >= 0
            and next(promotion_order(rung, ranking, trial.number), None) == trial.number
            and self._next(history, ranking, level) is None
        ):
            return CONTINUE
        rank, part = rung.rank(trial.loss) + 1, PARTS.get(round(self.eta), f"1/{self.eta:g}")
        why = "but others go on first" if rank * self.eta <= len(rung) else f"a {part} goes on"
        return verdict(
            trial,
            f"epoch {trial.epoch}: {history.show(trial.loss)} is number {rank} of {len(rung)}, {why}",
            self.audit,
        )

    def promote(
        self, history: History, ranking: Ranking | None = None, *, budget_exhausted: bool
    ) -> int | None:
        """Once no new trials come, at least one goes on from each rung, so that a small sweep trains its best trial to the end."""
        return self._next(history, ranking, least=int(budget_exhausted))

    def _next(
        self, history: History, ranking: Ranking | None, above: int = 0, least: int = 0
    ) -> int | None:
        """The trial whose turn it is at the highest rung where one may go on, of those above an epoch."""
        for level in reversed(history.levels[:-1]):
            rung = history.rungs[level]
            if level > above and rung.paused and self._room(rung, history, least) > 0:
                first = next(promotion_order(rung, ranking), None)
                if first is not None:
                    return first
        return None

    def _room(self, rung: Rung, history: History, least: int = 0) -> int:
        """How many more may go on from a rung: all, where it is passed over.

        One that is being judged there counts as gone on; who went on unjudged is not counted.
        """
        if self.grace == "auto" and is_skipped(rung.level, history):
            return len(rung)
        apart = n_probes(rung.level, history) if self.grace == "auto" else 0
        return max(least, int((len(rung) - apart) / self.eta)) - (rung.n_promoted - apart)
