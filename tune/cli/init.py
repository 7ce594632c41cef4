"""The verb that drafts a sweep's file from a training program: `raysweep init train.py`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.errors import UserError
from raysweep.tune.cli.arguments import Verbs
from raysweep.tune.cli.as_json import add_option, print_json

if TYPE_CHECKING:
    from raysweep.search_spaces.drafting.draft import Draft

TITLE = "draft a sweep's file"
EXAMPLES = """\
examples:
  raysweep init train.py                        write sweep.yaml
  raysweep init src/train.py --out tune.yaml    write another file
  raysweep init main.py -- fit --data ./data    with words that the program needs
  raysweep init '-m package.train'              a module, as with python -m

The program is run up to where it reads its options, and ended there: nothing is trained.
"""


class InitError(UserError):
    """A file that cannot be written, in one line."""


def add(verbs: Verbs) -> None:
    init = verbs.add_parser(
        "init",
        help="draft a sweep file from a training program",
        description="Draft a sweep file from the options and the output of a training program.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    init.add_argument("program", help="a Python file such as train.py, or '-m package.module'")
    init.add_argument(
        "--out",
        type=Path,
        default=Path("sweep.yaml"),
        metavar="FILE",
        help="the file to write; - prints it (default: sweep.yaml)",
    )
    init.add_argument(
        "--limit",
        type=float,
        metavar="SECONDS",
        help="how long the program may take from its last import until it reads its options "
        "(default: 120)",
    )
    add_option(init)
    init.set_defaults(verb=init_sweep)


def init_sweep(options: argparse.Namespace) -> int:
    """`raysweep init`."""
    from raysweep.search_spaces.drafting.ask_program import LIMIT_SECONDS
    from raysweep.search_spaces.drafting.draft import draft
    from raysweep.search_spaces.drafting.write import text_of

    out: Path = options.out
    is_printed = str(out) == "-"
    place = out
    if is_printed:
        place = Path("sweep.yaml")
    _check_free(out, is_printed)
    print(f"looking at {options.program}; nothing is trained", file=sys.stderr, flush=True)
    made = draft(options.program, options.words, options.limit or LIMIT_SECONDS)
    text = text_of(made, place)
    _check(text, place)
    if is_printed:
        print(text, end="")
        return 0
    _write(out, text)
    if options.json:
        print_json(_data(made, out))
        return 0
    print("\n".join(_summary(made, out)))
    return 0


def _check_free(out: Path, is_printed: bool) -> None:
    if out.exists() and not is_printed:
        raise InitError(f"--out {out}: the file exists; name another, or move it away")
    if not is_printed and not out.resolve().parent.is_dir():
        raise InitError(f"--out {out}: there is no folder {out.parent}")


def _check(text: str, place: Path) -> None:
    """Read the draft back. A mistake in it is one of ours, and shows its traceback."""
    from raysweep.search_spaces.convert.any_file import read_text
    from raysweep.tune.load import sweep_of

    try:
        sweep_of(read_text(text, place))
    except UserError as error:
        raise AssertionError(f"the draft is no sweep: {error}\n{text}") from error


def _write(out: Path, text: str) -> None:
    from raysweep.files import atomic_write

    try:
        atomic_write(out, text)
    except OSError as error:
        raise InitError(f"--out {out}: cannot be written: {error.strerror}") from None


def _data(made: Draft, out: Path) -> dict[str, Any]:
    """What was found, for other programs."""
    from raysweep.search_spaces.drafting.write import warnings

    found = made.found[0] if made.found else None
    return {
        "file": out,
        "tunes": [one.option.name for one in made.active],
        "metric": found and {"name": found.name, "goal": found.goal},
        "length": {"unit": made.length.unit, "count": made.length.count},
        "warnings": warnings(made),
    }


def _summary(made: Draft, out: Path) -> list[str]:
    """What was found, what is to do, and what to type next."""
    from raysweep.search_spaces.drafting.write import warnings

    found = ", ".join(one.option.name for one in made.active) or "nothing"
    length = f"{made.length.count} {made.length.unit} a trial, {made.length.why}"
    lines = [f"wrote {out}: look at each line of it", f"  tunes   {found}"]
    if made.found:
        guess = made.found[0]
        lines.append(f"  metric  {guess.goal} {guess.name}, {guess.why}")
    if made.length.is_known:
        lines.append(f"  trains  {length}")
    lines += [f"  note    {warning}" for warning in warnings(made)]
    return [
        *lines,
        f"see what it means   raysweep run --space {out} --dry-run",
        f"run it              raysweep run --space {out}",
    ]
