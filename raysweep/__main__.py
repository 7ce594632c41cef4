"""The program `raysweep`, which `python -m raysweep` is, too."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

INTERRUPTED = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code; see `raysweep.tune.cli.app`.

    An interruption ends the process here, with the exit code that it has later.
    """
    try:
        from raysweep.tune.cli.app import program
    except KeyboardInterrupt:
        print("raysweep: interrupted before it began", file=sys.stderr)
        _end()
    try:
        return program(arguments)
    except KeyboardInterrupt:
        _end()


def _end() -> NoReturn:
    """End at once. Python itself would end by the signal if that came while it made a class."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    sys.exit(main())
