"""The installed package: `raysweep` alone, built from a checkout or from an sdist."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("results", "schedulers", "search_spaces", "trainables", "tune")
BUILD = (
    "import sys; from setuptools import build_meta as b; getattr(b, 'build_' + "
    "sys.argv[1])(sys.argv[2])"
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a clone holds, because a build leaves files behind."""
    copy = tmp_path_factory.mktemp("clone")
    for name in ("raysweep", *FOLDERS):
        shutil.copytree(
            ROOT / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("pyproject.toml", "README.md", "LICENSE", "run_sweep.py"):
        shutil.copy(ROOT / name, copy)
    return copy


def build(kind: str, source: Path, out: Path) -> Path:
    """The file that a build backend makes of a folder: a "wheel" or an "sdist"."""
    out.mkdir()
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BUILD, kind, str(out)],
        cwd=source,
        check=True,
        capture_output=True,
    )
    return next(out.iterdir())


def installed(wheel: Path) -> set[str]:
    """The files that a wheel puts into site-packages, except for its own records."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_a_wheel_holds_one_package(checkout: Path, tmp_path: Path) -> None:
    names = installed(build("wheel", checkout, tmp_path / "wheel"))
    assert {name.partition("/")[0] for name in names} == {"raysweep"}
    for folder in FOLDERS:
        sources = [*(ROOT / folder).rglob("*.py"), *(ROOT / folder).rglob("*.yaml")]
        assert sources
        assert {f"raysweep/{path.relative_to(ROOT).as_posix()}" for path in sources} <= names
    assert "raysweep/search_spaces/file/schema.json" in names
    assert "raysweep/results/views/html/report.html" in names


def test_an_archive_of_the_sources_gives_the_same_wheel(checkout: Path, tmp_path: Path) -> None:
    archive = build("sdist", checkout, tmp_path / "archive")
    with tarfile.open(archive) as file:
        file.extractall(tmp_path / "sources", filter="data")
    sources = next((tmp_path / "sources").iterdir())
    from_archive = build("wheel", sources, tmp_path / "from-archive")
    assert installed(from_archive) == installed(build("wheel", checkout, tmp_path / "wheel"))


def test_the_oldest_versions_are_the_lower_limits() -> None:
    """`make oldest` tests what `pyproject.toml` allows, and nothing newer."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    limits = {}
    for line in tomllib.loads(text)["project"]["dependencies"]:
        requirement = Requirement(line)
        (least,) = (one.version for one in requirement.specifier if one.operator == ">=")
        limits[requirement.name] = least
    oldest = (ROOT / "constraints-oldest.txt").read_text(encoding="utf-8").splitlines()[1:]
    assert {name for name, _, _ in (line.partition("==") for line in oldest)} == set(limits)
    for name, _, version in (line.partition("==") for line in oldest):
        assert Version(version) == Version(limits[name])
