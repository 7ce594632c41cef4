"""The command line `raysweep`. Each verb has a function in one of the modules beside this one."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from raysweep.errors import UserError, did_you_mean
from raysweep.formatting import clean
from raysweep.tune.cli import (
    analyse,
    cluster,
    complete,
    convert,
    init,
    inspect,
    launch,
    manage,
    run,
    serve,
    steer,
    watch,
)
from raysweep.tune.cli.examples import epilog

VERB_MODULES = (
    init,
    run,
    watch,
    serve,
    steer,
    inspect,
    analyse,
    manage,
    convert,
    cluster,
    launch,
    complete,
)
"""Each has `add(verbs)`, which adds its verbs, and the `TITLE` under which the help lists them."""
WITH_WORDS = ("init", "run")
"""Verbs behind whose options `--` may stand, and behind that the words of the user's program."""
INTERRUPTED = 4
WIDEST_VERB = 14
"""Characters of the column of verbs in the help."""
EXAMPLES = """\
examples:
  $ raysweep run --space cnn.yaml --name cnn
  $ raysweep status cnn
  $ raysweep extend cnn trials=+50
  $ raysweep VERB --help"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code.

    0 good, 1 a bug, 2 a mistake in the input, 3 no trial succeeded, 4 interrupted.
    """
    try:
        return program(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED


def program(arguments: Sequence[str] | None = None) -> int:
    """The same, but an interruption that no verb handles raises KeyboardInterrupt."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not every terminal can show every letter
            stream.reconfigure(errors="backslashreplace")
    arguments, words = _split(arguments)
    top = parser()
    if arguments[:1] and not arguments[0].startswith("-") and arguments[0] not in listed_verbs(top):
        hint = did_you_mean(arguments[0], listed_verbs(top)) or "; raysweep --help lists the verbs"
        print(f"raysweep: there is no verb '{clean(arguments[0])}'{hint}", file=sys.stderr)
        return 2
    options = top.parse_args(arguments)
    options.arguments, options.words = arguments[1:], words  # no verb has options of these names
    try:
        code: int = options.verb(options)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except UserError as error:
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
    top = Parser(
        prog="raysweep",
        usage="raysweep VERB ...",
        description="Hyperparameter tuning for PyTorch on Ray.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action=Version)
    parsers = top.add_subparsers(
        prog="raysweep", required=True, metavar="VERB", help=argparse.SUPPRESS
    )
    groups = []
    for module in VERB_MODULES:
        verbs = ListedVerbs(parsers)
        module.add(verbs)
        groups.append("\n".join([f"{module.TITLE}:", *verbs.lines]))
    top.epilog = "\n\n".join([*groups, EXAMPLES])
    return top


def listed_verbs(top: argparse.ArgumentParser) -> dict[str, tuple[str, list[str]]]:
    """What each verb is for, and its options, by its name."""
    (verbs,) = (action for action in top._actions if isinstance(action, argparse._SubParsersAction))
    return {
        name: (
            str(verb.description).partition(". ")[0].rstrip("."),
            [option for action in verb._actions for option in action.option_strings],
        )
        for name, verb in verbs.choices.items()
    }


class Parser(argparse.ArgumentParser):
    """A parser that answers a mistake with one line; argparse's own prints all options first."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {clean(message)}; see {self.prog} --help\n")


class ListedVerbs:
    """Adds verbs to a parser, and lists them for the help."""

    def __init__(self, parsers: Any) -> None:
        self._parsers = parsers
        self.lines: list[str] = []

    def add_parser(self, name: str, **options: Any) -> argparse.ArgumentParser:
        """Add a verb, as argparse does; its `help` is listed under the title of its module."""
        self.lines.append(f"  {name:<{WIDEST_VERB}} {options.pop('help')}")
        parser: argparse.ArgumentParser = self._parsers.add_parser(name, **options)
        if examples := epilog(name):
            parser.epilog = examples
            parser.formatter_class = argparse.RawDescriptionHelpFormatter
        return parser


class Version(argparse.Action):
    """`--version`."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *arguments: Any) -> None:
        from importlib.metadata import version

        print(f"raysweep {version('raysweep')}")
        parser.exit()


if __name__ == "__main__":
    sys.exit(main())
