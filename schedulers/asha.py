"""ASHA, the asynchronous successive halving algorithm, in both of its forms.

Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020, Algorithm 2. Trials
are compared at rungs: epochs `grace`, `grace * eta`, `grace * eta**2` and so on.

- `promotion`, the form of the paper: a trial pauses at every rung. Whenever a worker is free, the
  best of the paused trials is promoted: it continues to the next rung from its checkpoint. No
  decision is final, so a trial that was compared with few others may still be promoted later.
- `stopping`, the form of Ray Tune and Determined: a trial is compared once, with those that reached
  the rung before it, and then either stops for good or continues without waiting.

The promotion form differs from the paper in four points. Of the trials of a rung, at most a
fraction 1/eta is promoted, however many better ones come later (D-ASHA: Li et al., "Hyper-Tune",
VLDB 2022, section 4.2). Without this limit, a searcher that learns would fill the upper rungs,
because nearly all that it proposes is among the best third of what came before. And if the searcher
predicts the final losses of the trials (`tune/searchers/gp.py`), those decide which trial is
promoted first, rather than the losses at the rung: a good configuration may begin worse than a bad
one. First configurations that earlier runs suggest go on while they lead (`remembered.py`). Last,
the best trial of all is trained to the end once nothing new is proposed.

In a sweep with several metrics, trials are compared by fronts, with a tie-break that keeps the
front spread (`schedulers/front_rungs.py`), and without those that will not keep a limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt

from raysweep.formatting import plural
from raysweep.history import History, Rung, Trial
from raysweep.schedulers.audit import AuditFraction, is_audited, stop_or_audit
from raysweep.schedulers.base import CONTINUE, Decision, Ranking
from raysweep.schedulers.front_rungs import compared
from raysweep.schedulers.remembered import first_leading, leads
from raysweep.schedulers.rung_reliability import is_skipped, n_probes
from raysweep.schedulers.rungs import geometric, just_reached, promotion_order, quantile_of_others

FRACTIONS = {2: "half", 3: "third", 4: "quarter", 5: "fifth", 10: "tenth"}
"""The words for 1/eta."""


@dataclass(frozen=True)
class Asha:
    """Compares trials at epochs `grace`, `grace * eta`, ...; the best 1/eta of a rung continue.

    `type`: whether the other trials pause and may be promoted later (`promotion`), or stop.
    `grace: auto` begins at epoch 1, but skips the first rungs as long as their losses do not
    predict those at the next one. Under a searcher that forecasts how trials end, every second
    trial passes the first rung in any case (`schedulers/rung_reliability.py`). It is the default of
    the promotion form; that of the stopping form is 1. A searcher that learns is misled by a rung
    that predicts little (`benchmarks/search.md`).
    `audit`: the fraction of the stopped trials that is trained to the end nevertheless.
    `quorum`: at the two lowest rungs, the stopping form stops a trial if fewer than this many
    others reached the rung before it, rather than let it continue without a comparison.
    """

    several_metrics: ClassVar[bool] = True

    type: Literal["promotion", "stopping"] = "promotion"
    grace: Annotated[int, Ge(1)] | Literal["auto"] | None = None
    eta: Annotated[float, Gt(1)] = 3
    audit: AuditFraction = 0.0
    quorum: Annotated[int, Ge(0)] | None = None

    def __post_init__(self) -> None:
        """Fill in the defaults that depend on the type. Raises ValueError for a stray quorum."""
        stops = self.type == "stopping"
        if self.quorum is not None and not stops:
            raise ValueError("quorum is an option of type: stopping")
        if self.quorum is None and stops:
            object.__setattr__(self, "quorum", 0)
        if self.grace is None:
            object.__setattr__(self, "grace", 1 if stops else "auto")

    @property
    def promotes(self) -> bool:
        return self.type == "promotion"

    def levels(self, epochs: int) -> tuple[int, ...]:
        first = self.grace if isinstance(self.grace, int) else 1
        return geometric(first, self.eta, epochs)

    def decide(self, trial: Trial, history: History, ranking: Ranking | None = None) -> Decision:
        level = just_reached(trial, history)
        if level is None or level == history.levels[-1] or is_audited(trial):
            return CONTINUE
        history = compared(history)
        if trial.number not in history.rungs[level].by_trial:
            why = f"epoch {trial.epoch}: training will not bring it back within a limit"
            return stop_or_audit(trial, why, self.audit)
        lasting = ranking is not None
        if self.grace == "auto" and is_skipped(level, history, trial.number, lasting=lasting):
            return CONTINUE
        if self.promotes and leads(trial, history):
            return CONTINUE
        reason = self._reason(trial, level, history, ranking)
        if reason is None:
            return CONTINUE
        return stop_or_audit(trial, f"epoch {trial.epoch}: {reason}", self.audit)

    def promote(
        self, history: History, ranking: Ranking | None = None, *, budget_exhausted: bool
    ) -> int | None:
        """The paused trial to promote; always None for the stopping form.

        Once no new trials are started, at least one trial is promoted from each rung, so that a
        small sweep trains a trial to the end. Then the best trial of all is promoted, too, even if
        others took the places of its rung before it came: it is the result of the sweep.
        """
        if not self.promotes:
            return None
        if (leading := first_leading(history)) is not None:
            return leading
        at_least = int(budget_exhausted)
        first = self._first_promotion(compared(history), ranking, at_least=at_least)
        if first is None and budget_exhausted:
            return _best_if_paused(history)
        return first

    def finish(self, history: History, ranking: Ranking | None = None) -> int | None:
        """The best trial that is paused at the highest rung; always None for the stopping form.

        The limit of promotions keeps time for new trials, of which there will be none.
        """
        if not self.promotes:
            return None
        history = compared(history)
        all_places = max(map(len, history.rungs.values()))
        return self._first_promotion(history, ranking, at_least=all_places)

    def _reason(
        self, trial: Trial, level: int, history: History, ranking: Ranking | None
    ) -> str | None:
        """Why a trial does not continue past a rung; None if it does."""
        if self.promotes:
            return self._reason_to_pause(trial, level, history, ranking)
        return self._reason_to_stop(trial, level, history)

    def _reason_to_stop(self, trial: Trial, level: int, history: History) -> str | None:
        """Why a trial stops for good; None if it is among the best 1/eta."""
        rung = history.rungs[level]
        n_others = len(rung) - 1
        if n_others < (self.quorum or 0) and level in history.levels[:2]:
            return f"only {plural(n_others, 'other')} to compare it with"
        loss = rung.by_trial[trial.number]
        threshold = quantile_of_others(rung, loss, 1 - 1 / self.eta)
        if math.isfinite(loss) and loss <= threshold:
            return None
        best = f"the best {self._fraction} of {plural(n_others, 'other')}"
        if rung.outcomes:
            return f"number {rung.rank(loss) + 1} of {len(rung)} by fronts is not among {best}"
        shown = history.show(threshold)
        return f"{history.show(loss)} is not among {best} ({shown} or better)"

    def _reason_to_pause(
        self, trial: Trial, level: int, history: History, ranking: Ranking | None
    ) -> str | None:
        """Why a trial pauses; None if it would be promoted at once.

        It continues then, so that its worker need not load the checkpoint that it has just written.
        """
        rung = history.rungs[level]
        loss = rung.by_trial[trial.number]
        places = self._places(rung, history, ranking)
        if self._free_places(rung, history, ranking) < 0:
            why = self._why_full(trial, rung, history, places)
        else:
            first = next(promotion_order(rung, ranking, trial.number), None)
            if first != trial.number:
                why = self._why_not_first(trial, first, rung, places)
            elif self._first_promotion(history, ranking, above=level) is None:
                return None
            else:
                why = "one that has trained longer continues first"
        rank = rung.rank(loss) + 1
        place = "the best" if rank == 1 else f"number {rank}"
        if rung.outcomes:
            place = "the first" if rank == 1 else place
            return f"it is {place} of {len(rung)} by fronts so far; {why}"
        return f"{history.show(loss)} is {place} of {len(rung)} so far; {why}"

    def _why_full(self, trial: Trial, rung: Rung, history: History, places: int) -> str:
        """Why a trial pauses at a rung from which no further trial may be promoted now."""
        if rung.rank(rung.by_trial[trial.number]) + 1 > places:
            return f"of every {self.eta:g} that are compared here 1 continues"
        chosen = "it was" if places == 1 else "they were"
        return f"{places} of them may continue, and {chosen} chosen before"

    def _why_not_first(self, trial: Trial, first: int | None, rung: Rung, places: int) -> str:
        """Why a trial pauses although a place is free: trial number `first` is to have it."""
        if first is None:
            return "a value that is not finite is never promoted"
        ahead = "another is ahead by forecast"
        if rung.by_trial[first] <= rung.by_trial[trial.number]:
            ahead = "a better one is ahead"
        return f"{places} of them may continue, and {ahead}"

    def _first_promotion(
        self, history: History, ranking: Ranking | None, above: int = 0, at_least: int = 0
    ) -> int | None:
        """The trial to promote, from the highest rung above an epoch that has a free place."""
        for level in reversed(history.levels[:-1]):
            rung = history.rungs[level]
            if level <= above or not rung.paused:
                continue
            if self._free_places(rung, history, ranking, at_least) > 0:
                first = next(promotion_order(rung, ranking), None)
                if first is not None:
                    return first
        return None

    def _free_places(
        self, rung: Rung, history: History, ranking: Ranking | None, at_least: int = 0
    ) -> int:
        """How many more trials may be promoted from a rung: all of them if it is skipped.

        A trial that is being compared at the rung counts as promoted. The probes of `grace: auto`
        do not count.
        """
        if self.grace == "auto" and is_skipped(rung.level, history):
            return len(rung)
        places = max(at_least, self._places(rung, history, ranking))
        return places - (rung.n_promoted - self._probes(rung, history, ranking))

    def _places(self, rung: Rung, history: History, ranking: Ranking | None) -> int:
        """How many of the trials that are compared at a rung may be promoted."""
        return int((len(rung) - self._probes(rung, history, ranking)) / self.eta)

    def _probes(self, rung: Rung, history: History, ranking: Ranking | None) -> int:
        if self.grace != "auto":
            return 0
        return n_probes(rung.level, history, lasting=ranking is not None)

    @property
    def _fraction(self) -> str:
        return FRACTIONS.get(round(self.eta), f"1/{self.eta:g}")


def _best_if_paused(history: History) -> int | None:
    """The trial with the least loss, if it is paused.

    None in a sweep with several objectives: its result is a front.
    """
    if history.best is None or history.n_objectives > 1:
        return None
    trial, _ = history.best
    rung = history.last_rung(trial)
    return trial.number if rung is not None and rung.is_paused(trial.number) else None
