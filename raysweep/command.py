"""The command line's entry point."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code."""
    from tune.cli import main as run

    return run(arguments)
