"""Record what the code decides: `python -m tests.golden.record [PROBLEM ...]`.

Writes `tests/golden/<problem>.json` for the six problems. Record anew only if a change of behaviour
is meant, and say so in the commit: these files are what later code is held against.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.golden.play import Played, pairs, play
from tests.golden.problems import PROBLEMS, Problem

FOLDER = Path(__file__).parent
BEGINNINGS = ("propose", "promote", "retry", "exhausted", "limit")
"""A step that begins with one of these words begins a line of the file."""


def record(problem: Problem) -> dict[str, Any]:
    """The content of a problem's file.

    `configs` holds each configuration once; the steps name it by its place, as in `propose 3 c17`.
    """
    configs: dict[str, str] = {}
    seeds: dict[str, int] = {}
    sequences = {}
    for searcher, scheduler in pairs(problem):
        played = play(problem, searcher, scheduler)
        if any(seeds.setdefault(trial, seed) != seed for trial, seed in played.seeds.items()):
            raise ValueError(f"{problem.name}: trials of one name have different seeds")
        sequences[f"{searcher} with {scheduler}"] = {
            "best": played.best,
            "seconds": played.seconds,
            "steps": [
                "; ".join(shortened(step, configs) for step in line) for line in lines(played.steps)
            ],
        }
    return {"seeds": seeds, "configs": list(map(json.loads, configs)), "sequences": sequences}


def shortened(step: str, configs: dict[str, str]) -> str:
    """The step with the name of its configuration, which is added to `configs` if it is new."""
    words, brace, rest = step.partition("{")
    return words + configs.setdefault(brace + rest, f"c{len(configs)}") if brace else step


def lines(steps: Iterable[str]) -> Iterator[list[str]]:
    """The steps in groups: what is begun, and the reports until something else is begun."""
    line: list[str] = []
    for step in steps:
        if line and step.startswith(BEGINNINGS):
            yield line
            line = []
        line.append(step)
    yield line


def recorded(problem: Problem, searcher: str, scheduler: str) -> Played:
    """A sequence as it was recorded."""
    content = json.loads(path(problem).read_text(encoding="utf-8"))
    found = content["sequences"][f"{searcher} with {scheduler}"]
    steps = "; ".join(found["steps"]).split("; ")
    named = [completed(step, content["configs"]) for step in steps]
    trials = [step.split()[1] for step in steps if step.startswith("propose")]
    return Played(
        named,
        tuple(found["best"]) if found["best"] else None,
        found["seconds"],
        {trial: content["seeds"][trial] for trial in trials},
    )


def completed(step: str, configs: list[Any]) -> str:
    """The step with its configuration in place of the name."""
    if not step.startswith("propose"):
        return step
    words, _, name = step.rpartition(" c")
    return f"{words} {json.dumps(configs[int(name)], sort_keys=True)}"


def path(problem: Problem) -> Path:
    """The file of a problem."""
    return FOLDER / f"{problem.name}.json"


def laid_out(content: dict[str, Any]) -> str:
    """The content as JSON with a line for each configuration and each group of steps."""
    parts = [f'"seeds": {json.dumps(content["seeds"])}', f'"configs": {column(content["configs"])}']
    sequences = [
        f'{json.dumps(name)}: {{\n"best": {json.dumps(one["best"])}, '
        f'"seconds": {json.dumps(one["seconds"])}, "steps": {column(one["steps"])}}}'
        for name, one in content["sequences"].items()
    ]
    parts.append('"sequences": {\n' + ",\n".join(sequences) + "\n}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def column(values: Iterable[Any]) -> str:
    """A JSON list with a line for each value."""
    return "[\n" + ",\n".join(map(json.dumps, values)) + "\n]"


def main(names: list[str]) -> None:
    """Record the problems of these names; all, if there are none."""
    for name in names or PROBLEMS:
        began = time.process_time()
        text = laid_out(record(PROBLEMS[name]))
        path(PROBLEMS[name]).write_text(text, encoding="utf-8")
        print(f"{name}: {len(text):,} bytes, {time.process_time() - began:.1f} s of CPU time")


if __name__ == "__main__":
    main(sys.argv[1:])
