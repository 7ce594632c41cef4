"""Run a sweep: `python run_sweep.py --space cnn.yaml`. The same as `raysweep run`."""

from __future__ import annotations

import os
import sys

from raysweep.tune.cli.app import main

# This folder's tune/, results/ and so on are parts of raysweep. A user's own packages of the same
# names come from the user's folder, so nothing is to be imported from here by those names.
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [place for place in sys.path if os.path.abspath(place) != HERE]

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[1:]]))
