"""What tests share: one Ray for the whole run, and a browser."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.browser import Browser, chromium

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # as in a worker; models this small wait for each other's threads longer than they compute
SECOND_RAY = ("test_outcomes", "test_spawned", "test_stored_runs", "test_watching")
THIRD_RAY = ("test_api", "test_callbacks", "test_nothing_lost", "test_resume", "test_verbs")
"""Two groups of test modules, each of which takes about as long as the others about Ray."""

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests about Ray in three processes, each with one Ray, while others run the rest.

    Those with a browser share one, which costs more than they do, and those of the conformance
    share the proposals that they look at.
    Tests of one group run one after the other in one process (`--dist loadgroup`).
    """
    for item in items:
        if item.get_closest_marker("ray"):
            item.add_marker(pytest.mark.xdist_group(ray_group(item.path.stem)))
        elif "browser" in item.fixturenames:  # type: ignore[attr-defined]
            item.add_marker(pytest.mark.xdist_group("browser"))
        elif item.path.stem == "test_conformance":
            item.add_marker(pytest.mark.xdist_group("conformance"))
        for target in ("examples", "conformance"):
            chosen = f"RAYSWEEP_{target.upper()}" in os.environ
            if item.get_closest_marker(target) and not chosen:
                item.add_marker(pytest.mark.skip(reason=f"only by: make {target}"))


def ray_group(module: str) -> str:
    """The group of a test about Ray. Of the examples, each module starts nodes of its own."""
    if "RAYSWEEP_EXAMPLES" in os.environ:
        return module
    if module in SECOND_RAY:
        return "ray2"
    return "ray3" if module in THIRD_RAY else "ray1"


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of the tests' own, here and in the workers of a Ray started later."""
    with pytest.MonkeyPatch.context() as patch:
        place = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(place))
        yield place


@pytest.fixture(autouse=True)
def devices_as_before() -> Iterator[None]:
    """Show the GPUs again after a test: a trial without one hides them from its process.

    A trial may have trained in this process, and Ray does not start where they are hidden.
    """
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    yield
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    if before is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = before


@pytest.fixture(scope="session", autouse=True)
def source_alone() -> Iterator[None]:
    """Keep no byte code of what tests write, here and in the processes that they start.

    Python knows by the second of a file's last change, and by its length, that byte code is out of
    date, and a test changes a train function faster than that.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        patch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        yield


@pytest.fixture(scope="session")
def ray_here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Ray with four pretended CPUs and one GPU, started once for all sessions."""
    from raysweep.tune.executors.ray.connection import Machines, cluster

    logs: Path = tmp_path_factory.mktemp("ray-logs")
    with cluster(Machines(cpus=4, gpus=1), logs) as ray:
        yield ray


@pytest.fixture(scope="module")
def without_end() -> Iterator[None]:
    """Leave out the export and the page at a sweep's end, which take longer than a small sweep.

    It is for tests of what comes before; others cover them.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("raysweep.tune.cli.summary._export", lambda run: (None, "not exported"))
        patch.setattr("raysweep.tune.cli.summary._page", lambda run: "")
        yield


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless Chromium; tests that need it are skipped where there is none."""
    with chromium(tmp_path_factory.mktemp("profile")) as one:
        yield one
