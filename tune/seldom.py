"""A value that is shown again and again, but takes a while to make."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Made = TypeVar("Made")
TIMES = 10.0
"""It is made again after so many times as long as it took."""


class Seldom(Generic[Made]):
    """A value that is made again at most so often that it takes a tenth of the time."""

    def __init__(self) -> None:
        self._kept: Made | None = None
        self._next = -math.inf

    def get(self, make: Callable[[], Made], fresh: bool = False) -> Made:
        """The value, made now if it is due, or if it must be `fresh`."""
        began = time.monotonic()
        if self._kept is None or fresh or began >= self._next:
            self._kept = make()
            ended = time.monotonic()
            self._next = ended + TIMES * (ended - began)
        return self._kept
