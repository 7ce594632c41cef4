"""Workers that are killed for their memory, for real: by this machine's kernel, in a control group
of 256 MiB, and by Ray's memory monitor, at a threshold gigabytes above what is in use.

`make chaos` runs it: pytest does not find it by its name.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raysweep.history import Status
from raysweep.trainables.runtime.memory_kills import kernel_kills
from tests.test_engine import made, trials

LIMIT = 256 * 1024**2

pytestmark = pytest.mark.ray


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group with a limit, under version 1 or 2 of the kernel's interface."""
    for root, limit in (
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
        (Path("/sys/fs/cgroup"), "memory.max"),
    ):
        place = root / "raysweep-test"
        try:
            place.mkdir(exist_ok=True)
            (place / limit).write_text(str(LIMIT))
        except OSError:
            continue
        yield place
        place.rmdir()
        return
    pytest.skip("a control group with a memory limit needs root")


def test_the_kernels_kill_is_out_of_memory_and_the_others_go_on(
    tmp_path: Path, ray_here: Any, group: Path
) -> None:
    before = kernel_kills()
    configs = [{"x": x, "group": str(group)} for x in (0.9, 0.1)]
    done = trials(made("eats_memory", *configs, parallel=1, on_oom=("skip",)), tmp_path / "run")
    assert kernel_kills() == before + 2
    assert [trial.status for trial in done] == [Status.OOM, Status.COMPLETED]
    assert done[0].reason == "out of memory on the host, killed by the kernel"
    assert done[0].attempts == 2


def test_the_memory_monitors_kill_is_out_of_memory_and_the_others_go_on(tmp_path: Path) -> None:
    """In a driver of its own: the threshold is read when a Ray starts. It counts all that is in
    use on the machine, so that this wants one where nothing else takes or frees gigabytes."""
    amounts = dict(re.findall(r"(\w+): +(\d+) kB", Path("/proc/meminfo").read_text()))
    total, available = int(amounts["MemTotal"]), int(amounts["MemAvailable"])
    above = min(8 * 1024**2, available // 2)  # other tests may take some of it meanwhile
    threshold = (total - available + above) / total
    code = (
        "import sys; from tests.chaos.memory import sweep_that_eats; sweep_that_eats(sys.argv[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "run")],
        env=os.environ | {"RAY_memory_usage_threshold": f"{threshold:.4f}"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    oom = "oom, out of memory on the host, killed by Ray's memory monitor, 2 attempts"
    assert done.stdout.splitlines() == [oom, "completed, trained all 3 epochs, 1 attempts"]


def sweep_that_eats(folder: str) -> None:
    """One trial that takes memory without end, and one that takes none."""
    configs = [{"x": x} for x in (0.9, 0.1)]
    for trial in trials(made("takes_all_memory", *configs, on_oom=("skip",)), Path(folder)):
        print(f"{trial.status}, {trial.reason}, {trial.attempts} attempts")
