"""Sweeps on a real Slurm with a real Ray, as a user submits them: `make cluster-test`.

The hosts are namespaces; Slurm, munge, Ray and what happens to them are real. Each disturbed sweep
is compared with an undisturbed one. RAYSWEEP_PREEMPTIONS=20 preempts a sweep that often, in place
of three times.
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

from raysweep.tune.executors.policy import MACHINE_LEAVES
from tests.cluster import scene
from tests.cluster.hosts import PROJECT, Hosts, missing
from tests.cluster.scene import outcome, reports, until
from tests.cluster.slurm_site import HOSTS, LOGIN, NETWORK, NODES, PROGRAMS, SPARE, Site, pause

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
RUN_HERE = "<!-- run by tests/cluster/slurm.py -->"
SETUP = "export PYTHONPATH=/shared/project"
"""The project is not installed on these hosts."""
FAST = (
    "export RAY_health_check_initial_delay_ms=1000 RAY_health_check_period_ms=1000 "
    "RAY_health_check_timeout_ms=2000 RAY_health_check_failure_threshold=3"
)
"""As cluster.yaml describes it: a lost node is noticed after 8 s."""
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
PACE = max(1.0, 0.15 * PREEMPTIONS)
"""Seconds of an epoch of the sweep that is preempted, so that it does not end before."""
URGENT = "sbatch --parsable --partition=urgent --nodes=1 --output=/dev/null --wrap 'sleep 1'"
WHY = missing(NETWORK, *PROGRAMS, make="slurm-tools")

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WHY), reason=WHY or "-")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A Slurm with three nodes and two others, and a sweep in a folder that they share."""
    shared = tmp_path_factory.mktemp("shared")
    hosts = Hosts(tmp_path_factory.mktemp("hosts"), [LOGIN, *HOSTS], shared, NETWORK)
    try:
        hosts.up()
        site = Site(hosts, shared)
        site.begin()
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
    size = ["--nodes", "3", "--cpus-per-node", "1", "--time", "10:00", "--setup", SETUP]
    said = site.raysweep("launch", "slurm", "sweep.yaml", "--name", name, *size, *words, "--submit")
    (job,) = re.findall(r"submitted as (\d+);", said)
    return str(job)


def holds(site: Site, name: str) -> None:
    """The table equals that of the undisturbed sweep, without a lost or a repeated epoch."""
    assert outcome(folder(site, name)) == outcome(folder(site, "sweep"))
    heard = reports(folder(site, name))
    assert len({(event["trial"], event["epoch"]) for event in heard}) == len(heard) == 72
    notes = [event.get("notes", {}) for event in scene.events(folder(site, name))]
    assert not any("failures" in one or "losses" in one for one in notes)


def disturb(site: Site, job: str, seconds: float) -> None:
    """Preempt a job, or queue it again by hand, in turn, at random moments of its sessions."""
    chance = random.Random(PREEMPTIONS)
    for number in range(1, PREEMPTIONS + 1):
        until(lambda: site.state(job) == "RUNNING", 300, "the job to run again", every=1.0)
        pause(chance.uniform(0.0, seconds), lambda: site.state(job) == "RUNNING")
        site.said(URGENT if number % 2 else f"scontrol requeue {job}")
        until(lambda: site.restarts(job) >= number, 120, f"requeue {number}", every=1.0)  # noqa: B023


def limits(site: Site) -> int:
    """How often the sweep with a limit of a minute ended its running epochs because of it."""
    events = scene.events(folder(site, "limit"))
    return sum(event["event"] == "closed" and event["reason"] == "SIGTERM" for event in events)


@pytest.fixture(scope="module")
def limited(site: Site) -> str:
    """A job on a node of its own, with a limit of a minute, which it meets while others are tested.

    Slurm looks every 30 s, and so sends its signal after 30 to 60 s.
    """
    words = ("--nodes", "1", "--sbatch=--partition=short", "--time", "1:00", "--grace", "1")
    return launch(site, "limit", *words, "--set", "space.seconds=1.6")


def typed(site: Site, line: str) -> str:
    """What a documented line prints, typed on the login host, as if raysweep were installed."""
    setup = f"slurm sweep.yaml --setup {shlex.quote(SETUP)}"
    shell = f"cd /shared/sweep && {SETUP} PATH={sys.prefix}/bin:$PATH && "
    return site.said(shell + line.replace("slurm sweep.yaml", setup))


def test_the_documented_lines_run_a_sweep_on_three_nodes(site: Site, limited: str) -> None:
    assert limited
    page = (PROJECT / "docs/how-to/slurm.md").read_text()
    blocks = re.findall(rf"^{RUN_HERE}\n```sh\n(.*?)^```$", page, re.S | re.M)
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


@pytest.mark.timeout(900 + 60 * PREEMPTIONS)
def test_preempted_and_queued_again_at_random_moments(site: Site) -> None:
    """By a job of a partition with a higher priority, and by hand, in turn."""
    job = launch(site, "storm", "--set", f"space.seconds={PACE}")
    disturb(site, job, 20.0)
    site.wait(job)
    assert site.restarts(job) == PREEMPTIONS
    holds(site, "storm")


def test_a_node_fails_and_another_is_added_and_emptied(site: Site) -> None:
    """The job goes on with what is left of it; a second job adds a node, and empties it."""
    job = launch(site, "nodes", "--set", "space.seconds=3", "--setup", FAST)
    run = folder(site, "nodes")
    until(lambda: NODES[2] in scene.nodes(run).values(), 300, "a trial on n3")
    site.hosts.power_off(NODES[2])
    adding = LINES.replace("\n    ", " ").splitlines()[4]
    (added,) = re.findall(r"submitted as (\d+);", typed(site, f"{adding} --name nodes"))
    until(lambda: SPARE in scene.nodes(run).values(), 300, "a trial on n4")
    site.said(f"scancel --batch --signal=USR1 {added}")
    until(lambda: site.restarts(added) >= 1, 300, "the end of n4", every=1.0)
    assert f"{SPARE} is emptied" in site.log(added)
    site.wait(job)
    assert site.restarts(job) == 0
    returned = [event["reason"] for event in scene.events(run) if event["event"] == "returned"]
    assert returned[0] != MACHINE_LEAVES
    assert MACHINE_LEAVES in returned
    holds(site, "nodes")
    site.wait(added)


def test_before_its_time_limit_a_job_ends_its_epochs_and_is_queued_again(
    site: Site, limited: str
) -> None:
    until(lambda: limits(site) >= 2, 400, "two time limits", every=1.0)
    site.said(f"scontrol update JobId={limited} TimeLimit=10 || true")  # it may have ended
    site.wait(limited)
    assert site.restarts(limited) >= 2
    holds(site, "limit")


def test_nothing_is_left_behind(site: Site) -> None:
    """No Ray runs on after its job, and no folder of one is left."""
    for name in sorted({*HOSTS} - {NODES[2]}):

        def ended(name: str = name) -> bool:
            return "raylet" not in site.hosts.run(name, "ps ax").stdout

        until(ended, 120, f"the end of Ray on {name}")
        assert site.hosts.run(name, "ls -d /tmp/rs-*", check=False).stdout == ""
    site.hosts.down()
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    assert NETWORK.prefix not in listed.stdout
