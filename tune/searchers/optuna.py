"""Optuna's samplers as a searcher (Akiba et al., "Optuna", KDD 2019).

An Optuna study is rebuilt in memory from the history for each proposal, and the sampler proposes a
point of the unit cube. So conditions, constraints and scales are those of the space:

- An inactive parameter is left out of a trial for `TPESampler`, which models what is missing. The
  other samplers need every parameter in every trial, and see an inactive one in the middle of its
  range.
- A proposal that breaks a constraint, or that was tried before, is left running in that study, and
  the sampler is asked again, up to `MAX_ATTEMPTS` times. Then an untried configuration is drawn.
  `QMCSampler` is asked once, because its sequence has one point for each trial.
- `CmaEsSampler` has no choices, and sees each as a number, in the order of its values.

A trial that completed counts with its last loss, one that failed or diverged as failed, and one
that has not ended as running. `TPESampler` is told of a stopped trial as a pruned one, with its
losses by epoch. The other samplers ignore pruned trials, so they are told that it completed with
its last loss. They learn most without early stopping.

In a sweep with several metrics, the study has a direction for each objective and a constraint for
each limit. `CmaEsSampler` has one direction only. A stopped trial then counts as completed for
`TPESampler` too, because Optuna prunes only trials of one objective.

`CmaEsSampler`, `NSGAIISampler` and `NSGAIIISampler` keep their state in the study's trials, and
`QMCSampler` in the study. For them each trial is asked for and told again, in the order of the
trials' numbers. That is the order of a sweep that trains one trial at a time.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from raysweep.errors import first_line
from raysweep.history import Config, History, Status, Trial
from raysweep.search_spaces.language.space import Space
from raysweep.tune.searchers.models.threads import single_thread
from raysweep.tune.searchers.per_history import PerHistory
from raysweep.tune.searchers.untried import Untried

if TYPE_CHECKING:
    from raysweep.tune.searchers.models.optuna_study import Cube

MAX_ATTEMPTS = 20
"""So many proposals may break the constraints or repeat a trial before one is drawn."""
SINGLE = ("CmaEsSampler",)
"""The samplers that know one objective only."""
SEEDS = 2**31
"""Seeds of Optuna's samplers lie below this number (numpy's RandomState takes 32 bits)."""
REPLAYED = ("CmaEsSampler", "NSGAIISampler", "NSGAIIISampler", "QMCSampler")
"""The samplers with a state of their own, which is made again from the history."""
UNSUPPORTED = ("seed", "independent_sampler", "constraints_func")
"""Options of samplers that a file cannot set. The seed is raysweep's; the others are objects."""

Signature = tuple[Status, int]
"""What can change of a trial: its status and its last epoch."""
Known = list[tuple[Signature, Any]]
"""The trials of a history as Optuna's FrozenTrials, each with its signature, in order."""


@dataclass
class Optuna:
    """Proposes what one of Optuna's samplers proposes.

    `sampler` is the name of its class in `optuna.samplers`, and `options` are the arguments of that
    class, except `seed`. Needs `pip install 'raysweep[optuna]'`.
    """

    sampler: Literal[
        "TPESampler",
        "GPSampler",
        "CmaEsSampler",
        "NSGAIISampler",
        "NSGAIIISampler",
        "QMCSampler",
        "RandomSampler",
    ] = "TPESampler"
    options: Mapping[str, bool | int | float | str] = field(default_factory=dict)
    _known: PerHistory[Known] = field(
        default_factory=lambda: PerHistory(lambda _: []), init=False, repr=False, compare=False
    )
    _untried: PerHistory[Untried] = field(
        default_factory=lambda: PerHistory(Untried), init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if find_spec("optuna") is None:
            raise ValueError("Optuna is not installed; pip install 'raysweep[optuna]'")
        if self.sampler == "CmaEsSampler" and find_spec("cmaes") is None:
            raise ValueError("cmaes is not installed; pip install 'raysweep[optuna]'")
        if self.options:
            self._check_options()

    def _check_options(self) -> None:
        """Raise ValueError if the sampler's class refuses the options."""
        import optuna

        kind = getattr(optuna.samplers, self.sampler)
        names = inspect.signature(inspect.unwrap(kind.__init__)).parameters
        for name in self.options:
            if name not in names or name in UNSUPPORTED:
                known = sorted(set(names) - {"self", *UNSUPPORTED})
                raise ValueError(
                    f"{self.sampler} has no option '{name}'; expected one of {', '.join(known)}"
                )
        from raysweep.tune.searchers.models.optuna_study import quiet

        try:
            with quiet():
                self._sampler(0)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self.sampler}: {first_line(error)}") from None

    @property
    def several_metrics(self) -> bool:
        """True if the sampler can do with several objectives."""
        return self.sampler not in SINGLE

    def check_space(self, space: Space) -> None:
        """Raise ValueError if the sampler cannot search the space."""
        if self.sampler == "CmaEsSampler" and len(space) == 1:
            raise ValueError("CmaEsSampler needs two parameters or more; the space has one")

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        from raysweep.tune.searchers.models.optuna_study import Cube, quiet

        rng = np.random.default_rng([seed, len(history)])
        untried = self._untried.of(space, history).read(history)
        if not len(space):
            return untried.sample(rng)
        cube = Cube(space, self.sampler)
        with quiet(), single_thread():
            study = self._study(cube, history, seed)
            for _ in range(1 if self.sampler == "QMCSampler" else MAX_ATTEMPTS):
                study.sampler = self._seeded(seed, rng)
                config = cube.config(study.ask(cube.distributions).params)
                if config in untried and space.allows(config):
                    return config
        return untried.sample(rng)

    def _study(self, cube: Cube, history: History, seed: int) -> Any:
        """The history as a study of Optuna's."""
        import optuna

        study = optuna.create_study(directions=["minimize"] * history.n_objectives)
        known = self._known.of(cube.space, history)
        if self.sampler == "QMCSampler":  # what is kept of a trial does not hold its state
            known.clear()
        del known[_unchanged(known, history) :]
        study.add_trials([frozen for _, frozen in known])
        for number in range(len(known), len(history)):
            self._add(study, cube, history[number], seed)
        frozen = study.get_trials(deepcopy=False)[len(known) :]
        known.extend((_signature(history[one.number]), one) for one in frozen)
        return study

    def _add(self, study: Any, cube: Cube, trial: Trial, seed: int) -> None:
        """Add a trial to the study, as the sampler is to see it."""
        from optuna.trial import TrialState, create_trial

        from raysweep.tune.searchers.models.optuna_study import Replay

        several = len(study.directions) > 1
        state = self._state(trial, several)
        values = {report.epoch: report.loss for report in trial.reports if report.loss < math.inf}
        params = cube.params(trial.config)
        excesses = _excesses(trial)
        if self.sampler not in REPLAYED:
            study.add_trial(
                create_trial(
                    state=state,
                    values=_losses(trial)
                    if state in (TrialState.COMPLETE, TrialState.PRUNED)
                    else None,
                    params=params,
                    distributions={name: cube.distributions[name] for name in params},
                    intermediate_values={} if several else values,
                    constraints=excesses or None,
                )
            )
            return
        asked_again = self._seeded(seed, np.random.default_rng([seed, trial.number]))
        study.sampler = Replay(asked_again, params)
        asked = study.ask(cube.distributions)
        if state is TrialState.COMPLETE:
            for name, excess in excesses.items():
                asked.set_constraint(name, excess)
            study.tell(asked, _losses(trial))
        elif state is TrialState.FAIL:
            study.tell(asked, state=state)

    def _state(self, trial: Trial, several: bool) -> Any:
        from optuna.trial import TrialState

        if not trial.status.ended:
            return TrialState.RUNNING
        if "parent" in trial.notes:
            return TrialState.FAIL  # it says nothing of a training from the beginning
        if not trial.status.succeeded or not all(map(math.isfinite, _losses(trial))):
            return TrialState.FAIL
        if trial.status is Status.STOPPED and self.sampler == "TPESampler" and not several:
            return TrialState.PRUNED
        return TrialState.COMPLETE

    def _seeded(self, seed: int, rng: np.random.Generator) -> Any:
        """A new sampler, so that no state of an earlier proposal is left in it."""
        drawn = int(rng.integers(SEEDS))
        # All points of a scrambled sequence come from one seed, that of the study.
        return self._sampler(seed % SEEDS if self.sampler == "QMCSampler" else drawn)

    def _sampler(self, seed: int) -> Any:
        import optuna

        return getattr(optuna.samplers, self.sampler)(seed=seed, **self.options)


def _losses(trial: Trial) -> list[float]:
    """The last loss of each objective."""
    if not trial.reports:
        return [math.inf]
    return list(trial.reports[-1].losses) or [trial.loss]


def _excesses(trial: Trial) -> dict[str, float]:
    """How far a trial that has ended lies beyond each limit, by the limit's number."""
    if not trial.reports or not trial.status.ended:
        return {}
    return {str(number): excess for number, excess in enumerate(trial.reports[-1].excesses)}


def _signature(trial: Trial) -> Signature:
    return trial.status, trial.epoch


def _unchanged(known: Known, history: History) -> int:
    """The number of trials, from the first one on, that are as they were when they were added."""
    for number, (signature, _) in enumerate(known):
        if signature != _signature(history[number]):
            return number
    return len(known)
