"""What can go wrong, by whose fault it is: a user's, a plug-in's, or the machine's.

`raysweep` on the command line prints a `UserError` as one line and exits with its `exit_code`.
Every other exception is a bug and shows its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import ClassVar

LEAST_OF_A_WORD = 3
"""Letters from which on the beginning of a name is taken for it: `max` for `maximize`."""


class RaysweepError(Exception):
    """Base class of all errors that raysweep raises on purpose."""


class UserError(RaysweepError):
    """A mistake in a file, an argument or the environment that its user can mend. One line."""

    exit_code: ClassVar[int] = 2


class ComponentError(RaysweepError):
    """A searcher or a scheduler raised an exception, which is the cause of this one."""


class SessionInterrupted(BaseException):
    """The session cannot continue, because Ray died or the run directory cannot be written.

    The message is the reason, in one line; the sweep can be resumed. It is no Exception because
    Ray's own handlers would catch that, and wait for what is no longer there.
    """


@contextmanager
def naming_component(component: str, action: str) -> Iterator[None]:
    """Turn an exception in the body into a ComponentError that says which component raised it."""
    try:
        yield
    except Exception as error:
        text = first_line(error)
        raise ComponentError(
            f"{component} raised while {action}: {type(error).__name__}: {text}"
        ) from error


def first_line(error: BaseException) -> str:
    """The first line of an exception's message; "" if it has none."""
    return (str(error).strip().splitlines() or [""])[0]


def did_you_mean(name: object, names: Iterable[str]) -> str:
    """The end of a message about an unknown name: `"; did you mean 'eta'?"`.

    "" if none of `names` is similar. Of `loss_step` and `loss_epoch`, which Lightning makes of
    `loss`, the mean over the epoch is meant.
    """
    known = list(names)
    if f"{name}_epoch" in known:
        return f"; did you mean '{name}_epoch'?"
    found = difflib.get_close_matches(str(name), known, n=1)
    if not found and len(str(name)) >= LEAST_OF_A_WORD:
        found = [one for one in known if one.startswith(str(name))]
    if not found:
        return ""
    return f"; did you mean '{found[0]}'?"
