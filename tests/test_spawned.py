"""A train function's file under its own name, and the processes that a train function starts."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raysweep.finder import file_module
from raysweep.history import Status
from raysweep.trainables.runtime.import_trainable import TrainableError, check, load
from raysweep.trainables.runtime.job import Job
from raysweep.trainables.runtime.outcome import Outcome
from raysweep.trainables.runtime.run import Objective
from raysweep.trainables.runtime.worker import Worker
from tests.command_line import Typed

KINDS = """\
import logging
import multiprocessing as mp
import torch
from torch.utils.data import DataLoader, Dataset

class Data(Dataset):
    def __len__(self):
        return 8
    def __getitem__(self, i):
        return torch.tensor(float(i))

def square(x):
    return x * x

def put(rank, queue):
    queue.put(rank)

def collate(batch):
    return torch.stack(batch)

def read(method, collate):
    print("batches", sum(1 for _ in DataLoader(
        Data(), 2, num_workers=1, collate_fn=collate, multiprocessing_context=method)))

def train(config, run):
    kind = config["kind"]
    logging.warning("kind %s", kind)
    for epoch in run.epochs():
        if kind.endswith("pool"):
            with mp.get_context(kind.split("_")[0]).Pool(1) as pool:
                assert pool.map(square, [2]) == [4]
        elif kind == "mp_spawn":
            queue = mp.get_context("spawn").SimpleQueue()
            torch.multiprocessing.spawn(put, args=(queue,), nprocs=1)
            assert queue.get() == 0
        elif kind == "lambda_loader":
            read("spawn", lambda batch: batch)
        else:
            read(kind.split("_")[1], collate)
        run.report(loss=0.5)
"""
SWEEP = """\
trainable: train.py:train
metric: {name: loss, goal: minimize}
searcher: grid
scheduler: none
retries: 0
parallel: 2
budget: {trials: 8, epochs: 1}
space:
  kind:
    choice: [spawn_pool, forkserver_pool, loader_spawn, loader_forkserver, loader_fork, mp_spawn,
             lambda_loader]
"""
POOL = """\
import multiprocessing

def square(x):
    return x * x

def train(config, run):
    for method in ("spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.map(square, [2]) == [4]
    for _ in run.epochs():
        run.report(loss=0.5)
"""
SIGNALS = """\
import signal, time

def train(config, run):
    heard = []
    signal.signal(signal.SIGALRM, lambda number, frame: heard.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    while not heard:
        time.sleep(0.01)
    for _ in run.epochs():
        run.report(loss=float(heard[0]))
"""


@pytest.fixture
def imports(tmp_path: Path) -> Iterator[None]:
    """What a test imports from its folder, and the path for imports, are as before after it."""
    places = list(sys.path)
    yield
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
    sys.path[:] = places


@pytest.mark.examples
@pytest.mark.ray
@pytest.mark.slow
def test_processes_that_a_train_function_starts(ray_here: Any, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(KINDS)
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    typed = Typed(tmp_path)
    assert typed.run() == 0
    (history,) = typed.folder().histories.values()
    ends = {trial.config["kind"]: (trial.status, trial.reason) for trial in history}
    assert len(ends) == 7
    status, reason = ends.pop("lambda_loader")
    assert status is Status.FAILED
    assert "pickle" in reason
    assert "<lambda>" in reason
    assert {status for status, _ in ends.values()} == {Status.COMPLETED}, ends


def trained(place: Path, trainable: str) -> Outcome:
    """How a trial ends that is trained as in a Ray worker, in a process forked from a template."""
    worker = Worker()
    job = Job(
        "random-0",
        trainable,
        {},
        seed=0,
        epochs=1,
        objective=Objective("loss", False),
        folder=str(place / "trial"),
        log=str(place / "log"),
    )
    try:
        return worker.train(job, lambda message: None, lambda: None)
    finally:
        worker.close()


@pytest.mark.parametrize(
    "name",
    [
        "random.py",
        *(
            pytest.param(name, marks=pytest.mark.examples)
            for name in ("my-train.py", "torch.py", "results.py", "v1.2.py")
        ),
    ],
)
def test_processes_import_a_file_whatever_it_is_called(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(POOL)
    outcome = trained(tmp_path, f"{tmp_path / name}:train")
    assert outcome.status == "completed", outcome


def test_signal_handlers_work_in_a_train_function(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SIGNALS)
    outcome = trained(tmp_path, f"{tmp_path}/train.py:train")
    assert outcome.status == "completed", outcome


def test_a_file_is_imported_under_its_own_name(tmp_path: Path, imports: None) -> None:
    (tmp_path / "my_own.py").write_text(POOL)
    (tmp_path / "beside.py").write_text("import my_own\ndef train(config, run): return my_own\n")
    function, module = load(f"{tmp_path}/my_own.py:train")
    assert module.__name__ == function.__module__ == "my_own"
    assert sys.path[0] == str(tmp_path)
    assert load(f"{tmp_path}/beside.py:train")[0]({}, None) is module


def test_files_of_one_name_in_one_process(tmp_path: Path, imports: None) -> None:
    """Each module stays itself, and can be imported by processes that are started.

    Its folder comes first on the path.
    """
    for folder, factor in (("a", 2), ("b", 3)):
        (tmp_path / folder).mkdir()
        text = f"import times_{folder}\ndef train(x): return times_{folder}.FACTOR * x\n"
        (tmp_path / folder / "same.py").write_text(text)
        (tmp_path / folder / f"times_{folder}.py").write_text(f"FACTOR = {factor}\n")
    context = multiprocessing.get_context("spawn")
    for folder, factor in (("a", 2), ("b", 3), ("a", 2)):
        function, module = load(f"{tmp_path}/{folder}/same.py:train")
        assert Path(str(module.__file__)) == tmp_path / folder / "same.py"
        assert sys.path[0] == str(tmp_path / folder)
        with context.Pool(1) as pool:
            assert pool.map(function, [5]) == [5 * factor]


def test_a_package_beside_a_file_of_its_name(tmp_path: Path, imports: None) -> None:
    (tmp_path / "twin").mkdir()
    (tmp_path / "twin" / "__init__.py").touch()
    (tmp_path / "twin.py").write_text(POOL)
    _, module = load(f"{tmp_path}/twin.py:train")
    assert module.__name__ == file_module(tmp_path / "twin.py")
    assert "twin" not in sys.modules


def test_a_standard_module_keeps_its_place(tmp_path: Path, imports: None) -> None:
    (tmp_path / "random.py").write_text(POOL)
    _, module = load(f"{tmp_path}/random.py:train")
    assert module.__name__ == file_module(tmp_path / "random.py")
    assert sys.path[-1] == str(tmp_path)
    assert sys.path.count(str(tmp_path)) == 1


@pytest.mark.parametrize(
    "source",
    [
        b"\xef\xbb\xbfdef train(config, run): return '\xc3\xa9'\n",
        b"# -*- coding: latin-1 -*-\ndef train(config, run): return '\xe9'\n",
        b"#!/usr/bin/env python\n# vim: set fileencoding=cp1252 :\n"
        b"def train(config, run): return '\xe9'\n",
        b"\xef\xbb\xbf# coding: utf-8\r\ndef train(config, run): return '\xc3\xa9'\r\n",
    ],
)
def test_a_file_is_read_as_python_reads_it(source: bytes, tmp_path: Path, imports: None) -> None:
    (tmp_path / "coded.py").write_bytes(source)
    check(f"{tmp_path}/coded.py:train")
    check(f"{tmp_path}/coded.py")
    assert load(f"{tmp_path}/coded.py:train")[0]({}, None) == "é"


@pytest.mark.parametrize(
    "source",
    [
        b"# coding: klingon\ndef train(): ...",
        b"def train(): return '\xe9'",
        b"def train(: ...",
        b"\0",
    ],
)
def test_a_file_that_python_cannot_read(source: bytes, tmp_path: Path) -> None:
    (tmp_path / "coded.py").write_bytes(source)
    with pytest.raises(TrainableError, match="is not valid Python") as error:
        check(f"{tmp_path}/coded.py:train")
    assert "\n" not in str(error.value)
