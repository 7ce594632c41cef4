"""Hyperparameter tuning for PyTorch on Ray."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from raysweep.finder import install

if TYPE_CHECKING:
    from raysweep.results import load

__all__ = ["load"]

_HOMES = {"load": "raysweep.results"}
"""The module of each public name. It is imported when the name is first used."""

install()


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
