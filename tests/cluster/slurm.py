"""Sweeps on a real Slurm, as a user submits them: `make cluster-test`.

The hosts are namespaces; Slurm, munge and what happens to them are real. Some scenes are about what
Slurm does, with a Ray that pretends; in the others Ray is real, too, and each disturbed sweep is
compared with an undisturbed one. RAYSWEEP_PREEMPTIONS=20 preempts a job that often, in place of
three times, and adds the scenes in which a real sweep is preempted, meets its time limit, and loses
a node.
"""

from __future__ import annotations

import os
import random
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import pretended, scene
from tests.cluster.hosts import PROJECT, Hosts, missing
from tests.cluster.scene import outcome, reports, until
from tests.cluster.slurm_site import LOGIN, NETWORK, NODES, PROGRAMS, SPARE, Site, pause

SWEEP = """\
trainable: steps.py:steps
metric: {name: loss, goal: minimize}
searcher: random
scheduler: none
budget: {trials: 9, epochs: 8}
resources: {cpu: 1}
retries: 0
space:
  x: {float: [0.0, 1.0]}
  seconds: 0.3
"""
SETUP = [
    # The project is not installed on these hosts.
    "export PYTHONPATH=/shared/project",
    # As cluster.yaml describes it: a lost node is noticed after 8 s.
    "export RAY_health_check_initial_delay_ms=1000 RAY_health_check_period_ms=1000 "
    "RAY_health_check_timeout_ms=2000 RAY_health_check_failure_threshold=3",
]
LINES = """\
raysweep launch slurm sweep.yaml --nodes 3 --cpus-per-node 1 --time 10:00 > sweep.sbatch
raysweep check-cluster sweep.sbatch
sbatch sweep.sbatch
raysweep status sweep
raysweep launch slurm sweep.yaml --join --nodes 1 --cpus-per-node 1 --time 10:00
    --sbatch=--partition=spare --submit
"""
"""The documented lines, all of which are run here."""
PREEMPTIONS = int(os.environ.get("RAYSWEEP_PREEMPTIONS", "3"))
LONG = "RAYSWEEP_PREEMPTIONS" in os.environ
URGENT = "sbatch --parsable --partition=urgent --nodes=1 --output=/dev/null --wrap 'sleep 1'"
WHY = missing(NETWORK, *PROGRAMS, make="slurm-tools")

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WHY), reason=WHY or "-")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A Slurm with three nodes and a spare one, and a sweep in a folder that they share."""
    shared = tmp_path_factory.mktemp("shared")
    hosts = Hosts(tmp_path_factory.mktemp("hosts"), [LOGIN, *NODES, SPARE], shared, NETWORK)
    try:
        hosts.up()
        site = Site(hosts, shared)
        site.begin()
        pretended.write(shared / "pretended")
        site.put_project(scene.project())
        site.put_sweep("sweep.yaml", SWEEP)
        site.put_sweep("steps.py", Path(__file__).with_name("trainables.py").read_text())
        yield site
    finally:
        hosts.down()


def folder(site: Site, name: str) -> Path:
    return site.shared / "sweep/ray_results" / name


def launch(site: Site, name: str, *words: str) -> str:
    """Submit the sweep under a name; returns the number of its job."""
    setup = [word for line in SETUP for word in ("--setup", line)]
    size = ["--nodes", "3", "--cpus-per-node", "1", "--time", "10:00"]
    said = site.raysweep(
        "launch", "slurm", "sweep.yaml", "--name", name, *size, *setup, *words, "--submit"
    )
    (job,) = re.findall(r"submitted as (\d+);", said)
    return str(job)


def holds(site: Site, name: str) -> None:
    """The table equals that of the undisturbed sweep, without a lost or a repeated epoch."""
    assert outcome(folder(site, name)) == outcome(folder(site, "sweep"))
    heard = reports(folder(site, name))
    assert len({(event["trial"], event["epoch"]) for event in heard}) == len(heard) == 72
    notes = [event.get("notes", {}) for event in scene.events(folder(site, name))]
    assert not any("failures" in one or "losses" in one for one in notes)


class Job:
    """A job whose Ray and raysweep pretend: it trains so many epochs of 0.2 s."""

    def __init__(self, site: Site, name: str, epochs: int, *words: str) -> None:
        self.site = site
        self.folder = site.shared / "sweep/.raysweep" / name
        size = ["--cpus-per-node", "1", "--time", "10:00", "--setup", f"export EPOCHS={epochs}"]
        text = site.raysweep("launch", "slurm", "sweep.yaml", "--name", name, *size, *words)
        site.put_sweep(f"{name}.sbatch", text.replace(sys.prefix, "/shared/pretended"))
        self.number = site.said(f"cd /shared/sweep && sbatch --parsable {name}.sbatch")

    @property
    def said(self) -> list[str]:
        """What its programs were asked."""
        path = self.folder / "said"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def epochs(self) -> list[str]:
        """By which session each epoch was trained."""
        return (self.folder / "epochs").read_text().splitlines()

    def wait_for(self, line: str) -> None:
        until(lambda: any(line in said for said in self.said), 60, line)


def disturb(site: Site, job: str, seconds: float) -> None:
    """Preempt a job, or queue it again by hand, in turn, at random moments of its sessions."""
    chance = random.Random(PREEMPTIONS)
    for number in range(1, PREEMPTIONS + 1):
        until(lambda: site.state(job) == "RUNNING", 120, "the job to run again", every=1.0)
        pause(chance.uniform(0.0, seconds), lambda: site.state(job) == "RUNNING")
        site.said(URGENT if number % 2 else f"scontrol requeue {job}")
        until(lambda: site.restarts(job) >= number, 60, f"requeue {number}", every=1.0)  # noqa: B023


@pytest.fixture(scope="module")
def limited(site: Site) -> Job:
    """A job on the spare node, with a limit of a minute, which it meets while others are tested.

    Slurm looks every 30 s, and so ends a session after 10 to 40 s: 50 to 200 epochs.
    """
    words = ("--sbatch=--partition=spare", "--time", "1:00", "--grace", "20")
    return Job(site, "ends", 420, *words)


def typed(site: Site, line: str) -> str:
    """What a documented line prints, typed on the login host, as if raysweep were installed."""
    setup = " ".join(f"--setup {shlex.quote(line)}" for line in SETUP)
    shell = f"cd /shared/sweep && {SETUP[0]} PATH={sys.prefix}/bin:$PATH && "
    return site.said(shell + line.replace("slurm sweep.yaml", f"slurm sweep.yaml {setup}"))


def test_a_job_survives_preemptions_at_random_moments(site: Site, limited: Job) -> None:
    assert limited.number
    job = Job(site, "again", 20 * PREEMPTIONS, "--nodes", "3")
    disturb(site, job.number, 5.0)
    site.wait(job.number)
    assert site.restarts(job.number) == PREEMPTIONS
    assert len(job.epochs) == 20 * PREEMPTIONS


def test_the_documented_lines_run_a_sweep_on_three_nodes(site: Site) -> None:
    page = (PROJECT / "docs/how-to/slurm.md").read_text()
    blocks = re.findall(r"^```sh run-by=tests/cluster/slurm.py\n(.*?)^```$", page, re.S | re.M)
    shown = [line.partition("  #")[0].strip() for line in "".join(blocks).splitlines()]
    assert shown == LINES.replace("\n    ", " ").splitlines()
    printing, checking, submitting, asking = shown[:4]
    typed(site, printing)
    assert typed(site, checking) == "sweep.sbatch: nothing wrong"
    (job,) = re.findall(r"\d+", typed(site, submitting))
    site.wait(job)
    assert "9 trials" in typed(site, asking)
    assert set(scene.nodes(folder(site, "sweep")).values()) == set(NODES)
    assert len(outcome(folder(site, "sweep"))) == 9
    assert "Traceback" not in site.log(job)


@pytest.mark.skipif(not LONG, reason="long; RAYSWEEP_PREEMPTIONS is not set")
def test_preempted_and_queued_again_at_random_moments(site: Site) -> None:
    """By a job of a partition with a higher priority, and by hand, in turn."""
    job = launch(site, "storm", "--set", "space.seconds=1.5")
    disturb(site, job, 20.0)
    site.wait(job, 600)
    assert site.restarts(job) == PREEMPTIONS
    holds(site, "storm")


def test_before_its_time_limit_a_job_ends_its_epoch_and_is_queued_again(
    site: Site, limited: Job
) -> None:
    until(lambda: site.restarts(limited.number) >= 2, 240, "two time limits", every=1.0)
    site.said(f"scontrol update JobId={limited.number} TimeLimit=10 || true")  # it may have ended
    site.wait(limited.number)
    restarts = site.restarts(limited.number)
    assert limited.said.count("ended by a signal") == restarts >= 2
    assert len(limited.epochs) == 420
    assert len(set(limited.epochs)) == restarts + 1


def test_a_job_survives_its_nodes_and_gets_others(site: Site) -> None:
    """It goes on without the one that fails; added ones are emptied before they go."""
    job = Job(site, "loses", 250, "--nodes", "3")
    job.wait_for("n3 start")
    site.hosts.power_off(NODES[2])
    spare = ("--join", "--nodes", "1", "--sbatch=--partition=spare")
    added = Job(site, "loses", 0, *spare)
    job.wait_for("n4 start")
    until(lambda: "down" in site.said("sinfo --noheader --format %T"), 90, "the end of n3")
    site.said(f"scancel --batch --signal=USR1 {added.number}")
    job.wait_for("n4 drain-node")
    site.wait(job.number)
    assert site.restarts(job.number) == 0
    assert len(job.epochs) == 250
    site.wait(added.number)
    assert site.restarts(added.number) == 1
    site.hosts.switch_on(NODES[2])
    site.join(NODES[2])
    until(lambda: site.states() == {"idle"}, 60, "four idle nodes")


@pytest.mark.skipif(not LONG, reason="long; RAYSWEEP_PREEMPTIONS is not set")
def test_a_time_limit_is_hit_twice(site: Site) -> None:
    """The running epochs end, and the job is queued again by itself."""
    words = ("--time", "1:00", "--grace", "1", "--set", "space.seconds=4")
    job = launch(site, "limit", *words)
    until(lambda: site.restarts(job) >= 2, 400, "two time limits", every=1.0)
    site.said(f"scontrol update JobId={job} TimeLimit=10")
    site.wait(job, 400)
    kinds = [event for event in scene.events(folder(site, "limit")) if event["event"] == "closed"]
    assert sum(event["reason"] == "SIGTERM" for event in kinds) >= 1
    holds(site, "limit")


@pytest.mark.skipif(not LONG, reason="long; RAYSWEEP_PREEMPTIONS is not set")
def test_a_node_fails_and_another_is_added(site: Site) -> None:
    """The job goes on with what is left of it, and a second job adds a node."""
    job = launch(site, "nodes", "--set", "space.seconds=1.5")
    run = folder(site, "nodes")
    until(lambda: NODES[2] in scene.nodes(run).values(), 120, "a trial on n3")
    site.hosts.power_off(NODES[2])
    adding = LINES.replace("\n    ", " ").splitlines()[4]
    (added,) = re.findall(r"submitted as (\d+);", typed(site, f"{adding} --name nodes"))
    site.wait(job)
    assert site.restarts(job) == 0
    assert SPARE in scene.nodes(run).values()
    assert any(event["event"] == "returned" for event in scene.events(run))
    holds(site, "nodes")
    site.wait(added)


def test_nothing_is_left_behind(site: Site) -> None:
    """No Ray runs on after its job, and no folder of one is left."""
    for name in (*NODES[:2], SPARE):

        def ended(name: str = name) -> bool:
            return "raylet" not in site.hosts.run(name, "ps ax").stdout

        until(ended, 60, f"the end of Ray on {name}")
        assert site.hosts.run(name, "ls -d /tmp/rs-*", check=False).stdout == ""
    site.hosts.down()
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    assert NETWORK.prefix not in listed.stdout
