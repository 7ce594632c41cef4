"""Metrics among what a program prints, each with the pattern that finds it in a line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from raysweep.search_spaces.drafting.formats import Hole, Line, Piece, name_of
from raysweep.search_spaces.drafting.progress_lines import Progress, is_latest, progress_of
from raysweep.search_spaces.file.python_form import goal_of

NUMBER = r"[-+]?\d+\.?\d*(?:e[-+]?\d+)?|nan|inf"
"""A number as programs print it. A dot at the end of a sentence is not taken twice."""
EPOCHS = ("epoch", "ep", "epochs", "e")
STEPS = ("step", "steps", "iter", "iters", "iteration", "global_step", "it", "update", "itr")
_PHASES = ("phase", "split", "mode", "stage", "prefix", "log_prefix", "name", "log_name", "set")
"""What programs call the variable that says whether a line is of training or of validation."""
_FILLERS = {"average", "avg", "mean", "set", "the", "is", "of", "on", "final", "current", "total"}
_DELIMITER = re.compile(r"[,;|:()\[\]{}'\"\t]+|\s-+\s|\s{2,}|[*#>]+")
_SPECIAL = re.compile(r"([.^$*+?{}\[\]\\|()])")


@dataclass(frozen=True)
class Printed:
    """A metric in a line. position: `epoch` or `step` if the pattern has it, else "".

    is_fraction: it is a count and what it is of, as in `9871/10000`, which says more than the
    rounded percentage (is_percent) that often follows. is_unsettled: it stands in the lines of a
    progress, such as `[10/59]`, and nothing tells which of these is the last, so that no pattern
    takes the value of a report.
    """

    name: str
    pattern: str
    position: str
    line: Line
    is_percent: bool = False
    is_fraction: bool = False
    is_unsettled: bool = False


def printed_metrics(line: Line, phase_word: str) -> Iterator[Printed]:
    """The metrics of a line. phase_word: what a line of the validation has for its phase."""
    position = _position(line.pieces)
    kind = position[1] if position else ""
    progress = None
    if position is None:
        progress = progress_of(line)
    for place, piece in enumerate(line.pieces):
        if not isinstance(piece, Hole) or (position and place == position[0]):
            continue
        if is_latest(line.pieces, place):
            continue  # the average behind it is that of the report
        start, label = _label(line.pieces, place)
        is_unsettled = progress is not None and not (progress.ends and progress.place != start)
        name = metric_name(label, name_of(piece))
        is_fraction = _is_count(line.pieces, place) and goal_of(name) == "maximize"
        in_fraction = _is_in_fraction(line.pieces, place)
        if not name or goal_of(name) is None or (in_fraction and not is_fraction):
            continue
        phase = None
        if phase_word:
            phase = _phase(line.pieces[:start])
        if phase is not None and phase_word not in name:
            name = f"{phase_word}_{name}"
        value = _groups(name, is_fraction)
        yield Printed(
            name,
            _pattern(line.pieces, (start, place), value, position, (phase, phase_word), progress),
            kind,
            line,
            _after(line.pieces, place).startswith("%"),
            is_fraction,
            is_unsettled,
        )


def _label(pieces: Sequence[Piece], place: int) -> tuple[int, str]:
    """The text that stands before a hole, and where it is.

    In `Accuracy: {}/{} ({:.0f}%)` all three holes have the first one's label.
    """
    for start in range(place - 1, -1, -1):
        piece = pieces[start]
        if isinstance(piece, str) and re.search(r"[A-Za-z]", piece):
            return start, _segment(piece)
        if isinstance(piece, str) and re.search(r"[,;|]", piece):
            return place, ""
    return place, ""


def _segment(text: str) -> str:
    """The words at the end of a text, as far as they belong together."""
    stripped = re.sub(r"[^A-Za-z0-9_@)\]]+$", "", text)
    return _DELIMITER.split(stripped.rstrip(")]([ "))[-1].strip(" =-")


def metric_name(label: str, variable: str) -> str:
    """What a metric is called: by its label, or by the variable if that says more."""
    words = [word for word in re.findall(r"[A-Za-z0-9]+", label) if word.lower() not in _FILLERS]
    name = "_".join(words[-3:]).lower()
    variable = variable.lower().strip("_")
    if not re.search("[a-z]", name):
        return variable
    if variable.endswith(f"_{name}") and re.fullmatch(r"\w+", variable):
        return variable
    if goal_of(name) is None and goal_of(variable) is not None:
        return variable  # `Val: {val_acc}`
    return name


def _is_in_fraction(pieces: Sequence[Piece], place: int) -> bool:
    """True for both numbers of `{correct}/{total}`."""
    after, before = _after(pieces, place), _before(pieces, place)
    return after.strip() == "/" or before.strip() == "/"


def _is_count(pieces: Sequence[Piece], place: int) -> bool:
    """True for the first number of `{correct}/{total}`."""
    return _after(pieces, place).strip() == "/" and len(pieces) > place + 2


def _after(pieces: Sequence[Piece], place: int) -> str:
    """The text right behind a hole; "" if another hole or nothing follows."""
    return _text(pieces[place + 1 : place + 2])


def _before(pieces: Sequence[Piece], place: int) -> str:
    """The text right before a hole; "" if it is the first piece or follows another hole."""
    return _text(pieces[:place][-1:])


def _text(pieces: Sequence[Piece]) -> str:
    """The literal parts of some pieces."""
    return "".join(piece for piece in pieces if isinstance(piece, str))


def _position(pieces: Sequence[Piece]) -> tuple[int, str] | None:
    """The first hole with the number of the epoch or, without that, of the step."""
    for names, kind in ((EPOCHS, "epoch"), (STEPS, "step")):
        for place, piece in enumerate(pieces):
            if isinstance(piece, Hole):
                label = _segment(_before(pieces, place)).lower().replace(" ", "_")
                words = [label, label.rpartition("_")[2]]
                if any(word in names for word in words) or (
                    not label and name_of(piece).lower() in names
                ):
                    return place, kind
    return None


def _phase(pieces: Sequence[Piece]) -> int | None:
    """The hole with the name of the phase before a metric; None without it."""
    for place, piece in enumerate(pieces):
        if isinstance(piece, Hole) and name_of(piece).lower() in _PHASES:
            return place
    return None


def _pattern(
    pieces: Sequence[Piece],
    span: tuple[int, int],
    groups: str,
    position: tuple[int, str] | None,
    phase: tuple[int | None, str],
    progress: Progress | None,
) -> str:
    """A pattern for a line.

    span: the pieces of the metric, from its label to its hole. groups: the pattern of its value.
    """
    start, place = span
    metric = ""
    if start < place:
        metric = _starred(pieces[start]) + _literal(_tail(pieces[start]))
    for piece in pieces[start + 1 : place]:
        metric += r"\S+" if isinstance(piece, Hole) else _literal(piece)
    metric = _padded(metric) + groups
    parts = [(start, metric)]
    if phase[0] is not None:
        parts.append((phase[0], rf"\b{phase[1]}\b"))
    if position is not None:
        before = _tail(_before(pieces, position[0]))
        parts.append((position[0], rf"{_padded(_literal(before))}(?P<{position[1]}>\d+)"))
    parts.sort(key=lambda part: part[0])
    if progress is not None and progress.ends:
        earlier = [text for at, text in parts if at < progress.place]
        # The line of the last batch is the one that has the same number twice.
        number = 1 + "".join(earlier).count("(?P<")
        parts.insert(len(earlier), (progress.place, rf"\[\s*(\d+)\s*/\s*\{number}\b"))
    return ".*?".join(text for _, text in parts)


def _starred(piece: Piece) -> str:
    """The star before a label, with which some programs mark the summary after a validation."""
    if isinstance(piece, str) and piece.removesuffix(_tail(piece)).rstrip().endswith("*"):
        return r"\*\s*"
    return ""


def _groups(name: str, is_fraction: bool) -> str:
    """The pattern of a metric's value; of a fraction, also of what divides it."""
    group = group_name(name)
    value = rf"(?P<{group}>{NUMBER})"
    if is_fraction:
        return rf"{value}\s*/\s*(?P<{group}_of>{NUMBER})"
    return value


def _padded(pattern: str) -> str:
    """A pattern behind which a number may be padded with spaces."""
    if not pattern or pattern.endswith(r"\s*"):
        return pattern
    return rf"{pattern}\s*"


def group_name(name: str) -> str:
    """The name of a group of a pattern: letters, digits and `_`."""
    cleaned = re.sub(r"\W+", "_", name)
    if cleaned[:1].isdecimal():
        return f"_{cleaned}"
    return cleaned


def _tail(piece: Piece) -> str:
    """The end of a literal from its last label on."""
    if isinstance(piece, Hole):
        return ""
    segment = _segment(piece)
    if segment and segment in piece:
        return piece[piece.rindex(segment) :]
    return piece.lstrip()


def _literal(text: str) -> str:
    """A text as a pattern, in which any white space matches any other."""
    parts = re.split(r"\s+", text)
    return r"\s*".join(_SPECIAL.sub(r"\\\1", part) for part in parts)
