"""The verb that converts a sweep file of another tool."""

from __future__ import annotations

import argparse

from raysweep.tune.cli.arguments import Verbs

TITLE = "files of other tools"


def add(verbs: Verbs) -> None:
    convert = verbs.add_parser(
        "convert",
        help="print a sweep file of another tool as ours",
        description="Print a file of W&B, Determined, NNI, Katib or pytorch-template "
        "as YAML of raysweep.",
    )
    convert.add_argument("file", help="what --space takes too, without being converted first")
    convert.set_defaults(verb=convert_file)


def convert_file(options: argparse.Namespace) -> int:
    """`raysweep convert`."""
    from raysweep.search_spaces.convert.convert_file import convert
    from raysweep.tune.load import check_components

    print(convert(options.file, check_components), end="")
    return 0
