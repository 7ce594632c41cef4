"""A worker and the processes that it forks for its trials, without Ray."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from raysweep.trainables.runtime import trial_process, worker
from raysweep.trainables.runtime.failure import outcome_of, outcome_of_exit
from raysweep.trainables.runtime.job import Job
from raysweep.trainables.runtime.outcome import Outcome
from raysweep.trainables.runtime.progress import Progress, Usage
from raysweep.trainables.runtime.run import Objective
from raysweep.trainables.runtime.worker import Worker
from tests.test_script import gone

PREFACE = "import os, signal, subprocess, sys, threading, time\n"


class NoMore(BaseException):
    """The receiver wants no more."""


@pytest.fixture(scope="module")
def shared() -> Iterator[Worker]:
    """A worker whose template has imported torch already."""
    one = Worker()
    yield one
    one.close()


@pytest.fixture
def fresh() -> Iterator[Worker]:
    """A worker of the test's own."""
    one = Worker()
    yield one
    one.close()


def job(folder: Path, code: str, name: str = "train", **changes: Any) -> Job:
    """A job whose train function's module is that code."""
    path = folder / f"{name}.py"
    path.write_text(PREFACE + textwrap.dedent(code))
    fields: dict[str, Any] = {
        "config": {"folder": str(folder)},
        "epochs": 2,
        "objective": Objective("loss", False),
        "log": str(folder / "logs" / "log"),
    }
    return Job(
        "t-0",
        f"{path}:train",
        seed=1,
        folder=str(folder / "trial"),
        **fields | changes,
    )


def heard(one: Worker, said: Job, stop_at: int = 0) -> tuple[list[dict[str, Any]], Outcome]:
    """The reports, and the outcome."""
    reports: list[dict[str, Any]] = []

    def send(report: dict[str, Any]) -> None:
        reports.append(report)
        if report["epoch"] == stop_at:
            raise NoMore

    return reports, one.train(said, send, lambda: None)


def once(condition: Callable[[], object]) -> None:
    """Wait until that is so."""
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_each_trial_has_a_process_of_its_own_and_one_worker(shared: Worker, tmp_path: Path) -> None:
    code = """
    trials = []
    def train(config, run):
        trials.append(1)
        for _ in run.epochs():
            run.report(loss=len(trials))
    """
    said = job(tmp_path, code)
    again = replace(said, folder=str(tmp_path / "again"))
    (first, one), (second, two) = heard(shared, said), heard(shared, again)
    assert (one.status, two.status) == ("completed", "completed")
    assert [report["metrics"]["loss"] for report in first + second] == [1.0] * 4
    assert {report["notes"]["worker"] for report in first + second} == {os.getpid()}
    assert first[0]["notes"]["pid"] != second[0]["notes"]["pid"]


def test_it_runs_in_the_main_thread_where_signals_can_be_handled(
    shared: Worker, tmp_path: Path
) -> None:
    code = """
    def train(config, run):
        caught = []
        signal.signal(signal.SIGUSR1, lambda *_: caught.append(1))
        os.kill(os.getpid(), signal.SIGUSR1)
        for _ in run.epochs():
            run.report(loss=len(caught), interactive=sys.stdin.isatty())
    """
    reports, outcome = heard(shared, job(tmp_path, code))
    assert outcome.status == "completed"
    assert reports[0]["metrics"] == {"loss": 1.0, "interactive": 0.0}


def test_one_that_is_stopped_cleans_up_first(shared: Worker, tmp_path: Path) -> None:
    """Even if it takes what stops it for an error of its own."""
    code = """
    def train(config, run):
        try:
            for _ in run.epochs():
                try:
                    run.report(loss=1)
                except BaseException:
                    pass
        finally:
            open(config["folder"] + "/cleaned-up", "w").close()
    """
    with pytest.raises(NoMore):
        heard(shared, job(tmp_path, code), stop_at=1)
    assert (tmp_path / "cleaned-up").exists()


def test_exit_handlers_run_and_threads_are_waited_for(shared: Worker, tmp_path: Path) -> None:
    code = """
    import atexit
    def train(config, run):
        def later(name):
            time.sleep(0.3)
            open(config["folder"] + "/" + name, "w").close()
        atexit.register(later, "handler")
        threading.Thread(target=later, args=("thread",)).start()
        for _ in run.epochs():
            run.report(loss=1)
    """
    assert heard(shared, job(tmp_path, code))[1].status == "completed"
    assert (tmp_path / "handler").exists()
    assert (tmp_path / "thread").exists()


def test_a_deadlocked_exit_handler_costs_nothing_but_its_process(
    shared: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "LEAVE_SECONDS", 1.0)
    code = """
    import atexit
    def train(config, run):
        lock = threading.Lock()
        lock.acquire()
        atexit.register(lock.acquire)
        for _ in run.epochs():
            run.report(loss=1)
    """
    reports, outcome = heard(shared, job(tmp_path, code))
    assert (len(reports), outcome.status) == (2, "completed")
    assert outcome.notes["ending"] == "its process did not end within 1 s, and was killed"


def test_nothing_that_a_trial_started_outlives_it(shared: Worker, tmp_path: Path) -> None:
    code = """
    def train(config, run):
        sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
        children = [
            subprocess.Popen(sleeper).pid,
            subprocess.Popen(sleeper, start_new_session=True).pid,
        ]
        for _ in run.epochs():
            run.report(loss=1, a=children[0], b=children[1])
    """
    reports, _ = heard(shared, job(tmp_path, code))
    assert all(gone(int(reports[0]["metrics"][name])) for name in "ab")


def test_a_trial_ends_with_its_worker(tmp_path: Path) -> None:
    code = """
    def train(config, run):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        for _ in run.epochs():
            run.report(loss=1, child=child.pid)
            time.sleep(600)
    """
    program = (
        "import json, sys; from raysweep.trainables.runtime.job import read_job; "
        "from raysweep.trainables.runtime.worker import Worker\n"
        "def send(report):\n"
        "    print(report['notes']['pid'], int(report['metrics']['child']), flush=True)\n"
        "Worker().train(read_job(json.loads(sys.argv[1])), send, lambda: None)"
    )
    import json

    arguments = [sys.executable, "-c", program, json.dumps(asdict(job(tmp_path, code)))]
    root = Path(__file__).parent.parent
    with subprocess.Popen(arguments, cwd=root, stdout=subprocess.PIPE, text=True) as one:
        assert one.stdout is not None
        pids = [int(word) for word in one.stdout.readline().split()]
        os.kill(one.pid, signal.SIGKILL)
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)


def test_a_template_that_is_killed_is_replaced(fresh: Worker, tmp_path: Path) -> None:
    code = """
    from pathlib import Path
    def train(config, run):
        mark = Path(config["folder"], "killed")
        for _ in run.epochs():
            if not mark.exists():
                mark.touch()
                os.kill(os.getppid(), signal.SIGKILL)
                time.sleep(600)
            run.report(loss=1)
    """
    said = job(tmp_path, code)
    assert heard(fresh, said)[1].status == "killed"
    assert heard(fresh, said)[1].status == "completed"


@pytest.mark.parametrize(
    "line",
    [
        "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()",
        "os.getpid() != os.getsid(0) and os._exit(3)",  # a trial leads a session, no template does
    ],
    ids=["thread", "exit"],
)
def test_a_module_that_a_template_must_not_import_is_left_to_the_trials(
    fresh: Worker, tmp_path: Path, line: str
) -> None:
    """It starts a thread, which a fork would lose, or ends the process that imports it."""
    code = f"""{line}
def train(config, run):
    for _ in run.epochs():
        run.report(loss=threading.active_count())
"""
    for folder in ("one", "two"):
        said = replace(job(tmp_path, code), folder=str(tmp_path / folder))
        assert heard(fresh, said)[1].status == "completed"
    assert not fresh.imports_module
    assert not fresh.isolates


def test_what_a_trial_imports_late_is_there_for_the_next(fresh: Worker, tmp_path: Path) -> None:
    code = """
    def train(config, run):
        known = "xmlrpc.server" in sys.modules
        import xmlrpc.server
        for _ in run.epochs():
            run.report(loss=known)
    """
    said = job(tmp_path, code)
    again = replace(said, folder=str(tmp_path / "again"))
    first, second = heard(fresh, said)[0], heard(fresh, again)[0]
    assert (first[0]["metrics"]["loss"], second[0]["metrics"]["loss"]) == (0.0, 1.0)


def test_an_isolated_trial_imports_everything_itself(fresh: Worker, tmp_path: Path) -> None:
    code = """
    imported_in = os.getpid()
    def train(config, run):
        for _ in run.epochs():
            run.report(loss=imported_in == os.getpid())
    """
    reports, outcome = heard(fresh, job(tmp_path, code, isolate=True))
    assert (reports[0]["metrics"]["loss"], outcome.status) == (1.0, "completed")


def test_the_ranks_of_the_process_that_started_ray_are_not_those_of_a_trial(
    fresh: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the pod of a PyTorchJob, or behind `srun ray start`."""
    for name, value in {"RANK": "3", "WORLD_SIZE": "4", "SLURM_NTASKS": "4"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KEPT", "1")
    code = """
        NAMES = ("RANK", "WORLD_SIZE", "SLURM_NTASKS", "KEPT")
        def train(config, run):
            for _ in run.epochs():
                run.report(loss=1.0, **{name: name in os.environ for name in NAMES})
        """
    reports, outcome = heard(fresh, job(tmp_path, code, epochs=1))
    assert outcome.status == "completed", outcome.reason
    assert reports[0]["metrics"] == {
        "loss": 1.0,
        "RANK": 0.0,
        "WORLD_SIZE": 0.0,
        "SLURM_NTASKS": 0.0,
        "KEPT": 1.0,
    }


def test_what_a_module_preloads_is_shared_by_its_trials(fresh: Worker, tmp_path: Path) -> None:
    code = """
    loaded_in = []
    def preload(config):
        loaded_in.append(os.getpid())
    def train(config, run):
        for _ in run.epochs():
            run.report(loss=loaded_in[0] == os.getppid())
    """
    reports, _ = heard(fresh, job(tmp_path, code))
    assert reports[0]["metrics"]["loss"] == 1.0


def test_what_is_printed_anywhere_is_in_the_log(shared: Worker, tmp_path: Path) -> None:
    code = r"""
    def train(config, run):
        print("printed \udcff")
        subprocess.run([sys.executable, "-c", "print('by a child')"])
        os.write(2, b"by native code\n")
        sys.stdout.write("without an end of line")
        for _ in run.epochs():
            run.report(loss=1)
    """
    assert heard(shared, job(tmp_path, code))[1].status == "completed"
    text = (tmp_path / "logs" / "log").read_text()
    words = ("printed \\udcff", "by a child", "by native code", "without an end of line")
    assert all(part in text for part in words)


def test_megabytes_go_through(shared: Worker, tmp_path: Path) -> None:
    code = """
    def train(config, run):
        for _ in run.epochs():
            run.report(loss=1, **{f"metric {i}": i for i in range(50_000)})
    """
    reports, outcome = heard(shared, job(tmp_path, code))
    assert (len(reports[0]["metrics"]), outcome.status) == (50_001, "completed")


def test_it_says_that_it_is_alive_while_its_trial_is_silent(
    shared: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "BEAT_SECONDS", 0.1)
    code = """
    def train(config, run):
        for _ in run.epochs():
            time.sleep(1)
            run.report(loss=1)
    """
    beats: list[int] = []
    shared.train(job(tmp_path, code), lambda report: None, lambda: beats.append(1))
    assert len(beats) > 2


def test_one_that_is_not_wanted_any_more_ends_in_mid_epoch(
    shared: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "BEAT_SECONDS", 0.1)
    code = """
    def train(config, run):
        for _ in run.epochs():
            open(config["folder"] + "/pid", "w").write(str(os.getpid()))
            time.sleep(600)
    """

    def beat() -> None:
        if (tmp_path / "pid").exists():
            raise NoMore

    with pytest.raises(NoMore):
        shared.train(job(tmp_path, code), lambda report: None, beat)
    assert gone(int((tmp_path / "pid").read_text() or "0"))


def test_one_that_is_not_wanted_before_it_is_forked_leaves_nothing_to_the_next(
    fresh: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_process, "BEAT_SECONDS", 0.1)
    code = """
    time.sleep(0.5)
    def train(config, run):
        for epoch in run.epochs():
            run.report(loss=run.seed)
    """

    def beat() -> None:
        raise NoMore

    with pytest.raises(NoMore):
        fresh.train(job(tmp_path, code, "first"), lambda report: None, beat)
    second = job(tmp_path, code, "second")
    reports, outcome = heard(fresh, replace(second, seed=7, folder=str(tmp_path / "other")))
    assert outcome.status == "completed"
    assert [report["metrics"]["loss"] for report in reports] == [7, 7]


def test_a_hang_is_ended_with_its_stack(
    shared: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raysweep.trainables.runtime.progress.SPAN_SECONDS", 0.2)
    monkeypatch.setattr(worker, "BEAT_SECONDS", 0.1)
    code = """
    def train(config, run):
        for _ in run.epochs():
            waits_for_ever()
    def waits_for_ever():
        threading.Event().wait()
    """
    outcome = heard(shared, job(tmp_path, code, hang_after=1.0))[1]
    assert outcome.status == "failed"
    assert outcome.reason.startswith("no report, no CPU or GPU time and no input or output for 1 s")
    assert "waits_for_ever" in outcome.trace


@pytest.mark.parametrize(
    ("cpu", "read", "gpu", "hangs"),
    [
        (0.0, 0.0, False, True),
        (1.0, 0.0, False, False),
        (0.0, 1e6, False, False),
        (0, 0, True, False),
    ],
)
def test_what_counts_as_progress(cpu: float, read: float, gpu: bool, hangs: bool) -> None:
    now = [0.0]
    one = Progress(
        pid=1,
        hang_after=100.0,
        gpu_busy=lambda: gpu,
        clock=lambda: now[0],
        measure=lambda pid: Usage(cpu * now[0], read * now[0]),
    )
    seen = []
    while now[0] < 150:
        now[0] += 5
        seen.append(one.hangs())
    assert any(seen) is hangs


def test_a_report_is_progress() -> None:
    now = [0.0]
    one = Progress(1, 100.0, lambda: False, lambda: now[0], lambda pid: Usage(0.0, 0.0))
    for _ in range(100):
        now[0] += 30
        assert not one.hangs()
        one.reported()


LOADERS_WORDS = """Caught ValueError in DataLoader worker process 0.
Original Traceback (most recent call last):
  File "worker.py", line 349, in _worker_loop
    data = fetcher.fetch(index)
ValueError: image 7 is damaged
"""


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (ValueError("x\nsecond line"), "failed", "ValueError: x"),
        (ValueError(), "failed", "ValueError"),
        (ValueError(LOADERS_WORDS), "failed", "ValueError: image 7 is damaged"),
        (SystemExit("bye"), "failed", "the train function called sys.exit('bye')"),
        (SystemExit(0), "failed", "the train function called sys.exit(0)"),
        (SystemExit(), "failed", "the train function called sys.exit()"),
        (KeyboardInterrupt(), "failed", "the train function raised KeyboardInterrupt"),
        (MemoryError(), "oom", "out of memory on the host"),
        (RuntimeError("CUDA out of memory."), "oom", "RuntimeError: CUDA out of memory."),
        (OSError(28, "No space left on device"), "storage", "OSError: [Errno 28] No space left"),
    ],
    ids=repr,
)
def test_what_an_exception_means(error: BaseException, status: str, reason: str) -> None:
    outcome = outcome_of(error, "train.py:train", {})
    assert outcome.status == status
    assert outcome.reason.startswith(reason)


def test_an_error_in_a_loaders_process_is_its_own(shared: Worker, tmp_path: Path) -> None:
    code = """
    import torch
    class Data(torch.utils.data.Dataset):
        def __len__(self):
            return 8
        def __getitem__(self, index):
            raise KeyError(f"image {index} is damaged")
    def train(config, run):
        for _ in run.epochs():
            list(torch.utils.data.DataLoader(Data(), num_workers=1))
            run.report(loss=1)
    """
    outcome = heard(shared, job(tmp_path, code))[1]
    assert outcome.status == "failed"
    assert outcome.reason == "KeyError: 'image 0 is damaged'"


@pytest.mark.parametrize(
    ("status", "by_kernel", "expected"),
    [
        (1, False, ("failed", "its process ended with exit code 1 and without a word")),
        (
            -signal.SIGSEGV,
            False,
            ("failed", "its process was ended by SIGSEGV (Segmentation fault)"),
        ),
        (-signal.SIGTERM, False, ("failed", "its process was ended by SIGTERM (Terminated)")),
        (-40, False, ("failed", "its process was ended by signal 40")),
        (-signal.SIGKILL, False, ("killed", "its process was killed by SIGKILL")),
        (
            -signal.SIGKILL,
            True,
            ("killed_for_memory", "out of memory on the host, killed by the kernel"),
        ),
    ],
)
def test_how_a_process_ended(status: int, by_kernel: bool, expected: tuple[str, str]) -> None:
    outcome = outcome_of_exit(status, "the last lines", by_kernel)
    assert (outcome.status, outcome.reason) == expected


def test_the_last_lines_of_a_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("of an attempt before\n")
    log = worker.Log(path)
    assert log.end() == ""
    with open(path, "a") as file:
        file.write("".join(f"line {i}\n" for i in range(50)) + " 1%\r 50%\r100%\r\n")
    assert log.end().splitlines() == [f"line {i}" for i in range(31, 50)] + ["100%"]
    with open(path, "a") as file:
        file.write("Fatal Python error: Segmentation fault\n" + "frame\n" * 60)
    assert log.end().splitlines()[0] == "Fatal Python error: Segmentation fault"
    log.close()
    assert path.exists()


def test_an_empty_log_is_removed(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    worker.Log(tmp_path / "log").close()
    assert not (tmp_path / "log").exists()
    with contextlib.suppress(OSError):
        worker.Log(Path(os.devnull)).close()
    assert Path(os.devnull).exists()


def test_messages_are_whole_lines() -> None:
    import socket

    ours, its = socket.socketpair()
    lines = trial_process.Lines(ours)
    its.sendall(b'{"a": 1}\n{"b"')
    assert lines.next() == {"a": 1}
    assert lines.next() is None
    its.sendall(b": 2}\n")
    assert lines.next(5.0) == {"b": 2}
    its.close()
    assert lines.next(5.0) is None
    assert lines.closed
    ours.close()
