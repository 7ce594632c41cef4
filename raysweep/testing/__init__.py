"""Checks of the contracts that searchers, schedulers and trainables keep.

A check raises AssertionError, with a sentence that says what is wrong. It needs no pytest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raysweep.testing.trainable import check_trainable

__all__ = ["check_trainable"]

_HOMES = {"check_trainable": "raysweep.testing.trainable"}
"""The module of each check. It is imported when the check is first used."""


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
