"""The recorded sequences: every searcher with every scheduler decides as it did back then.

A difference that is meant is recorded anew (`python -m tests.golden.record`), and the commit says
which behaviour changed and why.
"""

from __future__ import annotations

from itertools import zip_longest

import pytest

from tests.golden.play import Played, pairs, play
from tests.golden.problems import PROBLEMS
from tests.golden.record import path, recorded

CASES = [(name, *pair) for name, problem in PROBLEMS.items() for pair in pairs(problem)]
STEPS_BEFORE = 5
"""So many steps before a difference are shown."""


def difference(expected: Played, found: Played) -> str:
    """The first difference in words; "" if there is none."""
    both = list(zip_longest(expected.steps, found.steps, fillvalue="(the end)"))
    for place, (before, now) in enumerate(both):
        if before != now:
            shown = "".join(
                f"\n  {step}" for step in expected.steps[max(0, place - STEPS_BEFORE) : place]
            )
            return f"step {place}, after{shown}\n  was {before}\n  is  {now}"
    for name in ("seeds", "seconds", "best"):
        if getattr(expected, name) != getattr(found, name):
            return f"{name}: was {getattr(expected, name)}, is {getattr(found, name)}"
    return ""


@pytest.mark.parametrize(("name", "searcher", "scheduler"), CASES)
def test_a_sweep_decides_as_it_did(name: str, searcher: str, scheduler: str) -> None:
    problem = PROBLEMS[name]
    found = difference(recorded(problem, searcher, scheduler), play(problem, searcher, scheduler))
    assert not found, f"{name}, {searcher} with {scheduler}: {found}"


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_file_is_complete(name: str) -> None:
    text = path(PROBLEMS[name]).read_text()
    for searcher, scheduler in pairs(PROBLEMS[name]):
        assert text.count(f'"{searcher} with {scheduler}": {{') == 1


def test_a_difference_is_shown_with_its_place() -> None:
    steps = ["propose 0 {}", "start 0", "0@1", "0@2 stopped"]
    expected = Played(steps, ("0", 2, 0.5), 2.0, {"0": 1})
    assert difference(expected, expected) == ""
    shown = difference(expected, Played([*steps[:3], "0@2"], ("0", 2, 0.5), 2.0, {"0": 1}))
    assert shown.startswith("step 3, after\n  propose 0 {}\n  start 0\n  0@1\n")
    assert shown.endswith("  was 0@2 stopped\n  is  0@2")
    longer = Played([*steps, "exhausted"], ("0", 2, 0.5), 2.0, {"0": 1})
    assert difference(expected, longer).endswith("  was (the end)\n  is  exhausted")
    other = Played(steps, ("0", 2, 0.25), 2.0, {"0": 1})
    assert difference(expected, other) == "best: was ('0', 2, 0.5), is ('0', 2, 0.25)"
