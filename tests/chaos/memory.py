"""A worker that this machine's kernel kills for its memory, for real: a control group of 256 MiB, and a trial that takes more.

`make chaos` runs it: pytest does not find it by its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from results.history import Status
from tests.test_engine import made, trials
from trainables.memory_kills import kernel_kills

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
