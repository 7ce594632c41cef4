"""What a process of raysweep's begins with: it finds raysweep's packages beside this file, whatever lies in the current folder.

As a program, `python .../raysweep/start.py trainables.verify FOLDER`, it runs a module's `main` as `python -m` would. It is the
main module of a trial's process too, because processes that multiprocessing starts by spawn or forkserver import their parent's main
module first, and so find raysweep's packages.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def find_raysweep() -> None:
    """Import the `raysweep` that this file belongs to."""
    if "raysweep" in sys.modules:
        return
    sys.path.insert(0, str(HERE.parent))
    try:
        importlib.import_module("raysweep")
    finally:
        sys.path.remove(str(HERE.parent))


def main() -> None:
    """Run the module that the command line names."""
    name = sys.argv.pop(1)
    sys.path[:] = [place for place in sys.path if place != str(HERE)]
    module = importlib.import_module(name)
    sys.path.insert(0, os.getcwd())  # after what the module needs itself
    module.main()


find_raysweep()

if __name__ == "__main__":
    main()
