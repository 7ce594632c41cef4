"""`raysweep launch slurm`: the text of the file, and what it does, with programs that pretend.

What a real Slurm makes of it is in `cluster/slurm.py`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raysweep.tune.cli.app import main
from raysweep.tune.cluster import lint_sbatch

SWEEP = """\
trainable: steps.py:steps
metric: {name: loss, goal: minimize}
budget: {trials: 9, epochs: 8}
resources: {cpu: 2, gpu: 0.5}
space:
  x: {float: [0.0, 1.0]}
  seconds: 0.5
"""
TIME = ["--time", "4:00:00"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command is typed: a folder with a sweep."""
    (tmp_path / "a sweep").mkdir()
    monkeypatch.chdir(tmp_path / "a sweep")
    monkeypatch.delenv("RAYSWEEP_DATA_ROOT", raising=False)
    monkeypatch.setattr(lint_sbatch, "PRIVATE", ("/var/tmp",))  # the tests' own folder is in /tmp
    Path("sweep.yaml").write_text(SWEEP)
    trainables = Path(__file__).parent / "cluster/trainables.py"
    Path("steps.py").write_text(trainables.read_text())
    return tmp_path / "a sweep"


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(["launch", "slurm", "sweep.yaml", *words]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(["launch", "slurm", "sweep.yaml", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def sbatch_options(text: str) -> dict[str, str]:
    return dict(re.findall(r"^#SBATCH --([\w-]+)=?(.*)$", text, re.M))


def test_slurm_is_asked_for_what_was_said(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    words = ["--nodes", "4", "--gpus-per-node", "2", "--memory", "64G", "--grace", "120"]
    text = printed(capsys, *words, *TIME, "--sbatch=--partition=gpu", "--dependency", "after:7")
    options = sbatch_options(text)
    assert options == {
        "job-name": "sweep",
        "nodes": "4",
        "ntasks-per-node": "1",
        "cpus-per-task": "8",  # four trials on two GPUs, of two CPUs each
        "gpus-per-node": "2",
        "mem": "64G",
        "time": "4:00:00",
        "output": f"{folder}/sweep-%j.log",
        "signal": "B:USR1@120",
        "no-kill": "",
        "requeue": "",
        "open-mode": "append",
        "dependency": "after:7",
        "partition": "gpu",
    }


@pytest.mark.parametrize("more", [[], ["--join"], ["--join", "--array", "0-9"], ["--chain", "3"]])
def test_it_is_a_script(capsys: pytest.CaptureFixture[str], folder: Path, more: list[str]) -> None:
    awkward = ["--set", "space.x='a b'", "--setup", "module load cuda", "--data-root", "/data sets"]
    text = printed(capsys, "--gpus-per-node", "1", *TIME, *awkward, *more)
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    assert "module load cuda\n" in text
    assert "export RAYSWEEP_DATA_ROOT='/data sets'\n" in text
    if shutil.which("shellcheck"):
        check = ["shellcheck", "--severity=warning", "-"]
        done = subprocess.run(check, input=text, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout


def test_what_is_missing_or_wrong_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    gpu = ["--gpus-per-node", "1"]
    assert "--time is missing" in refused(capsys, *gpu)
    assert "--time tomorrow: expected" in refused(capsys, *gpu, "--time", "tomorrow")
    assert "--cpus-per-node says it" in refused(capsys, *TIME)
    assert "no node can hold a trial" in refused(capsys, *gpu, *TIME, "--cpus-per-node", "1")
    assert "--array is for added nodes" in refused(capsys, *gpu, *TIME, "--array", "0-9")
    assert "--name a b: expected" in refused(capsys, *gpu, *TIME, "--name", "a b")


def test_the_file_is_written_or_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "--gpus-per-node", "1", *TIME, "--name", "one")
    assert printed(capsys, "--gpus-per-node", "1", *TIME, "--name", "one", "--out", "a") == ""
    assert Path("a").read_text().splitlines()[3:] == text.splitlines()[3:]
    assert '"target": "slurm"' in printed(capsys, "--gpus-per-node", "1", *TIME, "--json")


PRETENDED = {
    "srun": """
        while [ "${1#-}" != "$1" ]; do
            case $1 in --nodelist=*) export SLURMD_NODENAME=${1#*=};; --output=*) out=${1#*=};; esac
            shift
        done
        export RAYSWEEP_TMP=$(dirname "$LOG")/$SLURMD_NODENAME
        mkdir -p "$RAYSWEEP_TMP"
        exec "$@" >> "$out" 2>&1""",
    "scontrol": """
        if [ "$1" = show ]; then printf '%s\\n' one two; else echo "$@" >> "$LOG"; fi""",
    "scancel": 'pkill -TERM -P "$PPID" -f "node worker"',
    "ray": """
        echo "$SLURMD_NODENAME ray $*" >> "$LOG"
        words=$*
        case $words in *--head*) port=${words#*--port=} && exec python -c "
        import socket, time
        server = socket.create_server(('', ${port%% *})); time.sleep(60)";; esac
        sleep 60""",
    "raysweep": """
        echo "raysweep $*" >> "$LOG"
        trap 'echo ended >> "$LOG"; exit 4' TERM
        if [ -n "$CODE" ]; then exit "$CODE"; fi
        sleep 60 & wait""",
    "getent": "echo 127.0.0.1 STREAM",
    "awk": "echo 127.0.0.1",
}
"""What the file calls, as it would be on a node. $LOG is where they say what they were asked."""


class Node:
    """Runs a file as Slurm would on the first node of a job, with programs that pretend."""

    def __init__(self, folder: Path, text: str, code: str = "") -> None:
        self.log = folder / "log"
        self.log.touch()
        (folder / "bin").mkdir(exist_ok=True)
        for name, script in PRETENDED.items():
            path = folder / "bin" / name
            lines = "\n".join(line.removeprefix("        ") for line in script.splitlines())
            path.write_text(f"#!/bin/bash\n{lines}\n")
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        (folder / "bin/python").unlink(missing_ok=True)
        (folder / "bin/python").symlink_to(sys.executable)
        path = folder / "job.sbatch"
        path.write_text(re.sub(r"^environment=.*", f"environment='{folder}'", text, flags=re.M))
        environment = {
            "PATH": os.environ["PATH"],
            "SLURM_JOB_ID": str(os.getpid()),
            "SLURM_JOB_NODELIST": "one,two",
            "SLURMD_NODENAME": "one",
            "SLURM_CPUS_PER_TASK": "8",
            "SLURM_GPUS_ON_NODE": "2",
            "LOG": str(self.log),
            "CODE": code,
        }
        self.process = subprocess.Popen(
            ["bash", str(path)], cwd="/", env=environment, start_new_session=True
        )

    def said(self, words: str) -> str:
        """Wait until a program has said these words; returns the first line with them."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for line in self.log.read_text().splitlines():
                if words in line:
                    return line
            time.sleep(0.05)
        raise AssertionError(f"{words}: not in\n{self.log.read_text()}")

    def end(self) -> int:
        """The exit code of the job; then everything that it started is killed, as Slurm does."""
        try:
            return self.process.wait(60)
        finally:
            self.kill()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(60)


Start = Callable[..., Node]


@pytest.fixture
def job(capsys: pytest.CaptureFixture[str], folder: Path) -> Iterator[Start]:
    """Starts jobs, and kills what is left of them."""
    nodes: list[Node] = []

    def start(*words: str, code: str = "") -> Node:
        text = printed(capsys, "--nodes", "2", "--gpus-per-node", "2", *TIME, *words)
        nodes.append(
            Node(folder, text.replace("sleep 60", "sleep 0").replace("sleep 5", "sleep 0.1"), code)
        )
        return nodes[-1]

    yield start
    for node in nodes:
        node.kill()


def test_ray_is_started_on_each_node_with_ports_and_a_folder_of_its_own(
    job: Start, folder: Path
) -> None:
    node = job()
    head, worker = node.said("one ray start --head"), node.said("two ray start")
    run = node.said("raysweep run")
    address = (folder / ".raysweep/sweep/head").read_text().strip()
    assert f"--address {address} --wait-for-nodes 2" in run
    assert f"--name sweep --storage {folder}/ray_results --or-resume" in run
    assert f"--address={address} " in worker
    for line in (head, worker):
        assert "--num-cpus=8 --num-gpus=2" in line
        (temporary,) = re.findall(r"--temp-dir=(.+)/r ", line)
        assert stat.S_IMODE(os.stat(temporary).st_mode) == 0o700
    # Of another node, a port may be the same; here both are one machine, and no Ray takes them.
    ports = re.findall(r"port=(\d+)", head)
    assert len(set(ports)) == len(ports) == 3
    assert len(re.findall(r"port=(\d+)", worker)) == 1
    assert stat.S_IMODE(os.stat(folder / ".raysweep/sweep").st_mode) == 0o700
    assert stat.S_IMODE(os.stat(folder / ".raysweep/sweep/token").st_mode) == 0o600
    assert len((folder / ".raysweep/sweep/token").read_text()) == 64


def test_before_the_time_limit_epochs_end_and_the_job_is_queued_again(
    job: Start, folder: Path
) -> None:
    node = job()
    node.said("raysweep run")
    node.process.send_signal(signal.SIGUSR1)
    node.said("ended")
    assert node.said("requeue") == f"requeue {os.getpid()}"
    assert node.end() == 4
    assert not (folder / ".raysweep/sweep/head").exists()


def test_a_chain_ends_with_the_code_that_starts_its_next_job(job: Start) -> None:
    node = job("--chain", "3")
    node.said("raysweep run")
    node.process.send_signal(signal.SIGUSR1)
    assert node.end() == 4
    assert "requeue" not in node.log.read_text()


def test_a_cancelled_job_is_not_queued_again(job: Start) -> None:
    node = job()
    node.said("raysweep run")
    node.process.send_signal(signal.SIGTERM)
    node.said("ended")
    assert node.end() == 4
    assert "requeue" not in node.log.read_text()


@pytest.mark.parametrize("code", ["0", "1", "2", "3", "4"])
def test_the_code_of_the_sweep_is_that_of_the_job(job: Start, folder: Path, code: str) -> None:
    """A session that ended at once with 4, or was aborted, is not tried again and again."""
    node = job(code=code)
    assert node.end() == int(code)
    assert "requeue" not in node.log.read_text()
    assert (folder / ".raysweep/sweep/ended").exists() == (code in ("0", "2", "3"))


def test_added_nodes_join_the_head_and_end_with_the_sweep(job: Start, folder: Path) -> None:
    first = job()
    first.said("raysweep run")
    address = (folder / ".raysweep/sweep/head").read_text().strip()
    added = job("--join")
    for name in ("one", "two"):
        added.said(f"{name} ray start --address={address}")
    (folder / ".raysweep/sweep/head").unlink()
    (folder / ".raysweep/sweep/ended").touch()
    assert added.end() == 0


def test_what_check_cluster_would_refuse_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr, because the file is printed."""
    words = ["--storage", "/var/tmp/runs", "--sbatch=--partitoin=gpu", "--gpus-per-node", "1"]
    assert main(["launch", "slurm", "sweep.yaml", *words, *TIME]) == 0
    said = capsys.readouterr()
    notes = [line.partition(": line ")[2].partition(": ") for line in said.err.splitlines()]
    lines = said.out.splitlines()
    assert [(lines[int(line) - 1][:16], message) for line, _, message in notes] == [
        ("#SBATCH --partit", "sbatch has no option --partitoin; did you mean 'partition'?"),
        (
            "run=(raysweep ru",
            "--storage: /var/tmp/runs is each node's own; expected a folder that all nodes see",
        ),
    ]


def test_submitting_hands_the_file_to_sbatch(
    capsys: pytest.CaptureFixture[str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Each job of a chain waits for the former; the data are fetched here before."""
    sbatch = tmp_path / "bin/sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(
        f'#!/bin/bash\necho "$@" >> {tmp_path}/log\necho $((40 + $(wc -l < {tmp_path}/log)))\n'
    )
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{sbatch.parent}:{os.environ['PATH']}")
    words = ["--gpus-per-node", "1", *TIME, "--set", f"space.fetched={tmp_path}/fetched"]
    said = printed(capsys, *words, "--chain", "2", "--submit")
    assert said.startswith("submitted as 41, 42; to follow it: raysweep status ")
    file = folder / ".raysweep/sweep/job.sbatch"
    assert (tmp_path / "log").read_text().splitlines() == [
        f"--parsable {file}",
        f"--parsable --dependency=afternotok:41 --kill-on-invalid-dep=yes {file}",
    ]
    assert (tmp_path / "fetched").read_text() == "fetched\n"
    sbatch.write_text("#!/bin/bash\necho 'sbatch: error: Invalid partition' >&2; exit 1\n")
    assert "sbatch refuses: sbatch: error: Invalid partition" in refused(capsys, *words, "--submit")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    if shutil.which("sbatch") is None:
        assert "there is no sbatch on this machine" in refused(capsys, *words, "--submit")
