"""Why a script failed, from the last lines that it printed.

The reason is the last line of its traceback, and not what was printed after it: exit handlers,
progress bars and launchers print more. Of several processes, the one that failed first counts. An
exception that says nothing is told with the line of the program that raised it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

LAST_LINES = 20
"""How many of the last lines the message about a failed script has."""
MOST_TRACEBACK_LINES = 100
"""How many lines of a traceback it has besides."""
MOST_AFTERWARDS = 60
"""A traceback with more lines behind it did not end the program: the error was caught."""
NOTHING = "printed nothing"
_RANK = re.compile(r"^\[(?:rank|default)(\d+)\]:\s?")
"""What torch and torchrun print before each line of one of several processes."""
_START = re.compile(r"^\s*Traceback \(most recent call last\)")
_ASIDE = re.compile(r"^(?:Exception ignored |Error in atexit|Error in sys\.|Exception in thread )")
"""What Python prints before the traceback of an error that did not end the program."""
_LAUNCHERS = ("ChildFailedError", "CalledProcessError", "ProcessExitedException", "SignalException")
"""Errors of torchrun, accelerate and deepspeed. They only say that a process has failed."""
_FOLLOWS = re.compile(
    r"[Cc]onnection (?:was )?(?:closed|reset|refused)|[Bb]roken pipe|[Ss]ocket [Tt]imeout"
    r"|DistBackendError|DistNetworkError|DistStoreError|[Tt]imed out waiting|NCCL error"
)
"""What the other processes say when a partner of theirs is gone."""
_FATAL = re.compile(r"^Fatal Python error: ")
_ROOT_CAUSE = re.compile(r"^\s*rank\s+: (\d+) \(local_rank")
"""torchrun's summary. The rank that failed first comes last."""
_BAR = re.compile(r"\d+%\s*\||\d+it \[|(?:it/s|s/it)\]")
_DRAWN = re.compile(r"[\s\u2500-\u257f|+=*#~_\-]*")
"""A line of a frame, without text."""
_FRAMED = re.compile(r"^\s*[\u2502\u2503]")
_PLACE = re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+)')
_UNDERLINED = re.compile(r"[\s~^]*")
_OPENED = re.compile(r"""\bopen\(\s*['"]([^'"]+\.py)['"]""")
"""The name of a program whose text another one executes."""
_USAGE = re.compile(r"^\s*usage:", re.IGNORECASE)
USAGE_ERROR = 2
"""The exit code of a program whose arguments argparse, click or another library refuses."""
_SAME_AGAIN = frozenset(
    ("ImportError", "ModuleNotFoundError", "SyntaxError", "IndentationError", "TabError")
)
"""Errors of a program that a further attempt on the same machine would end with, too."""


@dataclass(frozen=True)
class _Traceback:
    """A traceback, whose last line is the exception.

    `rank`: of the process, as a number in text; "" if it is not known. `end`: the index of the line
    behind it. `is_aside`: the error did not end the program.
    """

    lines: Sequence[str]
    rank: str
    end: int
    is_aside: bool

    @property
    def error(self) -> str:
        return self.lines[-1].strip()

    @property
    def name(self) -> str:
        """The class of the exception, without its module."""
        return _class_of(self.error)

    @property
    def decides(self) -> bool:
        """True if it may be why the program failed."""
        return not (self.is_aside or self.name in _LAUNCHERS or _FOLLOWS.search(self.error))


def reason_and_lines(lines: Sequence[str], folder: Path | None = None) -> tuple[str, list[str]]:
    """The reason in one line, and the lines to show with it. folder: where the program ran."""
    last = list(lines[-LAST_LINES:])
    traceback = _deciding(lines)
    if traceback is None:
        return _last_words(lines), last
    shown = list(traceback.lines)
    if len(shown) > MOST_TRACEBACK_LINES:
        half = MOST_TRACEBACK_LINES // 2
        shown = [*shown[:half], "...", *shown[-half:]]
    behind = list(lines[max(traceback.end, len(lines) - LAST_LINES) :])
    return _told(traceback, lines, folder), shown + behind


def fails_again(lines: Sequence[str], code: int) -> bool:
    """True if a program that ended with `code` before it trained would do so in every attempt.

    A module is missing, its text is no Python, or it refuses its arguments.
    """
    if code == USAGE_ERROR and any(map(_USAGE.match, lines[-MOST_TRACEBACK_LINES:])):
        return True
    traceback = _deciding(lines)  # a file that is no Python has none
    return (traceback.name if traceback else _class_of(_last_words(lines))) in _SAME_AGAIN


def _class_of(error: str) -> str:
    return error.partition(":")[0].rpartition(".")[2]


def _told(traceback: _Traceback, lines: Sequence[str], folder: Path | None) -> str:
    """The exception, with what tells more if its own line says nothing."""
    error = traceback.error
    if error.endswith(":"):  # a message of several lines, whose first is a heading
        said = [*_message_lines(lines[traceback.end :])]
        return f"{error} {said[-1].strip()}" if said else error
    if ":" in error or not (place := _place(traceback.lines, folder)):
        return error
    return f"{error} ({place})"


def _message_lines(behind: Sequence[str]) -> Iterator[str]:
    """The further lines of the message of an exception, of those behind it."""
    for line in behind:
        if not line.strip() or _START.match(line) or _ASIDE.match(line) or _BAR.search(line):
            return
        yield line


def _place(lines: Sequence[str], folder: Path | None) -> str:
    """Where the exception was raised: `train.py:41: assert width > 0`; "" if it is not known."""
    frames = [(index, found) for index, line in enumerate(lines) if (found := _PLACE.match(line))]
    if not frames:
        return ""
    index, found = frames[-1]
    file, number, source = found["file"], int(found["line"]), _text(lines[index + 1 : -1])
    if file == "<string>" and len(frames) > 1 and folder is not None:
        before = frames[-2][0]
        opened = _OPENED.search(_text(lines[before + 1 : index]))
        if opened:
            file, source = opened[1], _line_of(folder / opened[1], number)
    return f"{Path(file).name}:{number}: {source}" if source else f"{Path(file).name}:{number}"


def _text(lines: Sequence[str]) -> str:
    """The first line of a frame's source; "" if the traceback shows none."""
    return next((line.strip() for line in lines if not _UNDERLINED.fullmatch(line)), "")


def _line_of(file: Path, number: int) -> str:
    try:
        return file.read_text(encoding="utf-8").splitlines()[number - 1].strip()
    except (OSError, ValueError, IndexError):
        return ""


def _deciding(lines: Sequence[str]) -> _Traceback | None:
    """The traceback of the error that ended the program; None if there is none."""
    by_rank: dict[str, _Traceback] = {}
    for traceback in _tracebacks(lines):
        if traceback.decides:
            by_rank[traceback.rank] = traceback  # of an exception chain, the last one
    alone = by_rank.pop("", None)
    if by_rank:
        root = [found[1] for line in lines if (found := _ROOT_CAUSE.match(line))]
        first = min(by_rank.values(), key=lambda traceback: traceback.end)
        return by_rank.get(root[-1], first) if root else first
    if alone is None or len(lines) - alone.end > MOST_AFTERWARDS:
        return None
    return alone


def _tracebacks(lines: Sequence[str]) -> Iterator[_Traceback]:
    """The whole tracebacks of each process, whose lines may be mixed with those of others."""
    ranks: dict[str, list[tuple[int, str]]] = {}
    for index, line in enumerate(lines):
        found = _RANK.match(line)
        if found:
            ranks.setdefault(found[1], []).append((index, line[found.end() :]))
        else:
            ranks.setdefault("", []).append((index, line))
    for rank, numbered in ranks.items():
        yield from _of_process(rank, numbered)


def _of_process(rank: str, numbered: Sequence[tuple[int, str]]) -> Iterator[_Traceback]:
    begin: int | None = None
    for place, (index, line) in enumerate(numbered):
        if _START.match(line):
            begin = place
        elif begin is not None and not line.startswith((" ", "\t")):
            is_aside = begin > 0 and bool(_ASIDE.match(numbered[begin - 1][1]))
            found = [text for _, text in numbered[begin : place + 1]]
            yield _Traceback(found, rank, index + 1, is_aside)
            begin = None


def _last_words(lines: Sequence[str]) -> str:
    """The last line with text that is no progress bar; of a frame, its first line."""
    fatal = [line for line in lines if _FATAL.match(line)]
    if fatal:
        return fatal[-1]
    said = [line for line in lines if not (_BAR.search(line) or _DRAWN.fullmatch(line))]
    if not said:
        return lines[-1].strip() if lines else NOTHING
    if not _FRAMED.match(said[-1]):
        return said[-1].strip()
    first = len(lines) - 1
    while first > 0 and not _FRAMED.match(lines[first]):
        first -= 1
    while first > 0 and _FRAMED.match(lines[first - 1]):
        first -= 1
    inside = [line for line in lines[first:] if line in said]
    return inside[0].strip(" \t\u2502\u2503")
