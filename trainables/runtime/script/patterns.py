"""The user's patterns (`metric.pattern`), held to a time limit."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from types import FrameType

from raysweep.trainables.runtime.metrics import ReportError
from raysweep.trainables.runtime.script.lines import PATTERN_CHARACTERS

MATCH_SECONDS = 1.0
"""CPU time that a pattern may take for a line. What is not exponential takes microseconds."""
OF = "_of"
"""The end of the name of a group that divides another: a program may print `9871/10000 (99%)`,
where the count says more than the rounded percentage."""
MOST_MATCHES = 100
"""How many matches of a pattern are read from a line."""


class Patterns:
    """Matches lines against patterns whose named groups are metrics and positions."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = [re.compile(pattern) for pattern in patterns]

    def matches(self, line: str) -> Iterator[dict[str, str]]:
        """The groups of each match, without those that took no part in it.

        Raises ReportError if a pattern takes longer than `MATCH_SECONDS`.
        """
        line = line[:PATTERN_CHARACTERS]
        for pattern in self._patterns:
            for match in self._found(pattern, line):
                groups = match.groupdict().items()
                yield divided({name: text for name, text in groups if text is not None})

    def _found(self, pattern: re.Pattern[str], line: str) -> list[re.Match[str]]:
        try:
            with _time_limit():
                return list(islice(pattern.finditer(line), MOST_MATCHES))
        except _TimeOut:
            raise ReportError(
                f"the pattern '{pattern.pattern}' takes more than {MATCH_SECONDS:g} s for a line "
                f"of {len(line)} characters; a repetition inside of a repetition, such as (a+)+, "
                "has to try very many ways to match"
            ) from None


def divided(groups: Mapping[str, str]) -> dict[str, str]:
    """The groups, of which those called `accuracy_of` divide those called `accuracy`.

    A quotient of what is no number, or by zero, is `nan`.
    """
    totals = {name: groups[name + OF] for name in groups if name + OF in groups}
    divisors = {name + OF for name in totals}
    kept = {name: text for name, text in groups.items() if name not in divisors}
    return kept | {name: _quotient(groups[name], total) for name, total in totals.items()}


def _quotient(count: str, total: str) -> str:
    try:
        return repr(float(count) / float(total))
    except (ValueError, ZeroDivisionError):
        return "nan"


class _TimeOut(Exception):
    """The time limit was reached."""


@contextmanager
def _time_limit() -> Iterator[None]:
    """Raise _TimeOut in the body once it has taken `MATCH_SECONDS` of CPU time.

    Python's `re` looks for signals while it matches, in the main thread alone, which is where a
    trial trains. CPU time, because a busy machine must not make a good pattern fail.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGVTALRM, _raise)
    signal.setitimer(signal.ITIMER_VIRTUAL, MATCH_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _raise(number: int, frame: FrameType | None) -> None:
    raise _TimeOut
