"""The commented file of a draft."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raysweep.search_spaces.drafting import sections
from raysweep.search_spaces.drafting.continuing import continuing, model_file
from raysweep.search_spaces.drafting.doubts import doubt
from raysweep.search_spaces.drafting.draft import Draft, reference
from raysweep.search_spaces.drafting.length import unreached
from raysweep.search_spaces.drafting.ranges import Suggestion
from raysweep.search_spaces.drafting.render import aligned, entry
from raysweep.search_spaces.drafting.sections import Line
from raysweep.search_spaces.file.writer import write
from raysweep.search_spaces.language.params import same
from raysweep.text_limits import visible

WIDTH = 100
"""Characters of a line of comments."""
MOST_NAMES = 24
"""Options that are listed by name of those that the file leaves alone."""


def text_of(draft: Draft, out: Path) -> str:
    """The file for a draft. `out`: where it will be, for the path of the program."""
    guess = None
    if draft.found:
        guess = draft.found[0]
    parts = [
        *_comments(_header(draft, out)),
        f"trainable: {_scalar(reference(draft.program, out))}",
        *_section("metric", sections.metric(guess, draft.found)),
        *_section("budget", sections.budget(draft.length)),
        *_script(draft, out),
        *_space(draft),
        *_defaults(draft),
    ]
    return "\n".join(parts) + "\n"


def _header(draft: Draft, out: Path) -> list[str]:
    lines = [
        f"Drafted from {draft.program.shown} by raysweep init. The ranges are guesses around the "
        "program's defaults: look at each.",
        f"What it means:  raysweep run --space {out} --dry-run",
    ]
    return [*lines, *warnings(draft)]


def warnings(draft: Draft) -> list[str]:
    """What the user has to know or to do, each in one line."""
    said = [*draft.interface.notes]
    traps = [option for option in draft.interface.options if option.trap]
    said += [f"{option.name} cannot be told: {option.trap}" for option in traps]
    if draft.interface.unread:
        said.append(draft.interface.unread)
    if not draft.found and draft.unsettled:
        said.append(
            f"{draft.unsettled[0]} is printed for every few batches, and nothing tells which line "
            "is the last: let the program print it once after the validation"
        )
    if not draft.found:
        said.append("no metric was found: fill in metric.name and metric.goal")
    if doubted := doubt(draft.found):
        said.append(doubted.warning)
    if not draft.length.is_known:
        said.append("how often it reports in a trial was not found: fill in budget.epochs")
    interval = unreached(draft.interface, draft.length)
    if interval:
        said.append(interval)
    if draft.shared and not draft.is_movable:
        said.append(
            f"it writes {draft.shared[0]} into its working folder, which trials share: see "
            "folder under script"
        )
    if not draft.suggestions:
        said.append("no option was recognized as worth tuning: fill in space")
    elif not draft.active:
        said.append("no option was recognized as worth tuning: take the # off those that are")
    return said


def _script(draft: Draft, out: Path) -> list[str]:
    guess = None
    if draft.found:
        guess = draft.found[0]
    keys = [*sections.script(draft, guess, out), *model_file(draft, guess)]
    lines = _section("script", keys)
    hints = [*sections.own_folder(draft, guess), *continuing(draft, guess)]
    if hints and not lines:
        lines = ["# script:"]
    return [*lines, *(f"  # {text}" for text in hints)]


def _space(draft: Draft) -> list[str]:
    lines = [_entry(one) for one in draft.suggestions]
    length = draft.length.option
    if length is not None and draft.interface.style == "none":
        lines.append((f"{_key(length.name)}: {draft.length.count}", "the same as in budget"))
    shown = [f"  {text}" for text in aligned(lines)]
    head = "space:"
    if all(text.startswith("#") for text, _ in lines):
        head = "space: {}  # without the braces as soon as a line below is active"
    shown.insert(0, head)
    left = draft.left_alone
    if left:
        more = ""
        if len(left) > MOST_NAMES:
            more = f" and {len(left) - MOST_NAMES} more"
        text = f"Left as they are: {', '.join(left[:MOST_NAMES])}{more}"
        shown += [f"  {line}" for line in _comments([text])]
    return shown


def _defaults(draft: Draft) -> list[str]:
    """The program's own defaults as the first configuration; nothing if they are not all known."""
    values = {one.option.name: one.option.default for one in draft.active}
    if not values or not all(_holds(one.entry, one.option.default) for one in draft.active):
        return []
    rows = [("enqueue:", ""), *_first(values)]
    return [f"{text}  # {comment}" if comment else text for text, comment in rows]


def _first(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The lines of a list's first mapping."""
    lines = [entry(name, value) for name, value in values.items()]
    head = (f"  - {lines[0]}", "the program's own defaults, which are trained first")
    return [head, *((f"    {line}", "") for line in lines[1:])]


def _holds(entry: Any, value: Any) -> bool:
    """True if a value is surely one of those of an entry."""
    if not isinstance(entry, Mapping):
        return False
    if value in entry.get("or", ()):
        return True
    for kind in ("choice", "ordinal"):
        if kind in entry:
            return any(same(value, other) for other in entry[kind])
    ends = entry.get("float") or entry.get("int")
    if ends is None or isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if "step" in entry and (value - ends[0]) % entry["step"]:
        return False
    return bool(ends[0] <= value <= ends[1] and ("float" in entry or isinstance(value, int)))


def _entry(suggestion: Suggestion) -> tuple[str, str]:
    """A parameter as the file has it, with its comment."""
    text = entry(suggestion.option.name, suggestion.entry)
    return (text if suggestion.active else f"# {text}"), suggestion.why


def _key(name: str) -> str:
    return write({name: 1}).partition(": 1")[0]


def _section(name: str, lines: Sequence[Line]) -> list[str]:
    """A section with a line for each key; nothing if it has no key."""
    if not lines:
        return []
    written = [f"{name}:"]
    for one in lines:
        value = write({one.key: one.value}).rstrip("\n").replace("\n", "\n  ")
        comment = ""
        if one.comment:
            comment = f"  # {one.comment}"
        written.append(f"  {value}{comment}")
    return written


def _scalar(value: str) -> str:
    return write({"x": value}).partition(": ")[2].rstrip("\n")


def _comments(texts: Sequence[str]) -> list[str]:
    """Texts as comments, in lines of WIDTH."""
    return [
        line
        for text in texts
        for line in textwrap.wrap(
            visible(text),
            WIDTH,
            initial_indent="# ",
            subsequent_indent="#   ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    ]
