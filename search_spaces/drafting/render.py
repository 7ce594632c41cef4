"""Plain data of a sweep as a commented file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from raysweep.search_spaces.file.document import Path, parse
from raysweep.search_spaces.file.sweep_spec import SweepSpec
from raysweep.search_spaces.file.writer import write
from raysweep.search_spaces.language.params import same

ORDER = tuple(SweepSpec.model_fields)
_BLOCKS = ("metric", "budget", "script", "space")
"""Sections with a line for each of their keys."""
WIDEST = 60
"""Columns up to which comments are aligned."""


def render(data: Mapping[str, Any], comments: Mapping[Path, str]) -> str:
    """YAML that reads back to the same data, with a comment beside the keys that have some."""
    rows: list[tuple[str, str]] = []
    for key in sorted(data, key=_rank):
        value = data[key]
        if key in _BLOCKS and isinstance(value, Mapping) and value:
            rows.append((f"{key}:", ""))
            rows += [
                (f"  {entry(name, inner)}", comments.get((key, name), ""))
                for name, inner in value.items()
            ]
        else:
            rows += [(row, "") for row in write({key: value}).splitlines()]
    text = "\n".join(aligned(rows)) + "\n"
    if not same(parse(text, "sweep").data, dict(data)):
        raise AssertionError(f"what was written reads back otherwise:\n{text}")
    return text


def _rank(key: str) -> tuple[int, str]:
    return (ORDER.index(key) if key in ORDER else len(ORDER), key)


def aligned(rows: list[tuple[str, str]]) -> list[str]:
    """Lines with their comments, which begin in one column where they can."""
    lengths = [len(text) for text, comment in rows if comment and len(text) <= WIDEST]
    column = max(lengths, default=0)
    return [f"{text.ljust(column)}  # {comment}" if comment else text for text, comment in rows]


def entry(name: str, value: Any) -> str:
    """A key with its value on one line of YAML, with numbers as people write them."""
    written = write({"space": {name: value}}).splitlines()[1].strip()
    tidy = re.sub(r"(\d)(?:\.0)?e([-+])0(\d)\b", r"\1e\2\3", written).replace("e+", "e")
    tidy = re.sub(r"\b0\.(00+)1\b", lambda found: f"1e-{len(found[1]) + 1}", tidy)
    if same(parse(tidy, "entry").data, {name: value}):
        return tidy
    return written
