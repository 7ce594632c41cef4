"""The history that a searcher reads where it is not that of the sweep.

That is so after the space of the sweep was changed, and where configurations are repeated with
other seeds (`seeds_per_trial: auto`).

A trial whose configuration is outside of the space has no place in the unit cube, and a searcher
that counted it at an end of a range would be misled. So a searcher reads a history of the trials
inside alone. The trials outside stay in the history of the sweep.

A configuration that was repeated is one trial there, with the mean losses over its seeds, so no
searcher need know of repeats. The history is made anew when a repeat ends. What a searcher keeps of
it is made anew too, so a resumed sweep proposes the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from raysweep.history import Event, History, apply, split_id
from raysweep.repeats import REPEATS
from raysweep.schedulers.base import Ranking
from raysweep.search_spaces.language.space import Space
from raysweep.tune.sweep import RankingSearcher, Study

SEEDS = 2**31


@dataclass
class Inside:
    """The trials of a study inside of a space, as a history of their own.

    numbers: of these trials within the study, by their numbers in `history`.
    """

    study: str
    space: Space
    history: History
    numbers: list[int]
    _places: dict[int, int] = field(init=False)

    def __post_init__(self) -> None:
        self._places = {number: place for place, number in enumerate(self.numbers)}

    @classmethod
    def of(cls, study: str, space: Space, history: History) -> Inside:
        numbers = [
            trial.number
            for trial in history
            if REPEATS not in trial.notes and trial.config in space
        ]
        return cls(study, space, history.only(numbers), numbers)

    def apply(self, event: Event) -> None:
        """Change the history as an event of the ledger says."""
        if event["event"] == "proposed":
            is_repeat = REPEATS in event.get("notes", {})
            if event["study"] == self.study and not is_repeat and event["config"] in self.space:
                number = event["number"]
                self._places[number] = len(self.numbers)
                self.numbers.append(number)
                self._apply(event | {"number": self._places[number]})
            return
        if "trial" in event:
            if (name := self._renamed(event["trial"])) is not None:
                self._apply(event | {"trial": name})
        elif event["event"] == "command":
            self._command(event)

    def _command(self, event: Event) -> None:
        arguments: Mapping[str, Any] = event["arguments"]
        if event["outcome"] == "applied" and "trial" in arguments:
            name = self._renamed(arguments["trial"])
            if name is None:
                return
            event = event | {"arguments": {**arguments, "trial": name}}
        self._apply(event)

    def _renamed(self, trial_id: str) -> str | None:
        """The name of a trial in `history`; None if it is outside, or of another study."""
        study, number = split_id(trial_id)
        place = self._places.get(number) if study == self.study else None
        return None if place is None else f"{study}-{place}"

    def _apply(self, event: Event) -> None:
        apply(event, {self.study: self.history})

    def seed(self, study: Study, count: int) -> int:
        """The seed for a study of `count` configurations.

        A searcher draws from its seed and the length of the history. The trials outside go into the
        seed, so that nothing is drawn twice.
        """
        outside = count - len(self.numbers)
        if not outside:
            return study.seed
        return int(np.random.SeedSequence([study.seed, outside]).generate_state(1)[0]) % SEEDS

    def ranking(self, searcher: RankingSearcher) -> Ranking:
        """What a searcher expects of the trials inside, by their numbers within the study."""

        def rank() -> Mapping[int, float]:
            found = searcher.rank(self.space, self.history)
            return {self.numbers[place]: loss for place, loss in found.items()}

        return rank
