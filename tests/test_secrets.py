"""Secrets of the environment and Ray's token: where they are not written, and who can read them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raysweep.results.storage.object_store import ObjectStore, StoreError
from raysweep.tune.cluster.ray_jobs import submit
from raysweep.tune.executors.ray import auth_token
from tests.nodes import PROJECT, environment

PLANTED = "planted-4b1d-in-the-environment"
SECRETS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECURITY_TOKEN",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_KEY",
    "HF_TOKEN",
    "MLFLOW_TRACKING_PASSWORD",
    "RAY_AUTH_TOKEN",
)
SPACE = """\
trainable: {train}
metric: {{name: loss, goal: minimize}}
searcher: random
scheduler: none
budget: {{trials: 1, epochs: 2}}
parallel: 1
track: {track}
space:
  x: {{float: [0, 1]}}
"""
TRAIN = f"""\
import logging, os, zlib

def train(config, run):
    here = zlib.crc32(os.environ.get("AWS_SECRET_ACCESS_KEY", "").encode())
    for epoch in run.epochs():
        print("epoch", epoch)
        logging.getLogger(__name__).warning("epoch %d", epoch)
        run.report(loss=float(here != {zlib.crc32(PLANTED.encode())}))
"""
MAIN = """
import os, sys
from raysweep.tune.cli.app import main
from raysweep.tune.executors.ray import connection

os.umask(0)
connection.remove = print  # what Ray has written is looked through
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a short name: Ray's sockets lie below it."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as name:
        for folder in ("home", "t"):
            (Path(name) / folder).mkdir()
        yield Path(name)


def run(place: Path, storage: str, track: str, **variables: str) -> None:
    """A sweep in a process of its own, with planted secrets in its environment."""
    (place / "train.py").write_text(TRAIN)
    (place / "sweep.yaml").write_text(SPACE.format(train=f"{place}/train.py:train", track=track))
    names = {"HOME": str(place / "home"), "RAY_TMPDIR": str(place / "t")}
    arguments = ["run", "--space", "sweep.yaml", "--storage", storage, "--name", "first"]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MAIN, *arguments],
        cwd=place,
        env=environment()
        | dict.fromkeys(SECRETS, PLANTED)
        | names
        | {"PYTHONPATH": str(PROJECT)}
        | variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    (place / "printed").write_text(done.stdout + done.stderr)
    assert done.returncode == 0, done.stderr
    assert "random-0 completed" in done.stdout
    assert "loss 0 " in done.stdout  # the worker has found the secret in its environment


def holding(place: Path, secret: str) -> list[str]:
    """The files below a folder that hold a secret."""
    files = [path for path in place.rglob("*") if path.is_file()]
    assert any("raylet.out" in path.name for path in files)  # Ray's logs are among them
    return [str(path) for path in files if secret.encode() in path.read_bytes()]


@pytest.mark.examples
def test_nothing_that_is_written_holds_a_secret(place: Path) -> None:
    """The search covers the run, Ray's session, TensorBoard's files, the output, and caches."""
    run(place, f"file://{place}/runs", "[]")
    assert list(place.glob("t/*/r/session_*/logs/runtime_env_agent.log"))
    assert holding(place, PLANTED) == []


@pytest.mark.examples
def test_rays_token_is_in_one_file_that_is_closed(place: Path) -> None:
    run(place, str(place / "runs"), "[]", RAY_AUTH_TOKEN="")
    assert holding(place, PLANTED) == []
    token = place / "home" / ".ray" / "auth_token"
    assert holding(place, token.read_text()) == [str(token)]
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert {stat.S_IMODE(path.stat().st_mode) for path in (place / "t").iterdir()} == {0o700}


@pytest.mark.parametrize("tracker", ["wandb", "mlflow"])
def test_no_tracker_writes_a_secret(tracker: str, place: Path) -> None:
    pytest.importorskip(tracker, reason=f"the extra {tracker} brings it")
    run(place, str(place / "runs"), f"[{tracker}]", WANDB_MODE="offline", WANDB_API_KEY=PLANTED)
    assert list(
        (place / "runs" / "first").glob({"wandb": "wandb/*", "mlflow": "mlruns/*"}[tracker])
    )
    assert holding(place, PLANTED) == []


def test_s3_is_read_with_the_users_keys_which_are_not_written(place: Path) -> None:
    moto = pytest.importorskip("moto.server", reason="moto stands for S3 here")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    access = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    try:
        subprocess.run(
            ["curl", "-sf", "-X", "PUT", f"{access['AWS_ENDPOINT_URL']}/sweeps"], check=True
        )
        run(place, "s3://sweeps/runs", "[]", **access)
    finally:
        server.stop()
    assert holding(place, PLANTED) == []


@pytest.mark.ray
def test_only_this_user_enters_rays_directory(ray_here: Any) -> None:
    """Ray gives its own directories mode 0777, again with each worker that starts."""
    ray_here.get(ray_here.remote(lambda: None).remote())
    session = Path(ray_here._private.worker._global_node.get_session_dir_path())
    private = session.parent.parent
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert private.stat().st_uid == os.getuid()


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of a token file; there is none yet."""
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / ".ray" / "auth_token"
    monkeypatch.setattr(auth_token, "TOKEN", path)
    return path


def test_a_token_file_that_everybody_could_read_is_closed(token: Path) -> None:
    token.parent.mkdir()
    token.write_text("token")
    token.chmod(0o644)
    auth_token.ensure_token()
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert token.read_text() == "token"


@pytest.mark.parametrize("mask", [0, 0o022, 0o077])
def test_a_new_token_file_is_closed_whatever_the_umask(token: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        auth_token._write(token, "first")
        auth_token._write(token, "second")  # another process was faster
    finally:
        os.umask(before)
    assert token.read_text() == "first"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert [path.name for path in token.parent.iterdir()] == ["auth_token"]


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket/runs?secret_key=hunter2",
        "s3://bucket/runs?region=x&access_key=hunter2",
        "s3://user:hunter2@bucket/runs",
        "gs://bucket/runs?access_token=hunter2",
    ],
)
def test_a_storage_url_that_holds_a_secret_is_refused(url: str, tmp_path: Path) -> None:
    for use in (
        ObjectStore,
        lambda url: submit("http://127.0.0.1:1", ["--storage", url], tmp_path),
    ):
        with pytest.raises(StoreError, match="put credentials into the environment") as refused:
            use(url)
        assert "hunter2" not in str(refused.value)
    assert ObjectStore("gs://anonymous@bucket/runs?retry_limit_seconds=1").url.startswith("gs://")
