"""Run a sweep: `python run_sweep.py --space cnn.yaml`. The same as `raysweep run`."""

from __future__ import annotations

import os
import sys

from raysweep.__main__ import main

# Python put this file's folder first on the path. Its tune/, results/ and so on are parts of
# raysweep, and would hide a user's own packages of these names in the user's folder.
HERE = os.path.dirname(os.path.abspath(__file__))
if os.path.abspath(sys.path[0]) == HERE and os.getcwd() != HERE:
    del sys.path[0]

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[1:]]))
