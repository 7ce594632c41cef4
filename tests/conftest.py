"""What tests share: one Ray for the whole run, and a browser."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.browser import Browser, chromium

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # as in a worker; models this small wait for each other's threads longer than they compute
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `-n 2 --dist loadgroup` one process runs what is about Ray, one test after the other, while the other runs the rest."""
    for item in items:
        if item.get_closest_marker("ray"):
            item.add_marker(pytest.mark.xdist_group("ray"))
        if item.get_closest_marker("examples") and "RAYSWEEP_EXAMPLES" not in os.environ:
            item.add_marker(pytest.mark.skip(reason="only by: make examples"))


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of the tests' own, here and in the workers of a Ray started later."""
    with pytest.MonkeyPatch.context() as patch:
        place = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(place))
        yield place


@pytest.fixture(scope="session")
def ray_here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Ray that believes it has four CPUs and one GPU. Started once; sessions find it running and leave it so."""
    from raysweep.tune.executors.ray.connection import Machines, cluster

    logs: Path = tmp_path_factory.mktemp("ray-logs")
    with cluster(Machines(cpus=4, gpus=1), logs) as ray:
        yield ray


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless Chromium; tests that need it are skipped where there is none."""
    with chromium(tmp_path_factory.mktemp("profile")) as one:
        yield one
