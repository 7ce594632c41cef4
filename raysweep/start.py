"""The first file that a process of raysweep's runs. It imports the `raysweep` that it lies in.

So nothing in the current folder is taken for raysweep. As a program, `python .../raysweep/start.py
raysweep.trainables.runtime.evaluate FOLDER`, it runs a module's `main` as `python -m` would. It is
also the main module of a trial's process: processes that multiprocessing starts by spawn or
forkserver import their parent's main module first, and so find raysweep too.
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
    # Python puts a program's folder on the path, and ours has an `errors.py`, a `files.py` ...
    sys.path[:] = [place for place in sys.path if place != str(HERE)]
    module = importlib.import_module(name)
    sys.path.insert(0, os.getcwd())  # not before the module's own imports are done
    module.main()


find_raysweep()

if __name__ == "__main__":
    main()
