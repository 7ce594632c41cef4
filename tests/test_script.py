"""Scripts as trainables: how they are told, how they report, how they end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from raysweep.history import Trial
from raysweep.report_interval import ReportInterval
from raysweep.search_spaces.file.writer import write
from raysweep.trainables.runtime.import_trainable import TrainableError, check, load
from raysweep.trainables.runtime.job import Job
from raysweep.trainables.runtime.run import LocalRun, Objective, ReportError, Run
from raysweep.trainables.runtime.script.command_line import CommandLine
from raysweep.trainables.runtime.script.train import ScriptError
from raysweep.trainables.runtime.train_job import train_job
from raysweep.tune.cli.dry_run import preview
from raysweep.tune.load import load_sweep
from raysweep.tune.run_folders import FolderError, check_unchanged
from raysweep.tune.sweep import Sweep

ROOT = Path(__file__).resolve().parent.parent
CONFIG = {"lr": 0.1, "optimizer": {"args": {"nesterov": True}}, "layers": [1, 2], "none": None}
PRINTS = """
import json, os, sys
print("hello", file=sys.stderr)
lr = json.loads(os.environ["RAYSWEEP_CONFIG"])["lr"]
for epoch in range(1, int(os.environ["RAYSWEEP_EPOCHS"]) + 1):
    print(json.dumps({"loss": 1 / epoch, "name": "x", "words": sys.argv[1:], "lr": lr}))
"""


class Stopped(Exception):
    """The receiver wants no more."""


def script(folder: Path, code: str) -> str:
    path = folder / "train.py"
    path.write_text(code)
    return str(path)


def metrics(reference: str, run: Run) -> list[dict[str, float]]:
    load(reference)[0](CONFIG, run)
    return [message["metrics"] for message in run.reports]


def objective_run(epochs: int, folder: Path, send: Any = lambda message: None) -> Run:
    return Run(
        epochs, send, seed=5, folder=folder / "trial", objective=Objective("loss", maximize=False)
    )


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({}, ["--lr=0.1", "--optimizer.args.nesterov=true", "--layers=[1, 2]"]),
        (
            {"options": "--name value"},
            ["--lr", "0.1", "--optimizer.args.nesterov", "true", "--layers", "[1, 2]"],
        ),
        (
            {"options": "name=value"},
            ["lr=0.1", "optimizer.args.nesterov=true", "layers=[1, 2]", "none=null"],
        ),
        ({"options": "none"}, []),
        ({"flags": True}, ["--lr=0.1", "--optimizer.args.nesterov", "--layers=[1, 2]"]),
        ({"values": "python"}, ["--lr=0.1", "--optimizer.args.nesterov=True", "--layers=[1, 2]"]),
        (
            {"names": {"lr": "learning-rate", "optimizer.args.nesterov": "n", "layers": None}},
            ["--learning-rate=0.1", "--n=true"],
        ),
        ({"arguments": ("fit", "-v"), "options": "none"}, ["fit", "-v"]),
        (
            {"arguments": ("fit",), "names": {"layers": None}, "flags": True},
            ["fit", "--lr=0.1", "--optimizer.args.nesterov"],
        ),
    ],
)
def test_a_configuration_as_the_words_of_a_command_line(
    said: dict[str, Any], words: list[str]
) -> None:
    assert CommandLine(**said).words(CONFIG) == words


@pytest.mark.parametrize(
    ("value", "as_json", "as_python"),
    [
        (-1e-5, "-1e-05", "-1e-05"),
        (False, "false", "False"),
        (["a", None, True], '["a", null, true]', "['a', None, True]"),
        ("a b", "a b", "a b"),
        ("", "", ""),
    ],
)
def test_a_value_as_text(value: Any, as_json: str, as_python: str) -> None:
    assert CommandLine().words({"x": value}) == [f"--x={as_json}"]
    assert CommandLine(values="python").words({"x": value}) == [f"--x={as_python}"]


def test_a_flag_that_is_false_is_left_out_and_a_mapping_nests() -> None:
    assert CommandLine(flags=True).words({"a": False, "b": {"c": True, "d": {}}}) == ["--b.c"]


NEGATIVE = """
import argparse, json
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
print(json.dumps({"loss": parser.parse_known_args()[0].lr}))
"""


def test_argparse_understands_a_small_negative_number(tmp_path: Path) -> None:
    train = load(script(tmp_path, NEGATIVE))[0]
    run = objective_run(1, tmp_path)
    train({"lr": -1e-5}, run)
    assert run.reports[0]["metrics"] == {"loss": -1e-5}


WRITES = """
import json, os, sys
json.dump(sys.argv[1:], open(os.path.join(os.environ["RAYSWEEP_FOLDER"], "words.json"), "w"))
print(json.dumps({"loss": 1}))
"""


def test_a_job_says_how_the_script_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the file's `script:` section to the words that the script sees."""
    from raysweep.tune.executors.ray.ray_worker import pack, unpack
    from raysweep.tune.make_job import job

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # an attempt changes it for its process
    script(tmp_path, WRITES)
    (tmp_path / "s.yaml").write_text(
        "trainable: train.py\nmetric: {name: loss, goal: minimize}\nsearcher: random\n"
        "budget: {trials: 1, epochs: 1}\nspace: {lr: 0.1, net.deep: {choice: [true]}}\n"
        "script: {arguments: [fit], flags: true, names: {lr: rate}}\n"
    )
    sweep = load_sweep(str(tmp_path / "s.yaml"))
    trial = Trial(0, "random", {"lr": 0.1, "net": {"deep": True}}, 0)
    made = job(sweep, tmp_path / "run", trial)
    outcome = train_job(unpack(pack(made)), lambda message: None)
    assert outcome.status == "completed", outcome.reason
    words = json.loads((tmp_path / "run/trials/random-0/files/words.json").read_text())
    assert words == ["fit", "--rate=0.1", "--net.deep"]
    assert sweep.resolved["script"] == {
        "environment": {},
        "arguments": ["fit"],
        "options": "--name=value",
        "values": "json",
        "lists": "value",
        "flags": True,
        "negated_flags": False,
        "names": {"lr": "rate"},
        "after": [],
        "reports": [],
    }


SWEEP = """\
trainable: train.py
metric: {name: loss, goal: minimize}
searcher: grid
budget: {trials: 2, epochs: 1}
space:
  shift: {choice: [-1.0e-5, null]}
  net: {choice: [{kind: mlp}]}
"""


def sweep_of(folder: Path, text: str) -> Sweep:
    script(folder, PRINTS)
    (folder / "s.yaml").write_text(text)
    return load_sweep(str(folder / "s.yaml"))


def test_a_dry_run_shows_how_the_script_is_called(tmp_path: Path) -> None:
    shown = preview(sweep_of(tmp_path, SWEEP)).plain
    assert "# the first command\n# python train.py --shift=-1e-05 --net.kind=mlp\n" in shown
    assert (
        "script: {environment: {}, arguments: [], options: --name=value, values: json, "
        "lists: value, flags: false, negated_flags: false, names: {}, after: [], reports: []}\n"
    ) in shown
    assert "shift  -1e-05           null\n" in shown
    assert "net    {'kind': 'mlp'}  {'kind': 'mlp'}\n" in shown


def test_a_run_from_before_the_script_section_is_resumed_as_it_was(tmp_path: Path) -> None:
    before = {
        key: one for key, one in sweep_of(tmp_path, SWEEP).resolved.items() if key != "script"
    }
    run = tmp_path / "run"
    run.mkdir()
    (run / "sweep.yaml").write_text(write(before))
    check_unchanged(run, sweep_of(tmp_path, SWEEP))
    with pytest.raises(FolderError, match=r"script.flags: was False, is True"):
        check_unchanged(run, sweep_of(tmp_path, SWEEP + "script: {flags: true}\n"))


def test_it_is_told_and_reports_by_printing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = metrics(script(tmp_path, PRINTS), objective_run(2, tmp_path))
    assert done == [{"loss": 1.0, "lr": 0.1}, {"loss": 0.5, "lr": 0.1}]
    assert capsys.readouterr().out == "hello\n"


def test_it_reports_by_a_file(tmp_path: Path) -> None:
    code = """
import os, time
with open(os.environ["RAYSWEEP_REPORTS"], "a") as file:
    for epoch in (1, 2, 3):
        file.write('{"loss": 0.5, "ep'); file.flush(); time.sleep(0.2)
        file.write('och": %d}\\n' % epoch); file.flush()
"""
    assert metrics(script(tmp_path, code), objective_run(3, tmp_path)) == [{"loss": 0.5}] * 3


def test_it_knows_its_seed_its_device_and_its_folder(tmp_path: Path) -> None:
    code = """
import json, os
is_on_cpu = os.environ["RAYSWEEP_DEVICE"] == "cpu"
print(json.dumps({"loss": int(os.environ["RAYSWEEP_SEED"]), "cpu": is_on_cpu}))
open(os.path.join(os.environ["RAYSWEEP_FOLDER"], "model_best.pth"), "w")
assert os.path.exists("train.py")
"""
    assert metrics(script(tmp_path, code), objective_run(1, tmp_path)) == [
        {"loss": 5.0, "cpu": 1.0}
    ]
    assert (tmp_path / "trial/files/model_best.pth").exists()


def test_one_that_ends_early_has_ended(tmp_path: Path) -> None:
    assert (
        len(metrics(script(tmp_path, """print('{"loss": 1}')"""), objective_run(3, tmp_path))) == 1
    )


def test_where_it_ended_is_said_in_its_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # an attempt changes it for its process
    reference = script(tmp_path, "for step in (20, 40): print({'loss': 1 / step, 'step': step})")
    objective, every = Objective("loss", maximize=False), ReportInterval("steps", 20)
    job = Job("a-0", reference, {}, 1, 6, objective, str(tmp_path / "trial"), interval=every)
    outcome = train_job(replace(job, script=asdict(CommandLine())), lambda message: None)
    assert outcome.status == "completed"
    assert outcome.reason == "the script ended after step 40 of 120"


def test_an_error_after_the_last_report_is_said(tmp_path: Path) -> None:
    """The model may not have been saved. The controller notes it, and the trial is complete."""
    code = """import json
for epoch in (1, 2): print(json.dumps({"loss": 0.5, "epoch": epoch}), flush=True)
raise OSError("No space left on device")
"""
    messages: list[dict[str, Any]] = []
    objective = Objective("loss", maximize=False)
    job = Job("a-0", script(tmp_path, code), {}, 1, 2, objective, str(tmp_path / "trial"))
    outcome = train_job(replace(job, script=asdict(CommandLine())), messages.append)
    assert [message["epoch"] for message in messages] == [1, 2]
    assert outcome.status == "failed"
    assert outcome.reason.startswith("OSError: No space left on device")


def test_by_hand_it_needs_no_metric_and_no_folder(tmp_path: Path) -> None:
    assert metrics(script(tmp_path, """print('{"any": 1}')"""), LocalRun(1, quiet=True)) == [
        {"any": 1.0}
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["train.py"]


def test_an_error_is_its_last_line(tmp_path: Path) -> None:
    code = """print('{"loss": 1}')\nraise ValueError("no such layer")"""
    with pytest.raises(
        ScriptError,
        match=r"^ValueError: no such layer \(train.py ended with exit code 1\)\nTraceback",
    ) as caught:
        metrics(script(tmp_path, code), objective_run(2, tmp_path))
    assert "line 2" in str(caught.value)
    with pytest.raises(
        ScriptError, match=r"^train.py ended with exit code 137 and printed nothing$"
    ):
        metrics(script(tmp_path, "import os; os.kill(os.getpid(), 9)"), objective_run(2, tmp_path))


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('{"epoch": 1, "val_los": 1}', "the metric 'loss' was not reported; reported: val_los"),
        ('{"loss": "low"}', "the metric 'loss' is 'low', a str; expected a number"),
        (
            '{"epoch": 3, "loss": 1}',
            "reported epoch 3 where epoch 1 was due; validation every 3 epochs is "
            "budget.report_every: 3",
        ),
    ],
)
def test_a_report_that_cannot_be_used_says_why(tmp_path: Path, line: str, text: str) -> None:
    with pytest.raises(ReportError, match=text):
        metrics(script(tmp_path, f"print({line!r})"), objective_run(2, tmp_path))


@pytest.mark.parametrize("numbered", [True, False])
def test_one_without_checkpoints_starts_anew_and_known_epochs_are_passed_over(
    tmp_path: Path, numbered: bool
) -> None:
    key = '"epoch": epoch, ' if numbered else ""
    reference = script(
        tmp_path,
        f"import json\nfor epoch in (1, 2, 3):\n    print(json.dumps({{{key}'loss': epoch}}))",
    )
    run = objective_run(3, tmp_path, stop_at(2))
    with contextlib.suppress(Stopped):
        metrics(reference, run)
    again = objective_run(3, tmp_path)
    assert metrics(reference, again) == [{"loss": 1.0}, {"loss": 2.0}, {"loss": 3.0}]


def test_one_with_checkpoints_goes_on(tmp_path: Path) -> None:
    code = """
import json, os, pathlib
mark = pathlib.Path(os.environ["RAYSWEEP_FOLDER"], "mark")
begin = int(mark.read_text()) if mark.exists() else 0
for epoch in range(begin + 1, 5):
    print(json.dumps({"epoch": epoch, "loss": begin}))
    mark.write_text(str(epoch))
    if epoch == 2: break
"""
    reference = script(tmp_path, code)
    metrics(reference, objective_run(4, tmp_path))
    assert metrics(reference, objective_run(4, tmp_path)) == [
        {"loss": 0.0},
        {"loss": 0.0},
        {"loss": 2.0},
        {"loss": 2.0},
    ]


def stop_at(epoch: int) -> Any:
    def send(message: dict[str, Any]) -> None:
        if message["epoch"] == epoch:
            raise Stopped

    return send


STUBBORN = """
import json, os, signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(json.dumps({"loss": 1, "pid": os.getpid(), "child": child.pid}), flush=True)
time.sleep(600)
"""


def gone(pid: int) -> bool:
    """Whether a process has ended, or is a zombie that nobody waits for."""
    for _ in range(100):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
            time.sleep(0.1)
            continue
        return True
    return False


def test_stopping_ends_it_and_what_it_started(tmp_path: Path) -> None:
    run = objective_run(3, tmp_path, stop_at(1))
    with pytest.raises(Stopped):
        metrics(script(tmp_path, STUBBORN), run)
    said = run.reports[0]["metrics"]
    assert gone(int(said["pid"]))
    assert gone(int(said["child"]))


def test_it_ends_when_its_worker_is_killed(tmp_path: Path) -> None:
    reference = script(tmp_path, STUBBORN)
    code = (
        "import sys, time; from raysweep.trainables.runtime.import_trainable import load; from "
        "raysweep.trainables.runtime.run import Run\n"
        "def send(message): print(int(message['metrics']['pid']), "
        "int(message['metrics']['child']), flush=True); time.sleep(600)\n"
        "load(sys.argv[1])[0]({}, Run(3, send))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, reference], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        pids = [int(word) for word in worker.stdout.readline().split()]
        os.kill(worker.pid, signal.SIGKILL)
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)


def test_a_script_that_is_not_there_or_no_python_is_one_line(tmp_path: Path) -> None:
    check(script(tmp_path, PRINTS))
    with pytest.raises(TrainableError, match=r"train.py:1 is not valid Python"):
        check(script(tmp_path, "for"))
    for find in (check, load):
        with pytest.raises(TrainableError, match=r"there is no file .*/none.py"):
            find(str(tmp_path / "none.py"))


def test_a_cluster_gets_it_with_its_folder(tmp_path: Path) -> None:
    from raysweep.tune.cluster.preflight import Code, code_of
    from raysweep.tune.executors.ray.node_checks import source

    reference = script(tmp_path, PRINTS)
    assert code_of(reference) == Code(tmp_path, "train.py")
    assert code_of(f"{reference}:train") == Code(tmp_path, "train.py:train")
    assert source(reference) == source(f"{reference}:train") != ""
