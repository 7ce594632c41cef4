"""The command line `raysweep`. Each verb has a function in one of the modules beside this one."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from raysweep.errors import UserError
from raysweep.tune.cli import analyse, cluster, convert, init, inspect, run

VERB_MODULES = (init, run, inspect, cluster, convert, analyse)
"""Each has `add(verbs)`, which adds its verbs. The help lists them in this order."""
WITH_WORDS = ("init", "run")
"""Verbs behind whose options `--` may stand, and behind that the words of the user's program."""
INTERRUPTED = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code.

    0 good, 1 a bug, 2 a mistake in the input, 3 no trial succeeded, 4 interrupted.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not every terminal can show every letter
            stream.reconfigure(errors="backslashreplace")
    arguments, words = _split(arguments)
    options = parser().parse_args(arguments)
    options.arguments, options.words = arguments[1:], words
    try:
        code: int = options.verb(options)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except UserError as error:
        from raysweep.formatting import clean

        print(f"raysweep: {clean(str(error))}", file=sys.stderr)
        return error.exit_code
    return code


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The arguments of raysweep, and those behind `--`, which are for the user's program."""
    if arguments[:1] and arguments[0] in WITH_WORDS and "--" in arguments:
        place = arguments.index("--")
        return arguments[:place], arguments[place + 1 :]
    return arguments, []


def parser() -> argparse.ArgumentParser:
    """Everything that can be said on the command line."""
    top = argparse.ArgumentParser(
        prog="raysweep", description="Hyperparameter tuning for PyTorch on Ray."
    )
    verbs = top.add_subparsers(title="verbs", required=True, metavar="VERB")
    for module in VERB_MODULES:
        module.add(verbs)
    return top


if __name__ == "__main__":
    sys.exit(main())
