"""Thousands of broken files, of our format and of each dialect; 10,000 by `make conformance`.

Each becomes a sweep, or one line `file:line: what is wrong`.
"""

from __future__ import annotations

import copy
import functools
import json
import os
import random
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raysweep.search_spaces.convert.convert_file import convert as converted
from raysweep.search_spaces.convert.dialects import parsed, translate
from raysweep.search_spaces.file import build_space
from raysweep.search_spaces.file.document import Document, SpecificationError, override, parse
from raysweep.search_spaces.file.reader import SHIPPED, check
from raysweep.tune.load import load_sweep
from tests.test_convert import MISSING, SAMPLES
from tests.test_reader import FILE

CONDITIONAL = (
    FILE.replace(
        "scheduler:",
        "seeds: 2\nretries: 0\non_oom: [skip]\nplateau: {trials: 9}\ncheckpoints: {keep: 3}\n"
        "scheduler:",
    )
    + """\
  model.width: {int: [1, 100], log: true, or: [0], around: 20, points: 3}
  momentum: {float: [0.5, 0.99], log: reverse, when: {optimizer: [sgd]}}
  nesterov: {choice: [true, false], weights: [1, 2], when: momentum > 0.6 and not channels == 8}
  hidden: {expr: "min(4 * channels, 100)"}
constraints: ["channels * batch_size <= 4096"]
"""
)
MANY = "RAYSWEEP_CONFORMANCE" in os.environ
PARTS = 7_000 if MANY else 2_000
"""Files of which parts were replaced, removed, renamed, or moved."""
TEXTS = 3_500 if MANY else 1_000
"""Files of which characters or lines were."""
SPACES = 600 if MANY else 200
"""Spaces made up by hypothesis."""
WHOLE = 700 if MANY else 250
"""Files of which searchers, schedulers and the trainable are looked up too."""
FIRST_LINE = re.compile(r"[^\s:]+:\d+: \S.*")
ODD: tuple[Any, ...] = (
    None,
    True,
    "",
    "x",
    " ",
    "lr",
    "8 *",
    "lr > 'a'",
    "__import__('os')",
    "é\u2028\x07",
    0,
    -1,
    1,
    3.5,
    1e-300,
    1e300,
    10**30,
    -(10**30),
    float("nan"),
    float("inf"),
    [],
    {},
    [1],
    [0, 1],
    [1, 0],
    [3, 3],
    [None],
    [[1]],
    ["a", "a"],
    [1, True, 1.0],
    {"a": 1},
    {"name": "grid"},
    {"float": [0, 1]},
    {"int": [1, 10**30], "log": True},
    {"int": [1, 9], "points": 10**9},
    {"float": [0, 1e-320], "step": 1e-323},
    {"float": [1e-320, 1], "log": True},
    {"float": [-1e308, 1e308]},
    {"float": [0, 1e308], "step": 1e-5},
    {"float": [0, 1], "points": 10**9},
    {"choice": [1]},
    {"expr": "x"},
    {"_type": "choice", "_value": [{"_name": "a"}]},
    {"type": "log", "minval": 1, "maxval": 400},
    {"min": 1, "max": 3, "q": 2},
    {"distribution": "q_log_uniform", "min": -600, "max": 600, "q": 1e-9},
)
TOKENS = (
    *tuple("{}[]:,#'\"\t\n\\|>%@?~é"),
    "- ",
    ": ",
    "&a ",
    "*a",
    "!!int ",
    "!x ",
    "<<: *a",
    "---\n",
    "...\n",
)
TOKENS += (
    ".nan",
    "1e400",
    "0x",
    "0o9",
    "1_0",
    "\x00",
    "\ufeff",
    "\u2028",
    "\\U0fffffff",
    "{" * 30,
    "[" * 400,
)


@cache
def files() -> tuple[tuple[str, Path], ...]:
    """Good files: the text, and the folder that a file may name others of."""
    ours = [(path.read_text(), path.parent) for path in sorted(SHIPPED.glob("*.yaml"))]
    theirs = [(path.read_text(), path.parent) for path in sorted(SAMPLES.glob("*/*"))]
    return ((FILE, SHIPPED), (CONDITIONAL, SHIPPED), *ours, *theirs)


@cache
def documents() -> tuple[tuple[Document, Path], ...]:
    return tuple((parsed(text, "s.yaml"), folder) for text, folder in files())


def complaint(take: Callable[[], Any]) -> str:
    """The error of reading, empty where there was none. Any other exception is a bug."""
    try:
        take()
    except SpecificationError as error:
        return str(error)
    return ""


def ends_well(take: Callable[[], Any]) -> bool:
    """Whether reading gave a sweep, and not one line that names a file and its line."""
    line = complaint(take)
    assert not line or FIRST_LINE.fullmatch(line), line
    return not line


def understand(document: Document, folder: Path) -> None:
    """Read a parsed file to the end, and draw from what it says."""
    translated = translate(document, folder)
    if translated.dialect and len(str(document.data)) % 4:
        translated = functools.reduce(override, MISSING, translated)
    content = check(translated)
    space = build_space.space(content, translated)
    config = space.sample(np.random.default_rng(0))
    assert config in space
    for corner in (0.0, 1.0):
        space.from_unit([corner] * len(space))


def paths_of(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a file, from the top down."""
    inner = (
        data.items()
        if isinstance(data, dict)
        else enumerate(data)
        if isinstance(data, list)
        else ()
    )
    return [path, *(place for key, value in inner for place in paths_of(value, (*path, key)))]


def at(data: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        data = data[key]
    return data


def mutated(data: Any, rng: random.Random) -> Any:
    """A copy with one to three parts replaced, removed, renamed or moved."""
    data = copy.deepcopy(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        path = rng.choice(paths_of(data))
        if not path:
            continue
        holder, key = at(data, path[:-1]), path[-1]
        kind = rng.randrange(6)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            name = rng.choice(
                (
                    str(key) + "s",
                    str(key)[1:],
                    str(key).upper(),
                    "x.y",
                    "",
                    "lr.x",
                    *map(str, holder),
                )
            )
            holder[name] = holder.pop(key)
        elif kind == 2:
            holder[key] = copy.deepcopy(at(data, rng.choice(paths_of(data))))
        elif kind == 3 and isinstance(holder[key], list | dict) and holder[key]:
            holder[key] = [holder[key]] if rng.random() < 0.5 else {"x": holder[key]}
        else:
            holder[key] = copy.deepcopy(rng.choice(ODD))
    return data


def garbled(text: str, rng: random.Random) -> str:
    """The text with one to four of its characters, words or lines changed."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        place, lines = rng.randrange(len(text) + 1), text.splitlines(keepends=True)
        kind = rng.randrange(7)
        if kind == 0:
            text = text[:place] + rng.choice(TOKENS) + text[place:]
        elif kind == 1:
            text = text[:place] + text[place + rng.randrange(1, 12) :]
        elif kind == 2 and lines:
            one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
            lines[one], lines[other] = lines[other], lines[one]
            text = "".join(lines)
        elif kind == 3 and lines:
            lines.insert(rng.randrange(len(lines)), rng.choice(lines))
            text = "".join(lines)
        elif kind == 4 and lines:
            one = rng.randrange(len(lines))
            lines[one] = rng.choice(("  ", "    ", "\t", "")) + lines[one].lstrip()
            text = "".join(lines)
        elif kind == 5:
            text = text[:place]
        else:
            stranger = rng.choice(files())[0]
            text = text[:place] + stranger[rng.randrange(len(stranger)) :]
    return text


def test_files_with_other_parts() -> None:
    rng, good = random.Random(0), 0
    for number in range(PARTS):
        document, folder = documents()[number % len(documents())]
        changed = replace(document, data=mutated(document.data, rng))
        good += ends_well(functools.partial(understand, changed, folder))
    assert PARTS / 50 < good < PARTS / 2, "the changes are too coarse, or break nothing"


def test_files_with_other_text() -> None:
    rng, good = random.Random(1), 0
    for number in range(TEXTS):
        text, folder = files()[number % len(files())]
        text = garbled(text, rng)

        def read(text: str = text, folder: Path = folder) -> None:
            understand(parse(text, "s.yaml"), folder)

        good += ends_well(read)
    assert TEXTS / 50 < good < TEXTS / 2, "the changes are too coarse, or break nothing"


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["lr", "sgd", "a.b", "auto"]),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=8,
)
KINDS = st.sampled_from(
    [
        "float",
        "int",
        "ordinal",
        "choice",
        "expr",
        "log",
        "step",
        "points",
        "or",
        "around",
        "ends",
        "when",
        "weights",
    ]
)
ENTRIES = st.dictionaries(
    KINDS, TREES | st.tuples(st.integers(-9, 9), st.integers(-9, 9)).map(list), max_size=4
)


@settings(max_examples=SPACES, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from(["lr", "a", "a.b", "b", "c d", "é"]), ENTRIES | TREES, max_size=4
    ),
    st.lists(st.text(max_size=12), max_size=2),
)
def test_any_space(space: dict[str, Any], constraints: list[str]) -> None:
    document = documents()[0][0]
    data = {
        **document.data,
        "space": {**document.data["space"], **space},
        "constraints": constraints,
    }
    ends_well(lambda: understand(replace(document, data=data), SHIPPED))


@settings(max_examples=300)
@given(st.text(max_size=60))
def test_any_text(text: str) -> None:
    ends_well(lambda: understand(parse(text, "s.yaml"), SHIPPED))


@pytest.mark.parametrize(
    "path", sorted(SAMPLES.glob("*/*")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_a_broken_file_is_not_converted(path: Path, tmp_path: Path) -> None:
    """What is printed is a file of ours, or nothing: never half of one."""
    rng, broken = random.Random(2), tmp_path / path.name
    for _ in range(25):
        broken.write_text(garbled(path.read_text(), rng), encoding="utf-8")
        ends_well(lambda: parse(converted(str(broken)), "s.yaml"))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=st.lists(
        st.sampled_from(["space", "lr", "float", "0", "budget", "searcher", "name", "x"]),
        max_size=4,
    ),
    value=st.text(max_size=9),
)
def test_any_setting(keys: list[str], value: str, tmp_path: Path) -> None:
    place = tmp_path / "s.yaml"
    place.write_text(FILE)
    line = complaint(lambda: load_sweep(str(place), [f"{'.'.join(keys)}={value}"]))
    assert re.fullmatch(rf"((--set |{re.escape(str(place))}:\d+: ).*)?", line), line


def test_files_to_the_end(tmp_path: Path) -> None:
    """Searchers and schedulers with their options, and the trainable, are looked up too."""
    rng, place, good = random.Random(3), tmp_path / "s.yaml", 0
    ours = [document for document, _ in documents() if "space" in document.data]
    for number in range(WHOLE):
        place.write_text(json.dumps(mutated(ours[number % len(ours)].data, rng)))
        good += ends_well(lambda: load_sweep(str(place)))
    assert WHOLE / 50 < good < WHOLE * 5 / 7
