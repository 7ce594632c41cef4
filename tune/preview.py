"""What `--dry-run` shows: the resolved file, the first configurations of each arm, the number of grid cells. Starts nothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from results.history import Config, History, Trial
from search_spaces.space import flatten
from search_spaces.writer import write
from tune.specify import MOST_CELLS
from tune.sweep import Arm, Sweep, trial_seed

if TYPE_CHECKING:
    from rich.text import Text

FIRST = 5
GRID_POINTS = 3


def preview(sweep: Sweep) -> Text:
    """Everything that can be known of a sweep before it starts."""
    from rich.text import Text

    parts = [write(dict(sweep.resolved)).rstrip()]
    parts += [f"# the first configurations of {arm.name}\n{_table(first(sweep, arm))}" for arm in sweep.arms()]
    return Text("\n\n".join([*parts, f"# {cells(sweep)}"]))


def first(sweep: Sweep, arm: Arm, count: int = FIRST) -> list[Config]:
    """The first `count` configurations of an arm, as it proposes them while nothing has been reported yet."""
    history = History(sweep.levels())
    for number in range(count):
        config = arm.searcher.suggest(sweep.space, history, arm.seed)
        if config is None:
            break
        history.add(Trial(number, arm.name, config, trial_seed(arm.seed, number)))
        history.start(number)
    return [trial.config for trial in history]


def cells(sweep: Sweep) -> str:
    """How many distinct configurations the grid has, and with how many points for each parameter."""
    searcher = sweep.searchers.get("grid")
    points = int(getattr(searcher, "points", GRID_POINTS))
    sizes = [len(param.grid(points)) for param in sweep.space.params.values()]
    product = math.prod(sizes)
    shape = " x ".join(str(size) for size in sizes)
    plain = not (sweep.space.conditions or sweep.space.constraints)
    if plain or product > MOST_CELLS:
        return f"the grid has {'' if plain else 'at most '}{product:,} cells ({shape})"
    return f"the grid has {sum(1 for _ in sweep.space.grid(points)):,} cells ({shape}, less what conditions and constraints rule out)"


def _table(configs: list[Config]) -> str:
    """Configurations as aligned columns; an inactive parameter leaves its place empty."""
    flat = [flatten(config) for config in configs]
    names = list(dict.fromkeys(name for row in flat for name in row))
    rows = [names, *([_shown(row.get(name)) for name in names] for row in flat)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(names))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
