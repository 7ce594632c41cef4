"""Runs in object storage, with `file://` in place of s3://.

It is the same code on a local folder; the cluster test has a real S3 server.

With the extra `cluster-test`, `gs://` on an emulator of Google's storage too.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raysweep.results.storage import mirror
from raysweep.results.storage.ledger import Event, LedgerError, LedgerLockedError
from raysweep.results.storage.object_ledger import (
    MERGE_LINES,
    StoredLedger,
    cover,
    is_locked,
    object_name,
    read,
)
from raysweep.results.storage.object_store import ObjectStore
from raysweep.results.storage.run_directory import RunError, load
from raysweep.trainables.runtime.job import Job
from raysweep.trainables.runtime.outcome import Outcome
from raysweep.trainables.runtime.run import Objective, StorageError
from raysweep.tune.cli.app import main
from raysweep.tune.executors.ray.checkpoint_sync import at_hand
from raysweep.tune.executors.ray.connection import Machines
from raysweep.tune.executors.ray.ray_worker import train_here
from raysweep.tune.run_folders import (
    FolderError,
    begin_anywhere,
    check_unchanged,
    resumed_anywhere,
    write_sweep,
)
from raysweep.tune.session import Options, run
from tests.test_engine import Watch, made, xs


@pytest.fixture(scope="session")
def google() -> Iterator[str]:
    """The address of an emulator of Google's storage with the bucket `sweeps`, in memory."""
    emulator = pytest.importorskip(
        "gcp_storage_emulator.server", reason="the extra cluster-test brings an emulator of gs://"
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = emulator.create_server("127.0.0.1", port, in_memory=True, default_bucket="sweeps")
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture(params=["file", "gs"])
def bucket(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> ObjectStore:
    if request.param == "file":
        return ObjectStore(f"file://{tmp_path}/store/run")
    monkeypatch.setenv("CLOUD_STORAGE_EMULATOR_ENDPOINT", request.getfixturevalue("google"))
    return ObjectStore(f"gs://anonymous@sweeps/{tmp_path.name}/store/run")


def at_once(call: Callable[[], None]) -> None:
    """Calls, and tells nobody meanwhile."""
    call()


def test_objects_are_written_copied_listed_and_deleted(bucket: ObjectStore) -> None:
    assert (bucket.read("a/x"), bucket.sizes(), bucket.folders()) == (None, {}, [])
    for content in (b"first", b"other", os.urandom(3_000_000)):
        bucket.write("a/x", content)
        assert bucket.read("a/x") == content
    bucket.write("b/c/empty", b"")
    bucket.copy("a/x", "y")
    assert bucket.sizes() == {"a/x": 3_000_000, "b/c/empty": 0, "y": 3_000_000}
    assert bucket.folders() == ["a", "b"]
    assert (bucket / "b").folders() == ["c"]
    for _ in range(2):
        bucket.delete("a/x")
    assert bucket.sizes() == {"b/c/empty": 0, "y": 3_000_000}


def event(i: int) -> Event:
    return {"event": "noted", "i": i}


def test_a_ledger_reads_back_however_its_objects_were_merged(
    tmp_path: Path, bucket: ObjectStore
) -> None:
    many = 2 * MERGE_LINES + 7
    book = StoredLedger(mirror.create(bucket), bucket)
    for i in range(many):
        book.append(event(i))
    assert read(bucket).count(b"\n") == many
    book.close()
    assert len(bucket.sizes("ledger")) == 3
    again = StoredLedger(mirror.create(bucket), bucket)
    assert again.past == [event(i) for i in range(many)]
    again.close()


def test_a_reader_that_lists_in_the_middle_of_a_merge_lists_again(
    bucket: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing can miss both the large object and the small ones that it replaces.

    It passed the large object's place before that was written, and came to the small ones when the
    first of them was deleted.
    """
    for i in range(3):
        bucket.write(object_name(i, i), b"%d\n" % i)
    torn = {object_name(2, 2): 2}
    lists = iter([torn, None])
    listed = ObjectStore.sizes
    monkeypatch.setattr(
        ObjectStore, "sizes", lambda self, under="": next(lists, torn) or listed(self, under)
    )
    assert read(bucket) == b"0\n1\n2\n"
    with pytest.raises(LedgerError, match="event 0 is missing"):
        read(bucket)


def test_a_reader_takes_the_large_object_while_the_small_ones_are_there() -> None:
    assert cover([(0, 0), (1, 1), (2, 2), (0, 1)]) == [(0, 1), (2, 2)]
    assert cover([(2, 3), (0, 1), (3, 3)]) == [(0, 1), (2, 3)]
    with pytest.raises(LedgerError, match="event 1 is missing"):
        cover([(0, 0), (2, 2)])


def test_only_one_session_holds_a_run(bucket: ObjectStore) -> None:
    book = StoredLedger(mirror.create(bucket), bucket)
    assert is_locked(bucket)
    with pytest.raises(LedgerLockedError, match=f"process {os.getpid()} on "):
        StoredLedger(mirror.create(bucket), bucket)
    book.close()
    assert not is_locked(bucket)


@pytest.mark.parametrize("changes", [{"process": 2**22 + 1}, {"host": "elsewhere", "time": 0.0}])
def test_the_hold_of_a_killed_session_ends(bucket: ObjectStore, changes: dict[str, Any]) -> None:
    """A lock ends at once if its process ran on this machine, elsewhere a minute later."""
    book = StoredLedger(mirror.create(bucket), bucket)
    said = json.loads(bucket.read("lock") or b"")
    bucket.write("lock", json.dumps(said | changes).encode())
    assert not is_locked(bucket)
    book.close()


def test_a_session_whose_run_was_taken_stops(
    bucket: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raysweep.results.storage.object_ledger.HEARTBEAT_SECONDS", 0.01)
    book = StoredLedger(mirror.create(bucket), bucket)
    other = json.loads(bucket.read("lock") or b"") | {"key": "other", "host": "elsewhere"}
    while not book._lock._taken_by:  # the heartbeat may write between the two
        bucket.write("lock", json.dumps(other).encode())
        time.sleep(0.02)
    with pytest.raises(
        OSError, match=r"another session has taken the run: process .* on elsewhere"
    ):
        book.append(event(0))
    book.close()
    assert bucket.read("lock") is not None


def test_a_trial_goes_on_from_its_stored_checkpoint(bucket: ObjectStore, tmp_path: Path) -> None:
    fields: dict[str, Any] = {
        "trainable": "tests.trainables:bowl",
        "config": {"x": 0.1},
        "seed": 0,
        "epochs": 3,
    }
    job = Job(
        "a-0",
        objective=Objective("loss", False),
        folder=(bucket / "trials/a-0").url,
        log=(bucket / "logs").url,
        **fields,
    )
    with at_hand(job, at_once) as (local, store):
        for name in ("last.pt", "best.pt"):
            (Path(local.folder) / name).write_text(f"{name} of epoch 1")
        Path(local.log).write_text("said\n")
        store()
        (Path(local.folder) / "last.pt").write_text("epoch 2")
        store()
    with at_hand(job, at_once) as (local, store):
        assert (Path(local.folder) / "last.pt").read_text() == "epoch 2"
        assert (Path(local.folder) / "best.pt").read_text() == "best.pt of epoch 1"
        Path(local.log).write_text("said again\n")
    assert bucket.read("logs/a-0.log") == b"said\nsaid again\n"


@pytest.mark.parametrize(("rank", "stored"), [(0, b"epoch 2"), (1, b"epoch 1")])
def test_only_the_first_of_several_processes_stores(
    rank: int, stored: bytes, bucket: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others have fetched a checkpoint too, on machines of their own; it grows old there."""

    def training(job: Job, send: Any, beat: Any) -> Outcome:
        (Path(job.folder) / "last.pt").write_text("epoch 2")
        send({"epoch": 2})
        return Outcome("completed", "")

    monkeypatch.setattr(
        "raysweep.tune.executors.ray.ray_worker._worker", SimpleNamespace(train=training)
    )
    (bucket / "trials/a-0").write("last.pt", b"epoch 1")
    fields: dict[str, Any] = {
        "trainable": "tests.trainables:bowl",
        "config": {"x": 0.1},
        "seed": 0,
        "epochs": 3,
        "rank": rank,
    }
    heard: list[dict[str, Any]] = []
    job = Job(
        "a-0",
        objective=Objective("loss", False),
        folder=(bucket / "trials/a-0").url,
        log=(bucket / "logs").url,
        **fields,
    )
    train_here(job, heard.append, lambda: None)
    assert heard == [{"epoch": 2}]
    assert (bucket / "trials/a-0").read("last.pt") == stored


def test_a_store_that_fails_is_not_the_trainings_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    job = Job("a-0", "t:t", {}, 0, 1, Objective("loss", False), folder=f"file://{tmp_path}/store")
    with pytest.raises(StorageError), at_hand(job, at_once) as (local, store):  # noqa: PT012
        (tmp_path / "store").write_text("in the way")
        (Path(local.folder) / "last.pt").touch()
        store()


@pytest.mark.examples
@pytest.mark.ray
def test_a_sweep_on_object_storage_is_resumed_and_read(
    bucket: ObjectStore, ray_here: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The mirror is deleted between the sessions, as if the second one ran on another machine."""
    storage = bucket.url.removesuffix("/run")
    for count in (2, 4):
        resolved = {
            "metric": {"name": "loss", "goal": "minimize"},
            "trainable": "tests.trainables:noisy",
        }
        said = made("noisy", *xs(0.1, 0.2, 0.3, 0.4)[:count], resolved=resolved)
        folder = (
            begin_anywhere(storage, "sweep", "run")
            if count == 2
            else resumed_anywhere(storage, "sweep", "run")
        )
        assert run(said, folder, Options(Machines()), Watch()) == 0
    with pytest.raises(FolderError, match="exists already"):
        begin_anywhere(storage, "sweep", "run")
    found = load(bucket.url)
    assert [trial.epoch for history in found.histories.values() for trial in history] == [3] * 4
    assert found.best.checkpoint is not None
    assert {"trials.csv", "curves.csv", "sweep.yaml", "environment.json"} <= set(bucket.sizes())
    assert main(["ls", storage]) == 0
    assert main(["ls", bucket.url]) == 0
    assert main(["best", bucket.url]) == 0
    assert main(["export", bucket.url]) == 0
    assert main(["report", bucket.url]) == 0
    printed = capsys.readouterr().out
    assert f"{bucket.url}/trials/listed-" in printed.replace("\n", "")
    assert f"{bucket.url}/report.html" in printed
    assert {"report.html", "best/model.pt"} <= set(bucket.sizes())


def test_what_is_no_run_is_one_line(bucket: ObjectStore) -> None:
    bucket.write("ledger/000000000-000000000", b"")
    storage = bucket.url.removesuffix("/run")
    with pytest.raises(RunError, match=rf"is not a run; there are: {storage}/run"):
        load(storage)
    with pytest.raises(FolderError, match="nothing to resume"):
        resumed_anywhere(f"{storage}/elsewhere", "sweep", "")


def test_a_run_goes_on_where_its_train_function_lies_elsewhere(tmp_path: Path) -> None:
    """A job's working tree is unpacked in a folder named after its content."""
    said = made("noisy", {"x": 0.1}, resolved={"trainable": "/tmp/package-1/steps.py:steps"})
    write_sweep(tmp_path, said)
    check_unchanged(tmp_path, replace(said, resolved={"trainable": "/root/sweep/steps.py:steps"}))
    with pytest.raises(
        FolderError,
        match=r"trainable: was /tmp/package-1/steps\.py:steps, is /root/sweep/other\.py:steps",
    ):
        check_unchanged(
            tmp_path, replace(said, resolved={"trainable": "/root/sweep/other.py:steps"})
        )
