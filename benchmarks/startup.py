"""How long a user waits for `--help`, and for `--dry-run` of each shipped file.

    python benchmarks/startup.py [times]

The least of several runs in fresh processes, in seconds: by the clock, and of processor time, which
depends little on other work on the machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def seconds(words: list[str]) -> tuple[float, float]:
    """The clock's and the processor's seconds of one run of `run_sweep.py`."""
    began, before = time.perf_counter(), os.times()
    subprocess.run(
        [sys.executable, str(ROOT / "run_sweep.py"), *words],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    # Of the child alone, which has been waited for: this process's own time does not count.
    after = os.times()
    spent = (
        after.children_user - before.children_user + after.children_system - before.children_system
    )
    return time.perf_counter() - began, spent


def main() -> None:
    times = int((sys.argv[1:] or ["5"])[0])
    shipped = sorted((ROOT / "search_spaces").glob("*.yaml"))
    print(f"{'':<40} {'clock':>6} {'CPU':>6}")
    for words in [["--help"], *(["--space", path.name, "--dry-run"] for path in shipped)]:
        clock, processor = (
            min(column) for column in zip(*(seconds(words) for _ in range(times)), strict=True)
        )
        print(f"{' '.join(words):<40} {clock:6.2f} {processor:6.2f}")


if __name__ == "__main__":
    main()
