"""How a script is started and ended: launchers, folders, variables, and what it continues from."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from raysweep.trainables.runtime import kill_with_parent
from raysweep.trainables.runtime.import_trainable import TrainableError, load
from raysweep.trainables.runtime.run import Objective, Run
from raysweep.trainables.runtime.script.command_line import CommandLine
from raysweep.trainables.runtime.script.config_file import ConfigFile
from raysweep.trainables.runtime.script.launchers import search_path, with_free_port
from tests.test_script import gone

TELLS = """
import json, os, sys
said = {"words": sys.argv[1:], "cwd": os.getcwd(), "name": __name__, "python": sys.executable}
said["environment"] = dict(os.environ)
with open(os.path.join(os.environ["RAYSWEEP_FOLDER"], "said.json"), "w") as file:
    json.dump(said, file)
print(json.dumps({"loss": 1}))
"""
CONFIG = {"lr": 0.1, "width": 8}


def make_run(folder: Path, epochs: int = 1, send: Any = lambda message: None) -> Run:
    run = Run(
        epochs, send, seed=5, folder=folder / "trial", objective=Objective("loss", maximize=False)
    )
    run.trial = "auto-3"
    return run


def told(script: Path, folder: Path, how: CommandLine) -> dict[str, Any]:
    """What a script that tells everything was told."""
    load(str(script))[0](CONFIG, make_run(folder), how)
    said: dict[str, Any] = json.loads((folder / "trial/files/said.json").read_text())
    return said


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "src" / "train.py"
    path.parent.mkdir()
    path.write_text(TELLS)
    return path


def test_placeholders_have_the_values_of_the_trial(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHO", "me")
    names = ("folder", "seed", "device", "trial", "sweep", "config", "env:WHO", "lr", "epochs")
    how = CommandLine(
        options="none",
        arguments=[f"{{{name}}}" for name in names],
        sweep="..",
        lengths={"epochs": 9},
    )
    assert told(script, tmp_path, how)["words"] == [
        str(tmp_path / "trial/files"), "5", "cpu", "auto-3", str(tmp_path),
        json.dumps(CONFIG), "me", "0.1", "9",
    ]  # fmt: skip


def test_a_port_is_free_and_the_same_in_all_words(script: Path, tmp_path: Path) -> None:
    how = CommandLine(
        options="none", arguments=["{port}", "{port}"], environment={"MASTER_PORT": "{port}"}
    )
    said = told(script, tmp_path, how)
    port = said["words"][0]
    assert said["words"] == [port, port]
    assert said["environment"]["MASTER_PORT"] == port
    with socket.socket() as listener:
        listener.bind(("", int(port)))


def test_variables_are_set_and_unset(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNWANTED", "x")
    how = CommandLine(environment={"WIDTH": "w{width}", "UNWANTED": None, "PYTHONUNBUFFERED": "2"})
    environment = told(script, tmp_path, how)["environment"]
    assert environment["WIDTH"] == "w8"
    assert "UNWANTED" not in environment
    assert environment["PYTHONUNBUFFERED"] == "2"
    assert environment["RAYSWEEP_SEED"] == "5"


@pytest.mark.parametrize("folder", [None, "..", "../made/{trial}", "{folder}/deep"])
def test_it_works_in_its_folder(script: Path, tmp_path: Path, folder: str | None) -> None:
    place = {
        None: script.parent,
        "..": tmp_path,
        "../made/{trial}": tmp_path / "made/auto-3",
        "{folder}/deep": tmp_path / "trial/files/deep",
    }[folder]
    assert told(script, tmp_path, CommandLine(folder=folder))["cwd"] == str(place)


def test_a_folder_or_a_program_that_is_not_there_is_one_line(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    for how, text in (
        (CommandLine(folder="none"), r"script.folder: there is no folder .*/src/none$"),
        (CommandLine(launcher=["nosuch", "-x"]), r"launcher: there is no program 'nosuch' on this"),
        (CommandLine(after=["{env:NOT_SET}"]), r"the environment variable NOT_SET is not set"),
        (CommandLine(after=["{momentum}"]), r"'\{momentum\}' has no value in this configuration"),
    ):
        with pytest.raises(TrainableError, match=text):
            told(script, tmp_path, how)


def test_a_module_runs_as_a_module_wherever_it_works(tmp_path: Path) -> None:
    package = tmp_path / "src/lab"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("NAME = 'lab'")
    (package / "train.py").write_text("from lab import NAME\nfrom . import NAME\n" + TELLS)
    for folder in ("..", "{folder}"):
        how = CommandLine(module="lab.train", folder=folder, launcher=None)
        said = told(package / "train.py", tmp_path, how)
        assert said["name"] == "__main__"
        assert said["words"] == ["--lr=0.1", "--width=8"]


def test_a_shell_script_finds_this_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if its environment were activated, although it is not."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    (tmp_path / "tells.py").write_text(TELLS)
    run = tmp_path / "run.sh"
    run.write_text('echo "starting $#"\nexec python tells.py "$@" --last\n')
    said = told(run, tmp_path, CommandLine(launcher=["bash", "-e"]))
    assert Path(said["python"]).parent == Path(sys.executable).parent
    assert said["words"] == ["--lr=0.1", "--width=8", "--last"]
    assert search_path({"PATH": f"/x:{Path(sys.executable).parent}"}).startswith("/x:")


def test_the_configuration_comes_as_a_file(script: Path, tmp_path: Path) -> None:
    file = ConfigFile("c.json", '{"lr": 1, "out": "{folder}", "width": 2}', "base.json", "--config")
    said = told(script, tmp_path, CommandLine(options="none", config_file=file))
    path = tmp_path / "trial/files/c.json"
    assert said["words"] == [f"--config={path}"]
    assert json.loads(path.read_text()) == {"lr": 0.1, "out": str(path.parent), "width": 8}


SAVES = """
import argparse, json, os, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--out", type=pathlib.Path)
parser.add_argument("--ckpt", type=pathlib.Path)
parser.add_argument("--lr")
options = parser.parse_known_args()[0]
first = int(options.ckpt.read_text()) if options.ckpt else 0
(options.out / "last.pt").write_text("of the script's own")
for epoch in range(first + 1, 6):
    print(json.dumps({"epoch": epoch, "loss": first}))
    (options.out / f"epoch-{epoch}.ckpt").write_text(str(epoch))
    if epoch % 2 == 0: break
"""


def test_it_continues_from_the_newest_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SAVES)
    how = CommandLine(
        arguments=["--out", "{folder}"],
        resume=["--ckpt", "{checkpoint}"],
        checkpoint="{folder}/*.ckpt",
    )
    found = []
    for _ in range(3):
        run = make_run(tmp_path / "odd [name]", epochs=5)
        load(str(tmp_path / "train.py"))[0](CONFIG, run, how)
        found.append([report["metrics"]["loss"] for report in run.reports])
    assert found == [[0, 0], [0, 0, 2, 2], [0, 0, 2, 2, 4]]
    last = tmp_path / "odd [name]/trial/files/last.pt"
    assert last.read_text() == "of the script's own"


def test_a_checkpoint_may_be_a_folder_or_one_path(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(TELLS)
    saved = tmp_path / "trial/files/checkpoint-500"
    for text in ("checkpoint-*", "{folder}/checkpoint-500", "{folder}/checkpoint-500/"):
        how = CommandLine(
            folder="{folder}", options="none", resume=["-r", "{checkpoint}"], checkpoint=text
        )
        with contextlib.suppress(FileNotFoundError):
            saved.rmdir()
        assert told(tmp_path / "train.py", tmp_path, how)["words"] == []
        saved.mkdir()
        assert told(tmp_path / "train.py", tmp_path, how)["words"] == ["-r", str(saved)]
    path = CommandLine(
        options="none",
        arguments=["--save={checkpoint}"],
        resume=["--resume"],
        checkpoint="{folder}/x.pt",
    )
    words = [f"--save={tmp_path}/trial/files/x.pt"]
    assert told(tmp_path / "train.py", tmp_path, path)["words"] == words
    (tmp_path / "trial/files/x.pt").touch()
    assert told(tmp_path / "train.py", tmp_path, path)["words"] == [*words, "--resume"]


@pytest.mark.parametrize(
    ("launcher", "words"),
    [
        ("torchrun --nproc_per_node 2", "torchrun --standalone --nproc_per_node 2"),
        ("/x/torchrun -n 2", "/x/torchrun --standalone -n 2"),
        ("nice -n 9 torchrun x", "nice -n 9 torchrun --standalone x"),
        ("python -m torch.distributed.run x", "python -m torch.distributed.run --standalone x"),
        ("torchrun --rdzv-endpoint=localhost:0", None),
        ("torchrun --master_port 3 x", None),
        ("torchrun --standalone x", None),
        ("torchrun --nnodes=2 x", None),
        ("accelerate launch --mixed_precision bf16", "accelerate launch --main_process_port 77 "
         "--mixed_precision bf16"),
        ("accelerate launch --main_process_port 3", None),
        ("accelerate config", None),
        ("deepspeed --num_gpus 2", "deepspeed --master_port 77 --num_gpus 2"),
        ("bash -e", None),
        ("python", None),
    ],
)  # fmt: skip
def test_processes_meet_at_a_free_port_unless_one_is_chosen(
    launcher: str, words: str | None
) -> None:
    assert with_free_port(launcher.split(), lambda: 77) == (words or launcher).split()


STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sleeper = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
quiet = {"start_new_session": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
inner = subprocess.Popen([sys.executable, "-c", sleeper], **quiet)
parent = os.fork()
if not parent:
    orphan = subprocess.Popen([sys.executable, "-c", sleeper], **quiet)
    print(orphan.pid, end=" ", flush=True)
    os._exit(0)
os.waitpid(parent, 0)
print(os.getpid(), inner.pid, flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of all descendants")
@pytest.mark.parametrize("way", ["stopped", "killed", "ended", "terminated"])
def test_nothing_that_a_script_started_outlives_it(way: str) -> None:
    """Neither a process in a session of its own, nor an orphan, nor one that ignores SIGTERM."""
    code = STUBBORN if way == "ended" else f"{STUBBORN}time.sleep(600)"
    guard = [sys.executable, "-I", "-S", kill_with_parent.__file__, sys.executable, "-c", code]
    owner_code = (
        "import subprocess, sys\n"
        f"guard = subprocess.Popen({guard!r}, stdin=subprocess.PIPE)\n"
        "print(guard.pid, flush=True)\n"
        "sys.stdin.readline()\nguard.stdin.close()\nsys.exit(guard.wait())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", owner_code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdin is not None
        assert owner.stdout is not None
        guard_pid = int(owner.stdout.readline())
        pids = [int(word) for word in owner.stdout.readline().split()]
        assert len(pids) == 3
        os.kill(guard_pid, signal.SIGINT)  # Ctrl-C is for the sweep to judge
        if way == "killed":
            os.kill(owner.pid, signal.SIGKILL)
        elif way == "terminated":
            os.kill(guard_pid, signal.SIGTERM)
        if way == "stopped":
            assert all(Path(f"/proc/{pid}").exists() for pid in pids)
        if way != "killed":
            owner.stdin.write("\n")
            owner.stdin.close()
    assert [pid for pid in pids if not gone(pid)] == []
