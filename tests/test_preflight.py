"""Every line with which a sweep is refused before it starts on a cluster.

The hosts of `make cluster-test` meet them for real.
"""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from raysweep.tune.cli.app import main
from raysweep.tune.cluster.preflight import Code, PreflightError, code_of, fetched, imported, judge
from raysweep.tune.cluster.ray_jobs import JobsError, entry_point, exit_code, follow, submit
from raysweep.tune.executors.ray.connect import ClusterError, check_form, join
from raysweep.tune.executors.ray.node_checks import MARKER, Answer, Question, bring, look, source

VERSIONS = {
    "python": "3.11",
    "ray": "2.60.0",
    "torch": "2.15",
    "numpy": "2.4",
    "raysweep": "0123456789ab",
}
HERE = Answer("head", "10.0.0.1", versions=VERSIONS)
W1, W2 = replace(HERE, node="w1", address="10.0.0.2"), replace(HERE, node="w2", address="10.0.0.3")


def refused(*answers: Answer) -> str:
    with pytest.raises(PreflightError) as error:
        judge([HERE, *answers], HERE, "/runs/a")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_nodes_that_are_alike_are_taken() -> None:
    judge([HERE, W1, W2], HERE, "/runs/a")


def test_storage_that_a_node_does_not_see() -> None:
    text = refused(replace(W1, storage="FileNotFoundError: /runs/a"), W2)
    assert text.startswith(
        "w1 (10.0.0.2) cannot read and write /runs/a (FileNotFoundError: /runs/a); on several "
        "machines the run directory"
    )


def test_versions_that_differ() -> None:
    text = refused(W1, replace(W2, versions=VERSIONS | {"torch": "2.14"}))
    assert text.startswith("torch is 2.15 here and 2.14 on w2 (10.0.0.3): install the same")
    assert refused(replace(W1, versions=VERSIONS | {"raysweep": "ba"})).startswith(
        "raysweep is 0123456789ab here and ba on w1"
    )


def test_nodes_that_are_silent() -> None:
    assert (
        refused(replace(W1, trouble="timed out"), replace(W2, trouble="?"))
        == "w1 (10.0.0.2) and w2 (10.0.0.3) did not answer: timed out"
    )
    many = [replace(W1, node=f"w{i}", address="", trouble="timed out") for i in range(9)]
    assert refused(*many) == "w0, w1, w2 and 6 more nodes did not answer: timed out"


def test_a_train_function_that_does_not_import() -> None:
    imported([HERE, W1])
    with pytest.raises(PreflightError, match=r"^on w1 \(10.0.0.2\): no module named timm$"):
        imported([HERE, replace(W1, trainable="no module named timm")])


def test_what_a_node_would_answer(tmp_path: Path) -> None:
    (tmp_path / MARKER).write_text("x")
    file = tmp_path / "train.py"
    file.write_text("def train(config, run): pass\n")
    question = vars(Question(f"{file}:train", str(tmp_path), "x", source(f"{file}:train")))
    said = look(question)
    assert (said["storage"], said["trainable"], said["host"]) == ("", "", socket.gethostname())
    assert [path.name for path in tmp_path.glob(".preflight*")] == [MARKER]
    assert look(question | {"marker": "y"})["storage"] == "another file lies there"
    assert "FileNotFoundError" in look(question | {"storage": str(tmp_path / "none")})["storage"]
    assert "has no function 'trian'" in look(question | {"trainable": f"{file}:trian"})["trainable"]


def test_data_that_cannot_be_fetched() -> None:
    fetched([HERE, W1])
    with pytest.raises(PreflightError, match=r"^on w1 \(10.0.0.2\): MNIST is not under /data$"):
        fetched([HERE, replace(W1, data="MNIST is not under /data")])


def test_what_a_node_brings_before_the_first_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAYSWEEP_DATA_ROOT", "/elsewhere")
    file = tmp_path / "train.py"
    file.write_text("""
import os, pathlib
def train(config, run): pass
def prepare_data(config):
    pathlib.Path(os.environ["RAYSWEEP_DATA_ROOT"], config["data"]).write_text("there")
""")
    question = Question(
        f"{file}:train", "", "", "", {"data": "set"}, {"RAYSWEEP_DATA_ROOT": str(tmp_path)}
    )
    assert bring(vars(question)) == {"host": socket.gethostname(), "data": ""}
    assert (tmp_path / "set").read_text() == "there"
    assert bring(vars(replace(question, constants={})))["data"] == "KeyError: 'data'"
    unknown = replace(question, trainable="trainables.mlp:train", constants={"data": "mnits"})
    assert bring(vars(unknown))["data"].startswith(
        "unknown data set 'mnits'; expected one of digits, "
    )
    assert bring(vars(replace(unknown, constants={"lr": 0.1})))["data"] == ""


def test_what_is_copied_to_the_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert code_of(f"{tmp_path}/train.py:train") == Code(tmp_path, "train.py:train")
    assert code_of("json:loads") is not None
    assert code_of("numpy:sum") is None
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(PreflightError, match="is too much to copy"):
        code_of(f"{tmp_path}/train.py:train")


def test_addresses_that_are_refused() -> None:
    with pytest.raises(
        ClusterError,
        match=r"^--address ray://head:10001: a sweep's session must run inside the cluster",
    ):
        check_form("ray://head:10001")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ClusterError, match=rf"^no Ray cluster answers at \S+:{port}: "):
        join(None, f"127.0.0.1:{port}")


def test_jobs_that_cannot_be_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert main(["jobs", "--at", url]) == 2
    assert capsys.readouterr().err.startswith(
        f"raysweep: no Ray dashboard answers at {url}; ray dashboard cluster.yaml"
    )
    with pytest.raises(JobsError, match="expected the address of the cluster's dashboard"):
        follow("127.0.0.1:8265", "x", print)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(JobsError, match="is too much: type it in the folder of your sweep"):
        submit(url, [], tmp_path)


def test_what_a_job_runs() -> None:
    typed = [
        "--space",
        "my cnn.yaml",
        "--submit",
        "http://127.0.0.1:8265",
        "--set",
        "budget.trials=5",
        "--submit=http://x",
    ]
    assert (
        entry_point(typed)
        == "raysweep run --space 'my cnn.yaml' --set budget.trials=5 --address auto"
    )


def test_a_run_that_is_resumed_on_a_cluster_is_resumed_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[str] = []

    def sends(url: str, arguments: list[str], folder: Path, words: list[str], verb: str) -> str:
        sent.append(entry_point(arguments, words, verb))
        return "job"

    monkeypatch.setattr("raysweep.tune.cluster.ray_jobs.submit", sends)
    monkeypatch.setattr("raysweep.tune.cluster.ray_jobs.follow", lambda *where: 0)
    assert main(["resume", "s3://bucket/cnn", "--submit", "http://127.0.0.1:8265"]) == 0
    assert sent == ["raysweep resume s3://bucket/cnn --address auto"]


def test_a_job_gets_the_words_of_the_program_and_writes_no_file() -> None:
    typed = ["train.py", "--param", "lr=1..2", "--save", "x.yaml", "--submit", "http://x"]
    assert (
        entry_point(typed, ["--data", "my data"])
        == "raysweep run train.py --param lr=1..2 --address auto -- --data 'my data'"
    )


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        (0, "SUCCEEDED", 0),
        (3, "FAILED", 3),
        (4, "STOPPED", 4),
        (None, "STOPPED", 4),
        (-9, "FAILED", 1),
    ],
)
def test_exit_codes_come_through(code: int | None, status: str, expected: int) -> None:
    from types import SimpleNamespace as Made

    assert exit_code(Made(driver_exit_code=code, status=Made(value=status))) == expected
