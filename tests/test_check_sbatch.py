"""The linter of files for sbatch: each mistake, by the line where it can be mended."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysweep.tune.cluster.launch.launched import Launch, Nodes
from raysweep.tune.cluster.launch.slurm import Job, sbatch_file
from raysweep.tune.cluster.lint import check
from raysweep.tune.cluster.lint_sbatch import seconds_of

LAUNCH = Launch(
    name="cnn",
    file="/shared/sweep/cnn.yaml",
    folder=Path("/"),
    environment=Path("/shared/env"),
    storage="/shared/runs",
    nodes=Nodes(4, 8, 2),
    command="raysweep launch slurm cnn.yaml --nodes 4",
)


def problems(tmp_path: Path, text: str) -> list[tuple[int, str]]:
    (tmp_path / "job.sbatch").write_text(text)
    return [(found.line, found.message) for found in check(tmp_path / "job.sbatch")]


@pytest.mark.parametrize(
    "job",
    [
        Job("4:00:00"),
        Job("2-00:00:00", requeue=False),
        Job("30", joins=True, array="0-9"),
        Job("4:00:00", options=["--partition=gpu", "-C a100", "--gres gpu:2"]),
        Job("4:00:00", options=["-N 2-4", "--gpus-per-node=a100:2,v100:1", "--mem=0"]),
        Job("4:00:00", options=["--nodes=1,3-7:2", "--gpus=gpu:a100:2", "--mem-per-cpu=4gb"]),
    ],
)
def test_what_is_printed_has_no_problem(tmp_path: Path, job: Job) -> None:
    assert problems(tmp_path, sbatch_file(LAUNCH, job)) == []


MISTAKES = [
    ("--cpus-per-task", "--cpu-per-task", "cpu-per-task", "did you mean 'cpus-per-task'?"),
    ("#SBATCH --time=4:00:00\n", "", "job-name", "--time is missing"),
    ("--time=4:00:00", "--time=4h", "time", "--time=4h: expected a time limit"),
    ("--nodes=4", "--nodes=x", "--nodes", "--nodes=x: expected a number of nodes, such as 4"),
    ("--nodes=4", "--nodes=0", "--nodes", "--nodes=0: expected a number of nodes"),
    ("cpus-per-task=8", "cpus-per-task=8G", "cpus-per", "cpus-per-task=8G: expected a whole"),
    ("gpus-per-node=2", "gpus-per-node=two", "gpus-per", "expected how many, such as 2 or a100:2"),
    ("--nodes=4", "--mem=lots", "--mem", "--mem=lots: expected memory, such as 64G"),
    ("--nodes=4", "--array=all", "--array", "expected the numbers of its tasks, such as 0-9"),
    ("--time=4:00:00", "--time=5", "signal", "the signal would come at the start"),
    ("#SBATCH --signal=B:USR1@300\n", "", "job-name", "would cut the running epochs off"),
    ("B:USR1@300", "USR1@300", "signal", "expected B:"),
    ("B:USR1@300", "B:USR2@300", "signal", "nothing handles USR2"),
    ("#SBATCH --requeue\n", "", "job-name", "may not be queued again"),
    ("--requeue", "--no-requeue", "no-requeue", "but the script asks for a requeue"),
    ("#SBATCH --no-kill\n", "", "job-name", "would end with the first node that fails"),
    ("ntasks-per-node=1", "ntasks-per-node=8", "ntasks-per-node", "expected 1"),
    ("--nodes=4", "--array=0-3", "--array", "a run has one; raysweep launch slurm --join"),
    ("set -uo", "sleep 1\n#SBATCH --exclusive\nset -uo", "exclusive", "no options below"),
    ("environment=/shared/env", "environment=/tmp/env", "environment=", "is each node's own"),
    ("--storage /shared", "--storage /tmp", "run=(", "--storage: /tmp/runs is each node's own"),
    ("--output=/", "--output=/none/", "output", "there is no folder /none"),
    ("RAY_AUTH_MODE=token ", "", "    ray start --head", "any user of the node could run code"),
    ("ray start --head", "ray symmetric-run", "symmetric-run", "passes no signal on"),
    ("answers() {", "answers() {\nif", "exit ", "bash: syntax error"),
]


@pytest.mark.parametrize(("old", "new", "where", "words"), MISTAKES)
def test_each_mistake_is_found_where_it_is(
    tmp_path: Path, old: str, new: str, where: str, words: str
) -> None:
    text = sbatch_file(LAUNCH, Job("4:00:00"))
    assert old in text
    text = text.replace(old, new, 1)
    found = problems(tmp_path, text)
    lines = [line for line, message in found if words in message]
    assert len(lines) == 1, found
    if "syntax" not in words:  # bash says where it gave up
        assert where in text.splitlines()[lines[0] - 1]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 1800),
        ("1:30", 90),
        ("4:00:00", 14400),
        ("1-0", 86400),
        ("2-12:30", 217800),
        ("2-00:00:01", 172801),
        ("4h", None),
        ("", None),
    ],
)
def test_time_limits_mean_what_they_mean_to_slurm(text: str, seconds: int | None) -> None:
    assert seconds_of(text) == seconds
