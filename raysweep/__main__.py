"""`python -m raysweep` is the same as `raysweep`."""

from __future__ import annotations

import sys

from raysweep.tune.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
