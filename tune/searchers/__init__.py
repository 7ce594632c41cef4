"""Searchers: what to try next.

Each module here that defines a dataclass with the method `suggest` adds a searcher. Its name in a
YAML file is the class's name in lower case, and its fields are its options.
"""

from __future__ import annotations

from typing import Any

from raysweep.plugins import SEARCHER, shipped

SEARCHERS: dict[str, type[Any]] = shipped(__name__, SEARCHER)
