"""What a searcher remembers between two proposals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from raysweep.history import History
from raysweep.search_spaces.language.space import Space

T = TypeVar("T")


class PerHistory(Generic[T]):
    """One object for each history that a searcher is asked about. The searcher owns it.

    The object is made when it is first asked for. It is dropped when its history is, and made anew
    if the history comes with another space. Whatever it holds must follow from the history alone,
    so that a searcher without it proposes the same.
    """

    def __init__(self, make: Callable[[Space], T]) -> None:
        self._make = make
        self._kept: WeakKeyDictionary[History, tuple[Space, T]] = WeakKeyDictionary()

    def of(self, space: Space, history: History) -> T:
        """The object of a history."""
        known = self._kept.get(history)
        if known is None or known[0] is not space:
            known = self._kept[history] = (space, self._make(space))
        return known[1]
