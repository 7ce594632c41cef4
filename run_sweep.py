"""Run a sweep: `python run_sweep.py --space cnn.yaml`. The same as `raysweep run`."""

from __future__ import annotations

import sys

from raysweep.tune.cli.app import main

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[1:]]))
