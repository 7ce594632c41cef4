"""The verb that converts a sweep file of another tool."""

from __future__ import annotations

import argparse

from raysweep.tune.cli.arguments import Verbs
from raysweep.tune.cli.as_json import add_option, print_json

TITLE = "files of other tools"


def add(verbs: Verbs) -> None:
    convert = verbs.add_parser(
        "convert",
        help="print a sweep file of another tool as ours",
        description="Print a file of W&B, Determined, NNI, Katib or pytorch-template "
        "as YAML of raysweep.",
    )
    convert.add_argument("file", help="what --space takes too, without being converted first")
    add_option(convert)
    convert.set_defaults(verb=convert_file)


def convert_file(options: argparse.Namespace) -> int:
    """`raysweep convert`."""
    from raysweep.search_spaces.convert.convert_file import convert
    from raysweep.search_spaces.file.document import parse
    from raysweep.tune.load import check_components

    text = convert(options.file, check_components)
    if options.json:
        print_json(parse(text, options.file).data)
        return 0
    print(text, end="")
    return 0
