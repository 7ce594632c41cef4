"""What `--dry-run` shows, without starting anything.

That is the resolved file, the first configurations of each study, the size of the grid if one is
searched, the share of draws that satisfy the constraints, and advice.
"""

from __future__ import annotations

import math
import os
import shlex
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from raysweep.formatting import plural
from raysweep.history import Config, History, Trial
from raysweep.search_spaces.file.writer import write
from raysweep.search_spaces.language.space import Space
from raysweep.text_limits import visible
from raysweep.trainables.runtime.script.command_line import CommandLine, filled
from raysweep.trainables.runtime.script.launchers import with_free_port
from raysweep.tune.cli.advice import advise
from raysweep.tune.script_told import untold
from raysweep.tune.searchers.random_grid import MAX_CELLS, Grid
from raysweep.tune.sweep import Study, Sweep, trial_seed

if TYPE_CHECKING:
    from rich.text import Text

FIRST = 5
"""Configurations that are shown of each study."""
DRAWS = 2000
"""Draws from the space: enough to tell the share that passes to within two percent."""
FILE_LINES = 20
"""Lines of a script's configuration file that are shown."""
WIDTH = 80
"""Characters of a line that any terminal shows whole."""


def preview(sweep: Sweep) -> Text:
    """Everything that can be known of a sweep before it starts."""
    from rich.text import Text

    grid = next((one for one in sweep.searchers.values() if isinstance(one, Grid)), None)
    shape, count = cells(sweep, grid) if grid else ("", None)
    parts = [write(dict(sweep.resolved)).rstrip()]
    studies = sweep.studies()[: len(sweep.searchers)]
    parts += [
        f"# the first configurations of {study.name}\n{_table(first(sweep, study), sweep.space)}"
        for study in studies
    ]
    parts += _command(sweep)
    facts = [f"the grid has {shape}"] if shape else []
    facts += [*_passing(sweep), *_length(sweep), *sweep.notes]
    facts += filter(None, (sweep.untuned, untold(sweep)))
    facts += [f"advice: {line}" for line in advise(sweep, count)]
    text = "\n\n".join([*parts, "\n".join(_comment(fact) for fact in facts)]).rstrip()
    return Text(visible(text))


def _command(sweep: Sweep) -> list[str]:
    """How the script is called for the first configuration; nothing for a train function.

    Placeholders of which only a trial knows the value, such as its folder, are shown as they are.
    """
    line = sweep.command_line
    if line is None:
        return []
    configs = first(sweep, sweep.studies()[0], 1)
    config = configs[0] if configs else {}
    values = _Shown(line.placeholders(config))
    launcher = with_free_port(filled(line.launcher or ("python",), values), lambda: "{port}")
    words = [*launcher, *_script(sweep, line)]
    shown = [f"# the first command\n# {shlex.join([*words, *line.words(config, values)])}"]
    if line.resume:
        added = shlex.join(filled(line.resume, values))
        shown[0] += f"\n# and behind it, once there is a checkpoint:\n# {added}"
    if line.config_file is not None:
        text = line.config_file.text(line.in_file(config), values)
        content = "\n".join(f"# {written}".rstrip() for written in _shortened(text.splitlines()))
        shown.append(f"# the first {line.config_file.name}\n{content}")
    return shown


class _Shown(dict[str, str]):
    """The values of placeholders; one without a value is shown as it is written."""

    def __missing__(self, name: str) -> str:
        return f"{{{name}}}"


def _script(sweep: Sweep, line: CommandLine) -> list[str]:
    """The script as it would be named in its working folder."""
    if line.module:
        return ["-m", line.module]
    script = Path(sweep.trainable)
    folder = Path(os.path.normpath(script.parent / (line.folder or ".")))
    if script.is_relative_to(folder):
        return [str(script.relative_to(folder))]
    return [str(script)]


def _shortened(lines: list[str]) -> list[str]:
    if len(lines) <= FILE_LINES:
        return lines
    return [*lines[:FILE_LINES], f"... and {len(lines) - FILE_LINES} more lines"]


def first(sweep: Sweep, study: Study, count: int = FIRST) -> list[Config]:
    """The first `count` configurations of a study: those enqueued, then what is proposed."""
    history = History(sweep.levels(), sweep.metric.goal == "maximize")
    for number in range(count):
        notes: dict[str, Any] = {}
        if number < len(sweep.enqueue):
            config, notes = sweep.enqueue[number], {"enqueued": f"file.{number}.{study.name}"}
        else:
            proposed = study.searcher.suggest(sweep.space, history, study.seed)
            if proposed is None:
                break
            config = proposed
        seed = trial_seed(study.seed, number)
        history.add(Trial(number, study.name, config, seed, notes=notes))
        history.start(number)
    return [trial.config for trial in history]


def cells(sweep: Sweep, grid: Grid) -> tuple[str, int]:
    """The number of distinct configurations in a grid, in words and as a number.

    The words say how many values each parameter takes.
    """
    sizes = [len(param.grid(grid.points)) for param in sweep.space.params.values()]
    product = math.prod(sizes)
    shape = " x ".join(str(size) for size in sizes)
    if not (sweep.space.conditions or sweep.space.constraints or sweep.space.derived):
        return (f"{product:,} cells ({shape})" if sizes else "1 cell"), product
    if product > MAX_CELLS // 10:
        return f"at most {product:,} cells ({shape})", product
    count = sum(1 for _ in sweep.space.grid(grid.points))
    return f"{count:,} cells ({shape}, less what conditions and constraints rule out)", count


def _passing(sweep: Sweep) -> list[str]:
    """The share of draws that satisfy the constraints."""
    if not sweep.space.constraints:
        return []
    share = sweep.space.feasible_fraction(np.random.default_rng(sweep.seed), DRAWS)
    if share == 0:
        passing = f"fewer than 1 in {DRAWS // 2:,}"
    elif share <= 0.01:
        passing = f"1 in {1 / share:,.0f}"
    else:
        passing = f"{share:.1%} of"
    return [f"{passing} draws satisfy the constraints"]


def _length(sweep: Sweep) -> list[str]:
    """What a trial is, if a report does not come after each epoch."""
    budget = sweep.budget
    if budget.interval.is_epoch:
        return []
    whole, part = budget.interval.trained(budget.epochs), budget.interval.trained(1)
    return [
        f"a trial is {whole} with {plural(budget.epochs, 'report')}, after each {part}; schedulers "
        "and tables count reports"
    ]


def _comment(text: str) -> str:
    """A text as a comment, in lines of WIDTH."""
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent="# ",
        subsequent_indent="#   ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _table(configs: list[Config], space: Space) -> str:
    """A row for each parameter in the order of the file, and a column for each configuration.

    An inactive parameter leaves its place empty. There are as many columns as fit into WIDTH.
    """
    if not configs:
        return "# none"
    flat = [space.flat(config) for config in configs]
    rows = [
        [name, *(_cell(config, name) for config in flat)]
        for name in space.decided
        if any(name in config for config in flat)
    ]
    if not rows:
        return "# all alike, for the space has no parameter"
    widths = [max(map(len, column)) + 2 for column in zip(*rows, strict=True)]
    while len(widths) > 2 and sum(widths) - 2 > WIDTH:
        widths.pop()
    return "\n".join(
        "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
        for row in rows
    )


def _cell(config: Mapping[str, Any], name: str) -> str:
    """A value as YAML writes it, with four digits; "" if the parameter is inactive."""
    if name not in config:
        return ""
    value = config[name]
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)
