"""What others could reach or inject: ports, markup, paths as names, secrets, pickles."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raysweep.results import environment
from raysweep.results.storage.run_directory import load
from raysweep.results.views.html.report import write as write_page
from tests.chaos.processes import descendants
from tests.command_line import Typed
from tests.made_up import Story, write_run

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = "<script>alert(1)</script>"


@pytest.mark.ray
def test_everything_listens_on_this_machine_alone(ray_here: Any) -> None:
    mine = [os.getpid(), *descendants(os.getpid())]
    addresses = [address for pid in mine for address in listening(pid)]
    assert addresses
    assert set(addresses) <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
    assert ray_here.get_runtime_context().gcs_address.startswith("127.0.0.1:")


def listening(pid: int) -> Iterator[str]:
    """The addresses on which a process waits for connections."""
    try:
        links = [os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return
    sockets = {match[1] for link in links if (match := re.fullmatch(r"socket:\[(\d+)\]", link))}
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:
                words = bytes.fromhex(fields[1].partition(":")[0])
                packed = b"".join(words[i : i + 4][::-1] for i in range(0, len(words), 4))
                yield socket.inet_ntop(family, packed)


def test_a_parameter_called_script_stays_text(tmp_path: Path) -> None:
    """The name, a value and a reason, in the page, in the tables and in TensorBoard's files."""
    stories = [
        Story("random", [0.5], {SCRIPT: SCRIPT}, "failed", SCRIPT),
        Story("random", [0.6], {SCRIPT: "b"}),
    ]
    run = load(write_run(tmp_path / "run", stories, space={SCRIPT: {"choice": [SCRIPT, "b"]}}))
    page = Path(write_page(run)).read_text(encoding="utf-8")
    assert "alert(1)" in page
    assert SCRIPT not in page
    assert "<script>alert" not in page.lower()
    from raysweep.results.views.terminal import show

    assert "alert(1)" in rendered(show(run, "random-0"))


def rendered(what: Any) -> str:
    import io

    from rich.console import Console

    console = Console(file=io.StringIO(), width=100)
    console.print(what)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_tensorboard_gets_a_harmless_tag() -> None:
    from raysweep.results.views.tensorboard import tag

    assert tag(SCRIPT) == "_script_alert_1__/script_"


def test_secrets_of_the_environment_are_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2-in-the-environment")
    environment.write(tmp_path)
    assert "hunter2" not in (tmp_path / environment.NAME).read_text()


@pytest.mark.parametrize("name", ["../out", "/tmp/out", "a/b", "..", ".hidden", "-rf"])
def test_the_name_of_a_run_is_no_path(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = Typed(tmp_path)
    typed.write()
    assert typed.run(f"--name={name}") == 2
    assert "--name" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_dir()) in ([], ["runs"])


@pytest.mark.parametrize("name", ["../out", "a/b", "bohb/../../x"])
def test_the_name_of_a_searcher_is_no_path(tmp_path: Path, name: str) -> None:
    """Trials are called after their searchers, and their folders after them."""
    typed = Typed(tmp_path)
    typed.write(searcher=f'"{name}"')
    assert typed.run() == 2


TRUSTED = ("pickled_function.py",)
"""A train function of a notebook is code of the user's own, as a `.py` file is."""


def test_nothing_is_unpickled_or_evaluated() -> None:
    """Files are read safely.

    `torch.load` has `weights_only=True`, YAML is safe, and there is no `eval`, no `exec` and no
    `pickle.load`.
    """
    for room in ("raysweep", "search_spaces", "schedulers", "tune", "trainables", "results"):
        for path in (ROOT / room).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            for call in re.findall(r"torch\.load\([^\n]*", text):
                assert "weights_only=True" in call, path
            assert not re.search(r"(?<![\w.])(eval|exec)\(", text), path
            assert not re.search(r"yaml\.load\(|YAML\(\)", text), path
            unpickles = re.search(r"(?<!cloud)pickle\.loads?\(", text)
            assert not unpickles or path.name in TRUSTED, path
