"""What schedulers share: the levels at which they compare, and whether a trial has just reached one."""

from __future__ import annotations

from raysweep.history import History, Trial


def geometric(first: int, eta: float, epochs: int) -> tuple[int, ...]:
    """`first`, `first * eta`, ... below `epochs`, then `epochs`. Counted, not computed by logarithms, which miss the top of 243."""
    levels, level = [], float(first)
    while level < epochs:
        levels.append(round(level))
        level *= eta
    return (*dict.fromkeys(level for level in levels if level < epochs), epochs)


def just_reached(trial: Trial, history: History) -> int | None:
    """The level that the trial's last report is the first to reach; None where it was there before, or below all."""
    level = history.level_of(trial.epoch)
    before = trial.reports[-2].epoch if len(trial.reports) > 1 else 0
    return level if level is not None and level > before else None
