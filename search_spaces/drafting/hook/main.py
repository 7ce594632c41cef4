"""Runs a program up to where it reads its options: `main.py ANSWER PROGRAM WORDS...`.

The program is the path of a file, or `-m package.module`, which lies below the current folder.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import sys
from pathlib import Path

from raysweep.search_spaces.drafting.hook import (
    absl_flags,
    answer,
    argparse_options,
    click_options,
    fire_options,
    hydra_job,
)
from raysweep.search_spaces.drafting.hook.after_import import IMPORTING, AfterImport, ImportProgress

ACTIONS = {
    "tyro._backends._argparse": argparse_options.patch_copy,
    "jsonargparse._core": argparse_options.patch_jsonargparse,
    "jsonargparse.core": argparse_options.patch_jsonargparse,  # before version 4.40
    "click.core": click_options.patch,
    "typer._click.core": click_options.patch,
    "typer.core": click_options.patch,
    "fire.core": fire_options.patch,
    "absl.app": absl_flags.patch,
    "hydra.main": hydra_job.patch,
}


def main() -> None:
    """Run the program with its words. The answer says what it ended with, if no parser was used."""
    answer.place = Path(sys.argv[1])
    del sys.argv[:2]
    os.environ["PYTHON_TYRO_BACKEND"] = "argparse"  # the other one has no parser to look at
    argparse_options.patch_argparse()
    sys.meta_path[:0] = [ImportProgress(answer.place.with_name(IMPORTING)), AfterImport(ACTIONS)]
    try:
        _run(sys.argv[0])
        reason = "it ended"
    except SystemExit as end:
        reason = f"it called sys.exit({end.code!r})"
    except BaseException as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    with contextlib.suppress(OSError):
        if not answer.place.exists():  # else a first parser has been seen
            answer.write({"error": reason})
    os._exit(1)  # threads that the program has started would keep this process alive


def _run(program: str) -> None:
    """Run a program as Python would, with its folder first on the path for imports."""
    module = program.removeprefix("-m ")
    if module != program:
        sys.path.insert(0, os.getcwd())
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return
    sys.path.insert(0, str(Path(program).parent))
    runpy.run_path(program, run_name="__main__")
