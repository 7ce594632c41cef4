"""The verb that serves the web application: serve."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from raysweep.errors import UserError
from raysweep.tune.cli.arguments import Verbs, other_runs, place, storage

if TYPE_CHECKING:
    from raysweep.tune.serve.folders import Folder

TITLE = "watch and steer sweeps in a browser"
TOKEN = "RAYSWEEP_TOKEN"
EXAMPLES = """\
examples:
  $ raysweep serve
  $ raysweep serve s3://bucket/runs
  $ raysweep serve --port 9000 --no-browser

On another machine: start it there, and here
  $ ssh -L 8765:localhost:8765 THERE
Then open the address that it printed. Who has the token may do what the verbs
that steer a sweep do."""


class FolderError(UserError):
    """What is to be served does not exist."""


def add(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "serve",
        help="a web page over all sweeps of a folder, live, with commands to them",
        description="Serve a web page over all sweeps of a folder, on this machine, until Ctrl-C.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EXAMPLES,
    )
    parser.add_argument(
        "folder", nargs="?", help="a folder or URL (default: where run directories are)"
    )
    parser.add_argument("--port", type=port, help="default: a free one from 8765 on")
    parser.add_argument(
        "--host", default="127.0.0.1", help="where to listen (default: 127.0.0.1, this machine)"
    )
    parser.add_argument(
        "--token", default="", help=f"others see it among the processes: better set ${TOKEN}"
    )
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    parser.set_defaults(verb=serve_folder)


def port(text: str) -> int:
    """A number of a port; 0 for any that is free."""
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"expected 0 to 65535, got '{text}'")
    return int(text)


def serve_folder(options: argparse.Namespace) -> int:
    """`raysweep serve`."""
    folder = found_folder(options.folder)
    # Out of the environment, which the processes that the server starts would inherit.
    token = options.token or os.environ.pop(TOKEN, "")
    from raysweep.tune.serve.server import Settings, has_display, serve

    browser = not options.no_browser and has_display()
    settings = Settings(options.host, options.port, token, browser)
    serve(folder, settings, lambda line: print(line, flush=True))
    return 0


def found_folder(text: str | None) -> Folder:
    """What to serve: a folder, a URL, or a run by its name. Raises FolderError."""
    from raysweep.tune.serve.folders import LocalFolder, StoredFolder

    named = storage() if text is None else place(text)
    if isinstance(named, str):
        return StoredFolder(named)
    default = storage()
    if not named.exists() and isinstance(default, Path) and (default / named).is_dir():
        named = default / named
    if text is not None and not named.is_dir():
        others = other_runs(text, default) if isinstance(default, Path) else ""
        raise FolderError(f"{text} is not a folder{others}")
    return LocalFolder(named)
