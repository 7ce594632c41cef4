"""What tests share: one Ray for the whole run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def ray_here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Ray that believes it has four CPUs and one GPU. Started once; sessions find it running and leave it so."""
    from tune.engine.run import Machines, cluster

    logs: Path = tmp_path_factory.mktemp("ray-logs")
    with cluster(Machines(cpus=4, gpus=1), logs) as ray:
        yield ray
