"""The cluster files that ship: as `ray up` checks them offline, and as our own linter does."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from raysweep.tune.cluster.lint import check

PROJECT = Path(__file__).parent.parent
FILES = ("cluster.yaml", "cluster.aws.yaml", "cluster.gcp.yaml")
PLACEHOLDERS = {
    "cluster.yaml": [],
    "cluster.aws.yaml": ["your-bucket stands for the name of your bucket"],
    "cluster.gcp.yaml": [
        "your-project stands for the name of your project",
        "your-bucket stands for the name of your bucket",
    ],
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with what the files ask for: a key and a token, both private."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (".ssh/raysweep", ".ray/auth_token"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch(0o600)
    return tmp_path


@pytest.mark.parametrize("name", FILES)
def test_ray_takes_it_offline(name: str) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config: dict[str, Any] = yaml.safe_load((PROJECT / name).read_text())
    prepared = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    assert prepared["setup_commands"] == config["setup_commands"]
    assert prepared["head_start_ray_commands"] == config["head_start_ray_commands"]


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_wrong_with_it_but_what_a_user_must_fill_in(name: str, home: Path) -> None:
    assert [problem.message for problem in check(PROJECT / name)] == PLACEHOLDERS[name]


@pytest.mark.parametrize("name", FILES)
def test_the_whole_project_is_copied(name: str) -> None:
    """`pip install ~/raysweep` on a node needs everything that pyproject.toml names."""
    import tomllib

    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    links = [path for path in (PROJECT / "raysweep").iterdir() if path.is_symlink()]
    needed = (
        {"raysweep", "run_sweep.py"}
        | {path.name for path in links}
        | {
            "pyproject.toml",
            "constraints.txt",
            project["project"]["readme"],
            *project["project"]["license-files"],
        }
    )
    copied = yaml.safe_load((PROJECT / name).read_text())["file_mounts"]
    assert {local for remote, local in copied.items() if remote.startswith("~/raysweep/")} == needed


@pytest.mark.parametrize("name", FILES)
def test_the_places_to_change_are_marked(name: str) -> None:
    assert (PROJECT / name).read_text().count("<--") >= 5
