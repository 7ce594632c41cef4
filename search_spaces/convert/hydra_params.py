"""The swept parameters of a Hydra file: what each sweeper draws from `choice`, `range`, `interval`.

Hydra's own sweeper leaves the end of a `range` out, and so do Ax's and Nevergrad's; Optuna's takes
it. Hydra's own sweeper tries every combination, so it takes no `interval`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from raysweep.placeholders import escaped
from raysweep.search_spaces.convert import hydra_config, ranges
from raysweep.search_spaces.convert.draft import Draft
from raysweep.search_spaces.convert.hydra_grammar import (
    Call,
    GrammarError,
    Listed,
    Quoted,
    parse,
    written,
)
from raysweep.search_spaces.convert.hydra_sweeps import (
    Choices,
    Drawn,
    Globbed,
    Interval,
    Steps,
    sweep,
)
from raysweep.search_spaces.file.document import Path

Entry = Callable[[Draft, Path, Drawn], Any]
"""Makes an entry of our space from a sweep."""

_KEY = re.compile(r"(\+\+|\+|~)?([^\s=+~][^\s=]*)")
_SIMPLE = re.compile(r"[\w./+-]*", re.ASCII)


def take(draft: Draft, path: Path, value: Any, entry: Entry) -> None:
    """Take `params`: each a constant or a sweep, under the name of its option."""
    for key, inner in draft.mapping(path, value).items():
        place = (*path, key)
        found = _KEY.fullmatch(key)
        if found is None:
            raise draft.error(place, f"'{key}' is no name of a value in Hydra")
        mark, name = found.groups()
        if mark == "~":
            _removed(draft, place, key, inner)
            continue
        said = _said(draft, place, inner)
        if isinstance(said, Globbed):
            draft.param(name, ranges.listed(_options(draft, place, name, said)), place)
        elif isinstance(said, Drawn):
            draft.param(name, entry(draft, place, said), place)
        else:
            draft.param(name, ranges.constant(plain(said, raw=False)), place)
        if key != name:
            draft.put(("script", "names", name), key, place)


def _removed(draft: Draft, path: Path, key: str, value: Any) -> None:
    """`~key`, which takes a key out of the configuration, as a fixed word."""
    words = draft.data.get("script", {}).get("arguments", [])
    word = key if value in (None, "") else f"{key}={value}"
    draft.put(("script", "arguments"), [*words, escaped(word)], path)


def _said(draft: Draft, path: Path, value: Any) -> Any:
    if isinstance(value, list | dict):
        kind = "list" if isinstance(value, list) else "mapping"
        text = f"Hydra takes no {kind} here; expected a text such as choice(a, b) or interval(0, 1)"
        raise draft.error(path, text)
    text = str(value)
    if value is None or "${" in text:
        raise draft.error(path, f"'{text}' is filled in by Hydra; expected the value itself")
    try:
        return sweep(text)
    except GrammarError as error:
        raise draft.error(path, f"'{text}' is nothing that Hydra sweeps: {error}") from None


def _options(draft: Draft, path: Path, name: str, globbed: Globbed) -> list[str]:
    """The options of a group whose names have a pattern."""
    options = hydra_config.options(draft, name.partition("@")[0], globbed.include, globbed.exclude)
    if not options:
        text = f"glob chooses among the files of the group '{name}', which are not found here"
        raise draft.error(path, f"{text}; list them with choice(...)")
    draft.note(path, f"the options of the group '{name}' that are there now")
    return options


def plain(value: Any, raw: bool) -> Any:
    """A value as ours, so that `name=value` of it is what the sweeper there writes.

    raw: words are written as they are, so that `choice('[1,2]')` is a list; otherwise special
    letters are hidden, as Hydra's own sweeper does. Raises GrammarError for what would be a sweep.
    """
    return _word(value if raw and isinstance(value, str) else written(value))


def shown(value: Any) -> Any:
    """A value of YAML as a sweeper writes it into `name=value`: as Python shows it."""
    return str(value) if isinstance(value, list | dict) or value is None else value


def _word(text: str) -> Any:
    """A text that stands behind `name=`, as what Hydra reads there."""
    value = parse(text)
    if isinstance(value, Listed | Call):
        raise GrammarError(f"'{text}' would be a sweep in itself")
    if isinstance(value, Quoted):
        return value.text if _reads_as(value.text) == value.text else text
    if isinstance(value, str):
        return value if _reads_as(value) == value else text
    if isinstance(value, list) and all(_is_simple(one) for one in value):
        return [_unquoted(one) for one in value]
    unsaid = isinstance(value, list | dict) or (
        isinstance(value, float) and not math.isfinite(value)
    )
    return text if unsaid else value


def _reads_as(text: str) -> Any:
    try:
        return parse(text)
    except GrammarError:
        return None


def _is_simple(value: Any) -> bool:
    """Whether JSON writes an item of a list so that Hydra reads the same."""
    if isinstance(value, list):
        return all(_is_simple(one) for one in value)
    text = _unquoted(value)
    if isinstance(text, str):
        return _SIMPLE.fullmatch(text) is not None
    return not isinstance(text, dict | Call) and (
        not isinstance(text, float) or math.isfinite(text)
    )


def _unquoted(value: Any) -> Any:
    if isinstance(value, list):
        return [_unquoted(one) for one in value]
    return value.text if isinstance(value, Quoted) else value


def listed(
    draft: Draft, path: Path, values: list[Any], raw: bool = True, kind: str = "choice"
) -> Any:
    """A choice among values of a sweep."""
    try:
        return ranges.listed([plain(one, raw) for one in values], kind=kind)
    except GrammarError as error:
        raise draft.error(path, str(error)) from None


def every(draft: Draft, path: Path, swept: Drawn) -> Any:
    """Of Hydra's own sweeper, which tries each value of a choice or a range."""
    if isinstance(swept, Interval):
        text = "Hydra's own sweeper takes no interval"
        raise draft.error(path, f"{text}; hydra/sweeper: optuna does")
    if isinstance(swept, Choices):
        return listed(draft, path, swept.values, raw=False)
    return _open(draft, path, swept)


def ax(draft: Draft, path: Path, swept: Drawn) -> Any:
    """Of Ax: values have an order, unless they are words."""
    if isinstance(swept, Choices):
        numbers = all(isinstance(one, int | float) for one in swept.values)
        return listed(draft, path, swept.values, kind="ordinal" if numbers else "choice")
    return _open(draft, path, swept) if isinstance(swept, Steps) else _between(draft, path, swept)


def nevergrad(draft: Draft, path: Path, swept: Drawn) -> Any:
    """Of Nevergrad: values have an order only with the tag `ordered`."""
    if isinstance(swept, Choices):
        kind = "ordinal" if "ordered" in swept.tags else "choice"
        return listed(draft, path, swept.values, kind=kind)
    if isinstance(swept, Steps):
        return ranges.listed(_counted(draft, path, swept))
    return _between(draft, path, swept)


def unnamed(draft: Draft, path: Path, swept: Drawn) -> Any:
    """Of a sweeper that the file does not name, but that takes intervals."""
    if isinstance(swept, Steps):
        text = "the file names no sweeper, on which the end of a range depends"
        raise draft.error(path, f"{text}; add hydra/sweeper: optuna to its defaults")
    return optuna(draft, path, swept)


def optuna(draft: Draft, path: Path, swept: Drawn) -> Any:
    """Of Optuna: a range ends with the last step that is not beyond its end."""
    if isinstance(swept, Interval):
        return _between(draft, path, swept)
    if "log" in swept.tags:
        draft.note(path, "Optuna's sweeper heeds the tag log of intervals only, so it is left out")
    if isinstance(swept, Choices):
        return listed(draft, path, swept.values)
    if swept.shuffled:
        return ranges.listed(_counted(draft, path, swept))
    return ranges.stepped(draft, path, swept.start, swept.stop, swept.step, swept.whole)


def optuna_grid(draft: Draft, path: Path, swept: Drawn) -> Any:
    """Of Optuna's grid: its sweeper leaves the last step of a range out."""
    if isinstance(swept, Interval):
        raise draft.error(path, "a grid takes no interval; expected choice(...) or range(...)")
    if isinstance(swept, Choices) or swept.shuffled:
        return optuna(draft, path, swept)
    entry = ranges.stepped(draft, path, swept.start, swept.stop, swept.step, swept.whole)
    kind = "int" if swept.whole else "float"
    low, high = entry[kind] if isinstance(entry, dict) else (entry, entry)
    # As the sweeper counts them, with floats and their rounding.
    count = int((high - low) // swept.step)
    if not 0 < count <= ranges.MOST_STEPS:
        raise draft.error(path, f"a grid of Optuna's sweeper has {count} values of this range")
    draft.note(path, f"a grid of Optuna's sweeper leaves the end of a range out, here {high:g}")
    last = low + (count - 1) * swept.step
    if count == 1:
        return low
    step = swept.step if swept.whole else float(swept.step)
    return {kind: [low, last if swept.whole else ranges.tidy(last)], "step": step}


def _open(draft: Draft, path: Path, swept: Steps) -> Any:
    """A range without its end, in steps."""
    values = sorted(_counted(draft, path, swept))
    if (
        not swept.whole
        and (Decimal(str(swept.stop)) - Decimal(str(swept.start))) % Decimal(str(swept.step)) == 0
    ):
        draft.note(path, f"the range ends before {swept.stop}, as Hydra's documentation says")
    if len(values) == 1:
        return values[0]
    kind, step = ("int" if swept.whole else "float"), abs(swept.step)
    return {kind: [values[0], values[-1]]} | ({} if step == 1 and swept.whole else {"step": step})


def _counted(draft: Draft, path: Path, swept: Steps) -> list[int | float]:
    try:
        values = swept.values()
    except GrammarError as error:
        raise draft.error(path, str(error)) from None
    if not values:
        raise draft.error(path, "a range without its end is empty here")
    return values


def _between(draft: Draft, path: Path, swept: Interval) -> Any:
    log = "log" in swept.tags
    if isinstance(swept.low, int) and isinstance(swept.high, int):
        return ranges.integers(draft, path, swept.low, swept.high, log)
    return ranges.continuous(draft, path, swept.low, swept.high, log)
