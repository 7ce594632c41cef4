"""The command that continues a run, as the user can type it in the same folder."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from raysweep.tune.cli.arguments import storage

SUBMITTED = "RAYSWEEP_SUBMITTED_TO"
"""Set in a job of a cluster: the address that `--submit` was given."""


def resume(options: argparse.Namespace, run: str, *more: str) -> str:
    """The command that resumes `run`, a path or a URL, with this session's own options."""
    words = program(sys.argv, sys.orig_argv)
    verb = ["--resume"]
    if words[-1] == "run":
        words, verb = words[:-1], ["resume"]
    return shlex.join([*words, *verb, run, *_how(options), *more])


def program(argv: Sequence[str], original: Sequence[str]) -> list[str]:
    """How `raysweep run` was started: the words before its options, as they were typed.

    `argv` and `original` are `sys.argv` and `sys.orig_argv`. `raysweep run` if it was called from
    another program.
    """
    words = list(original[: len(original) - len(argv) + 1])
    place = Path(argv[0])
    if place.name == "run_sweep.py":
        return words
    if place.parts[-2:] == ("raysweep", "__main__.py"):  # python -m raysweep
        return [*words, "run"]
    found = shutil.which("raysweep")
    if place.name == "raysweep" and (found is None or not place.samefile(found)):
        return [str(place), "run"]  # not on the PATH
    return ["raysweep", "run"]


def _how(options: argparse.Namespace) -> list[str]:
    """The options that the run directory does not record."""
    words: list[str] = []
    if options.data_root is not None:
        words += ["--data-root", str(options.data_root)]
    if (submitted := os.environ.get(SUBMITTED)) is not None:
        words += ["--submit", submitted]
    elif options.address is not None:
        words += ["--address", options.address]
    switches = {
        "--require-gpu": options.require_gpu,
        "--isolate": options.isolate,
        "--json": options.json,
        "--debug": options.debug,
    }
    return words + [name for name, on in switches.items() if on]


def place_of(folder: Path) -> str:
    """A run directory as the printed command names it.

    A job of a cluster runs in another folder than the one that it was sent from.
    """
    from raysweep.results.storage.mirror import origin

    bucket = origin(folder)
    if bucket is not None:
        return bucket.url
    if SUBMITTED in os.environ:
        return str(folder.resolve())
    default = storage()
    if isinstance(default, Path) and folder.parent == default:
        return folder.name  # it is looked for there
    return str(folder)
