"""A user's mistake on the command line: one line, exit code 2, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from raysweep import __main__ as program
from raysweep.results.storage.run_directory import load
from raysweep.tune.cli.app import main
from raysweep.tune.run_folders import FolderError, begin, discard, latest, resumed
from tests.made_up import Story, write_run

ROOT = Path(__file__).resolve().parent.parent


def mistake(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The line on stderr of a command that ends with exit code 2."""
    assert main(list(words)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err.rstrip()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["run"],
            "raysweep run: a file is needed (--space FILE), a program with --param, or --resume",
        ),
        (["run", "--space", "no.yaml"], "raysweep: no.yaml: "),
        (["shwo", "mine", "a-0"], "raysweep: there is no verb 'shwo'; did you mean 'show'?"),
        (["zzz"], "raysweep: there is no verb 'zzz'; raysweep --help lists the verbs"),
        (["run", "--space", "."], "raysweep: .: is a directory; expected a YAML file"),
        (
            ["run", "--space", "cnn.yaml", "--set", "budget.trails=5"],
            "raysweep: --set budget.trails: unknown key 'trails' in budget; did you mean 'trials'?",
        ),
        (
            ["run", "--space", "cnn.yaml", "--set", "trainable=trainables.cnn:trian"],
            "has no 'trian'; did you mean 'train'?",
        ),
        (
            ["run", "--space", "cnn.yaml", "--set", "trainable=nowhere.cnn:train"],
            "there is no module 'nowhere.cnn'",
        ),
        (
            ["run", "--space", "cnn.yaml", "--name", "../x"],
            "raysweep: --name ../x: expected letters",
        ),
        (
            ["run", "--space", "cnn.yaml", "--storage", "/proc/x"],
            "No such file or directory; name another place with --storage",
        ),
        (
            ["run", "--space", "cnn.yaml", "--resume"],
            "nothing to resume: ray_results has no run called cnn",
        ),
        (
            ["run", "--space", "cnn.yaml", "--resume", "x"],
            "nothing to resume: neither ray_results/x nor x is a run directory",
        ),
        (
            ["run", "--space", "cnn.yaml", "--require-gpu", "--set", "resources.gpu=0"],
            "raysweep run: --require-gpu, but resources.gpu is 0: no trial asks for a GPU",
        ),
        (
            ["run", "--resume"],
            "raysweep run: a file is needed (--space FILE), a program with --param, or --resume",
        ),
        (
            ["run", "--resume", "x"],
            "nothing to resume: neither ray_results/x nor x is a run directory",
        ),
        (["ls"], "raysweep: ray_results is not a run directory"),
        (["best", "nowhere"], "raysweep: nowhere is not a run directory"),
        (["show", "nowhere", "a-0"], "raysweep: nowhere is not a run directory"),
        (["export", "nowhere"], "raysweep: nowhere is not a run directory"),
        (["reproduce", "nowhere", "a-0"], "raysweep: nowhere is not a run directory"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert line in mistake(capsys, *words)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["status", "mnist_1"], "mnist_1 is not a run directory; did you mean 'mnist-1'?"),
        (["best", "Mnist-1"], "Mnist-1 is not a run directory; did you mean 'mnist-1'?"),
        (["stop", "cnn"], "cnn is not a run directory; did you mean 'cnn-20261130-101010'?"),
        (["logs", "x", "a-0"], "there are: cnn-20261129-101010, cnn-20261130-101010, mnist-1"),
        (["show", "ray_results/mnist_1", "a-0"], "did you mean 'ray_results/mnist-1'?"),
        (["resume", "mnist_1"], "mnist_1 is a run directory; did you mean 'mnist-1'?"),
        (["serve", "mnist_1"], "mnist_1 is not a folder; did you mean 'mnist-1'?"),
        (["show", "mnist-1", "a_0"], "has no trial 'a_0'; did you mean a-0"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_name_is_answered_with_the_right_one(
    words: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("mnist-1", "cnn-20261129-101010", "cnn-20261130-101010"):
        write_run(Path("ray_results") / name, [Story("a", [0.5])])
    assert hint in mistake(capsys, *words)


def test_a_name_far_from_all_lists_some_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(10):
        write_run(Path(f"ray_results/r{number}"), [])
    line = mistake(capsys, "status", "quite-another")
    assert line.endswith("; there are: r0, r1, r2, r3, r4, r5, r6, r7 and 2 more")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["status"], "raysweep status: the following arguments are required: run; see raysweep st"),
        (["run", "--trials", "0"], "raysweep run: argument --trials: expected a whole number abo"),
        (["ls", "--limit"], "raysweep: unrecognized arguments: --limit; see raysweep --help"),
    ],
)
def test_what_the_parser_refuses_is_one_line_too(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(line)
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00\xff\x10binary", b"a: 1\na: 2\n", b"a: [1\n"],
    ids=["empty", "binary", "twice", "broken"],
)
def test_a_file_that_is_none_is_one_line(
    content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("s.yaml").write_bytes(content)
    assert mistake(capsys, "run", "--space", "s.yaml").startswith("raysweep: s.yaml:")


def test_a_name_is_used_once(capsys: pytest.CaptureFixture[str]) -> None:
    write_run(Path("ray_results/mine"), [])
    line = mistake(capsys, "run", "--space", "cnn.yaml", "--name", "mine")
    assert line == (
        "raysweep: ray_results/mine exists already; resume it with --resume, or choose "
        "another --name"
    )


def test_ls_lists_runs_or_the_trials_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    write_run(Path("ray_results/mine"), [Story("bohb", [0.5, 0.75])])
    assert main(["ls"]) == 0
    assert "mine" in capsys.readouterr().out
    assert main(["ls", "ray_results/mine"]) == 0
    assert "bohb-0" in capsys.readouterr().out


def test_a_listing_in_a_pipe_is_not_cut(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    config = {f"a_parameter_with_a_long_name_{i}": 0.5 + i for i in range(20)}
    reason = "ValueError: " + "a long reason " * 20
    other = dict.fromkeys(config, 0.25)
    write_run(
        Path("ray_results/mine"),
        [Story("bohb", [0.5], config), Story("bohb", [], other, "failed", reason)],
    )
    assert main(["ls", "ray_results/mine"]) == 0
    said = capsys.readouterr().out
    assert all(f"{name}={value:g}" in said for name, value in config.items())
    assert reason.strip() in said
    assert "…" not in said
    assert max(map(len, said.splitlines())) < 2000


BEFORE_THE_FIRST = "raysweep: interrupted before the first trial; nothing has changed\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "place",
    [
        "raysweep.tune.load.load_sweep",
        "raysweep.tune.callbacks.screen.observer",
        "raysweep.results.environment.write",
        "raysweep.tune.recall.recall_once",
        "raysweep.tune.code_changes.record",
    ],
)
def test_a_signal_before_the_first_trial_leaves_a_line_and_no_folder(
    number: int,
    place: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Programs such as `timeout` send SIGTERM twice."""

    def interrupted(*arguments: object, **options: object) -> None:
        os.kill(os.getpid(), number)
        pytest.fail("the signal was ignored")

    # A shell starts what runs in its background with SIGINT ignored.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    monkeypatch.setattr(place, interrupted)
    Path("train.py").write_text("def train(config, run): pass")
    changes = ["--set", "trainable=train.py:train", "--name", "mine", "--debug"]
    assert main(["run", "--space", "cnn.yaml", *changes]) == 4
    assert capsys.readouterr().err == BEFORE_THE_FIRST
    assert not Path("ray_results/mine").exists()
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before
    signal.signal(signal.SIGINT, handler)


def test_a_run_that_is_resumed_stays_if_a_signal_comes_at_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    report = "run.report(val_accuracy=1.0)"
    Path("train.py").write_text(f"def train(config, run):\n    for _ in run.epochs(): {report}")
    small = ["--set", "trainable=train.py:train", "--set", "budget={trials: 1, epochs: 1}"]
    assert main(["run", "--space", "cnn.yaml", *small, "--name", "mine", "--debug"]) == 0
    capsys.readouterr()
    monkeypatch.setattr("raysweep.results.storage.ledger.read", interrupted)
    assert main(["resume", "mine", "--debug"]) == 4
    assert capsys.readouterr().err == BEFORE_THE_FIRST
    assert Path("ray_results/mine/ledger.jsonl").exists()


def test_the_program_ends_by_an_interruption_with_its_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by the signal, as Python would if it came while a class was made."""

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    class EndedError(Exception):
        pass

    def end(code: int) -> None:
        raise EndedError(str(code))

    monkeypatch.setattr("raysweep.tune.cli.app.program", interrupted)
    monkeypatch.setattr(os, "_exit", end)
    with pytest.raises(EndedError, match="4"):
        program.main(["ls"])
    monkeypatch.delitem(sys.modules, "raysweep.tune.cli.app")
    monkeypatch.setattr("importlib._bootstrap._find_and_load_unlocked", interrupted)
    with pytest.raises(EndedError, match="4"):
        program.main(["ls"])
    assert capsys.readouterr().err == "raysweep: interrupted before it began\n"


def test_a_new_nested_name_of_the_space_can_be_set(capsys: pytest.CaptureFixture[str]) -> None:
    """What docs/reference/file-format.md shows, for a known and for an unknown name."""
    for setting in ("space.model.width=64", "space.model.depth={int: [1, 4]}"):
        assert main(["run", "--space", "cnn.yaml", "--set", setting, "--dry-run"]) == 0
        name, _, value = setting.removeprefix("space.").partition("=")
        assert f"  {name}: {value}\n" in capsys.readouterr().out
    wide = ["--set", "space.model.width.int=[1, 4]", "--dry-run"]
    assert main(["run", "--space", "cnn.yaml", *wide]) == 0
    assert "  model.width: {int: [1, 4]}\n" in capsys.readouterr().out


def test_resume_finds_the_newest_run_of_this_file_alone() -> None:
    storage = Path("runs")
    for name in (
        "mlp-20260101-000000",
        "mlp-20260102-000000",
        "mlp_conditional-20260103-000000",
        "mlp-other",
    ):
        write_run(storage / name, [])
    assert latest(storage, "mlp").name == "mlp-20260102-000000"
    assert resumed(storage, "mlp", "mlp-other").name == "mlp-other"
    with pytest.raises(FolderError, match="nothing to resume"):
        resumed(storage, "mlp", "elsewhere")


def test_only_a_run_without_a_trial_is_discarded() -> None:
    empty, begun = (
        begin(Path("runs"), "a", "empty"),
        write_run(Path("runs/begun"), [Story("a", [0.5])]),
    )
    write_run(empty, [])
    discard(empty)
    discard(begun)
    assert not empty.exists()
    assert len(load(begun).rows) == 1


def test_help_names_every_verb_and_option() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "run_sweep.py"), "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    for option in (
        "--space",
        "--set",
        "--dry-run",
        "--resume",
        "--retry-failed",
        "--storage",
        "--data-root",
        "--address",
        "--require-gpu",
        "--json",
    ):
        assert option in done.stdout


def test_a_missing_compiler_is_one_line(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "make", "touch", "test", "python3"):
        found = (
            Path(sys.executable)
            if name == "python3"
            else next(
                Path(place) / name
                for place in ("/usr/bin", "/bin")
                if (Path(place) / name).exists()
            )
        )
        (tools / name).symlink_to(found)
    command = [
        str(tools / "make"),
        "-C",
        str(ROOT),
        "environment",
        f"VENV={tmp_path}/venv",
        "SHELL=" + str(tools / "sh"),
    ]
    done = subprocess.run(
        command, env={"PATH": str(tools)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert (
        "A C compiler is needed (hpbandster's netifaces is compiled): apt install build-essential "
        "python3-dev" in done.stdout
    )


@pytest.mark.parametrize("out", ["/", ".", "no/such/folder/page.html"])
def test_a_page_that_cannot_be_written_is_one_line(
    out: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", [Story("random", [0.5], {"x": 0.1})])
    said = mistake(capsys, "report", str(run), "--out", out)
    assert said.startswith(f"raysweep: {Path(out)} cannot be written: ")
