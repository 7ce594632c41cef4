"""Checks of the contracts that searchers, schedulers and trainables keep.

A package that adds one of these calls its check in a test:

    from raysweep.testing import check_searcher

    def test_annealing_is_a_searcher():
        check_searcher(Annealing, {"temperature": 2.0})

A check raises AssertionError, with a sentence that says what is wrong. It needs no pytest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raysweep.testing.components import check_scheduler, check_searcher
    from raysweep.testing.trainable import check_trainable

__all__ = ["check_scheduler", "check_searcher", "check_trainable"]

_HOMES = {
    "check_searcher": "raysweep.testing.components",
    "check_scheduler": "raysweep.testing.components",
    "check_trainable": "raysweep.testing.trainable",
}
"""The module of each check. It is imported when the check is first used."""


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
