"""Three machines set up from nothing, as a user does it: `make cluster-test`.

The hosts are namespaces; Ray, ssh, rsync and the kills are real.

The scenes run in the order in which they stand here, on one cluster that `ray up` started. Each
disturbed sweep is compared with an undisturbed one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess, Popen

import pytest

from raysweep.history import Event
from raysweep.results.storage import object_ledger
from raysweep.results.storage.ledger import decode
from raysweep.results.storage.object_store import ObjectStore
from tests.cluster import scene
from tests.cluster.hosts import BRIDGE, PREFIX, PROJECT, Hosts, missing
from tests.cluster.scene import (
    HEAD,
    LAPTOP,
    NODES,
    WORKERS,
    alive_nodes,
    outcome,
    put,
    reports,
    until,
)

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
  seconds: 0.5
  fetched: /root/fetched
"""
RUN = "cd ~/sweep && raysweep run --space steps.yaml --address auto --storage /shared/runs"
SWEEP_SECONDS = 240.0
NODES_SECONDS = 180.0

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing() or "-")]


@dataclass
class Cluster:
    """The hosts, what they share, and the calm sweep's outcome."""

    hosts: Hosts
    shared: Path
    calm: dict[str, tuple[object, ...]]

    def run(self, name: str) -> Path:
        return self.shared / "runs" / name

    def start(self, name: str, *more: str) -> Popen[bytes]:
        """Start the sweep on the head, and do not wait for it."""
        return self.hosts.start(
            HEAD, f"{RUN} --name {name} {' '.join(more)}", self.shared / f"{name}.log"
        )

    def wait(self, name: str, process: Popen[bytes]) -> None:
        """Wait for the end of a sweep, which must be a good one."""
        until(lambda: process.poll() is not None, SWEEP_SECONDS, f"the end of {name}")
        assert process.returncode == 0, (self.shared / f"{name}.log").read_text()[-4000:]

    def all_nodes(self) -> None:
        """Wait until Ray sees all three nodes."""
        until(
            lambda: alive_nodes(self.hosts) == {self.hosts.address(name) for name in NODES},
            NODES_SECONDS,
            "three nodes",
        )


def lines(text: str) -> list[str]:
    """The commands of the section `From one machine to three`."""
    block = re.search(r"From one machine to three.*?```[^\n]*\n(.*?)```", text, flags=re.DOTALL)
    assert block is not None
    return [line for line in block.group(1).splitlines() if line.strip()]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Hosts that are switched on, and a laptop with the project on it."""
    state = tmp_path_factory.mktemp("hosts")
    shared = tmp_path_factory.mktemp("shared")
    hosts = Hosts(state, [*NODES, LAPTOP], shared)
    try:
        hosts.up()
        scene.equip_laptop(hosts, shared)
        yield Cluster(hosts, shared, {})
    finally:
        hosts.down()


@pytest.fixture(autouse=True)
def _no_driver_is_left(cluster: Cluster) -> Iterator[None]:
    """A scene that failed leaves the machines to the next one."""
    yield
    if cluster.hosts.is_on(HEAD):
        cluster.hosts.run(HEAD, "pkill -KILL -f '[r]aysweep run'", check=False)


def on_laptop(cluster: Cluster, command: str, check: bool = True) -> CompletedProcess[str]:
    """Type a command of the documentation in the project's folder on the laptop.

    The addresses and the user are those of these hosts.
    """
    for old, name in scene.ADDRESSES.items():
        command = command.replace(old, cluster.hosts.address(name))
    return cluster.hosts.run(
        LAPTOP, f"cd raysweep && {command.replace('ubuntu@', 'root@')}", check=check, seconds=300
    )


def busy(run: Path) -> dict[str, str]:
    """The node of each trial that has reported twice in this attempt and has not ended."""
    found: dict[str, list[Event]] = {}
    for event in scene.events(run):
        name = event.get("trial", "")
        if event["event"] in ("started", "ended", "returned"):
            found[name] = []
        elif event["event"] == "reported":
            found[name].append(event)
    nodes = scene.nodes(run)
    return {nodes[name]: name for name, heard in found.items() if len(heard) >= 2}


def test_the_documented_lines_bring_up_three_nodes(cluster: Cluster) -> None:
    """The first seven of the ten lines; the others are run by the scenes below."""
    keys, copies, token, edit, check, up, status = lines(
        (PROJECT / "docs/tutorials/cluster.md").read_text()
    )[:7]
    for line in (keys, copies, token):
        on_laptop(cluster, line)
    assert edit.startswith("nano cluster.yaml")
    put(
        cluster.hosts,
        LAPTOP,
        "raysweep/cluster.yaml",
        scene.fill_in(cluster.hosts, (PROJECT / "cluster.yaml").read_text()),
    )
    on_laptop(cluster, check)
    on_laptop(cluster, up)
    cluster.all_nodes()
    assert (
        "Healthy" in on_laptop(cluster, status).stdout
        or "Active" in on_laptop(cluster, status).stdout
    )


def test_a_sweep_from_the_head_has_trials_on_every_host(cluster: Cluster) -> None:
    put(cluster.hosts, HEAD, "sweep/steps.yaml", SWEEP)
    put(
        cluster.hosts, HEAD, "sweep/steps.py", Path(__file__).with_name("trainables.py").read_text()
    )
    cluster.wait("calm", cluster.start("calm"))
    cluster.calm.update(outcome(cluster.run("calm")))
    assert len(cluster.calm) == 9
    assert set(scene.nodes(cluster.run("calm")).values()) == set(NODES)
    assert "Traceback" not in (cluster.shared / "calm.log").read_text()
    assert {cluster.hosts.run(name, "cat fetched").stdout for name in NODES} == {"fetched\n"}, (
        "not once per machine"
    )


def test_a_link_is_cut_and_healed(cluster: Cluster) -> None:
    """The trial of the cut host goes on elsewhere, and the host comes back by itself."""
    process = cluster.start("cut")
    until(lambda: WORKERS[0] in busy(cluster.run("cut")), SWEEP_SECONDS, "two epochs on w1")
    before, victim = reports(cluster.run("cut")), busy(cluster.run("cut"))[WORKERS[0]]
    cluster.hosts.cut(WORKERS[0])
    until(
        lambda: scene.attempts(cluster.run("cut"))[victim] > 1,
        SWEEP_SECONDS,
        f"{victim} to be taken up elsewhere",
    )
    cluster.hosts.heal(WORKERS[0])
    cluster.wait("cut", process)
    holds(cluster, "cut", before)
    cluster.all_nodes()


def holds(
    cluster: Cluster, name: str, before: list[Event], calm: str = "calm", blamed: bool = False
) -> None:
    """The whole table equals that of the undisturbed sweep, without a lost or a repeated epoch.

    `blamed`: a worker was lost, and not its machine.
    """
    assert outcome(cluster.run(name)) == outcome(cluster.run(calm))
    after = reports(cluster.run(name))
    assert after[: len(before)] == before
    assert len({(event["trial"], event["epoch"]) for event in after}) == len(after)
    notes = [event.get("notes", {}) for event in scene.events(cluster.run(name))]
    assert not any("failures" in one for one in notes)
    assert blamed == any("losses" in one for one in notes)


def test_a_machine_is_switched_off(cluster: Cluster) -> None:
    """Its trial goes on elsewhere, and the sweep ends as if nothing had been."""
    process = cluster.start("off")
    until(lambda: WORKERS[1] in busy(cluster.run("off")), SWEEP_SECONDS, "two epochs on w2")
    before = reports(cluster.run("off"))
    cluster.hosts.power_off(WORKERS[1])
    cluster.wait("off", process)
    assert lost(cluster.run("off"))
    holds(cluster, "off", before)


def test_a_machine_joins_late(cluster: Cluster) -> None:
    """A machine that joins late is used at once, though trials are shorter than a worker's start.

    It has an empty disk, and is prepared as `ray up` prepares a worker.
    """
    many = ("--set", "budget.trials=60")
    process = cluster.start("late", *many, "--set", "space.seconds=0.25")
    until(lambda: len(reports(cluster.run("late"))) >= 4, SWEEP_SECONDS, "four reports without w2")
    before = reports(cluster.run("late"))
    cluster.hosts.switch_on(WORKERS[1])
    scene.join_by_hand(cluster.hosts, WORKERS[1])
    cluster.wait("late", process)
    assert heard_on(cluster.run("late"), len(before)) == set(NODES)
    cluster.all_nodes()
    cluster.wait("twin", cluster.start("twin", *many, "--set", "space.seconds=0"))
    holds(cluster, "late", before, "twin")
    assert len(outcome(cluster.run("late"))) == 60


def lost(run: Path) -> bool:
    return any(event["event"] == "returned" for event in scene.events(run))


def heard_on(run: Path, since: int) -> set[str]:
    """The hosts of trials that reported after the first `since` reports."""
    heard = reports(run)[since:]
    nodes = scene.nodes(run)  # after the reports: a trial is on some node by then
    return {nodes[event["trial"]] for event in heard}


def test_driver_and_worker_are_killed_together_and_the_sweep_resumed(cluster: Cluster) -> None:
    """The machine that was switched off comes back after the sweep, for the scenes that follow."""
    process = cluster.start("both")
    until(lambda: WORKERS[0] in busy(cluster.run("both")), SWEEP_SECONDS, "two epochs on w1")
    killing = cluster.hosts.start(
        HEAD, "pkill -KILL -f '[r]aysweep run'", cluster.shared / "both.log"
    )
    cluster.hosts.power_off(WORKERS[0])
    assert killing.wait(30) == 0
    process.wait(30)
    before = reports(cluster.run("both"))
    assert "closed" not in {event["event"] for event in scene.events(cluster.run("both"))}
    cluster.wait(
        "both", cluster.hosts.start(HEAD, f"{RUN} --resume both", cluster.shared / "both.log")
    )
    holds(cluster, "both", before)
    cluster.hosts.switch_on(WORKERS[0])
    scene.join_by_hand(cluster.hosts, WORKERS[0])
    cluster.all_nodes()


def test_the_trial_of_a_silent_worker_is_taken_up_again(cluster: Cluster) -> None:
    """The worker is stopped, not ended: no error, no end. Only its signs of life are missing."""
    process = cluster.start("silent")
    until(lambda: WORKERS[0] in busy(cluster.run("silent")), SWEEP_SECONDS, "two epochs on w1")
    before, victim = reports(cluster.run("silent")), busy(cluster.run("silent"))[WORKERS[0]]
    said = [event.get("notes", {}) for event in before if event["trial"] == victim]
    worker = [notes["worker"] for notes in said if "worker" in notes][-1]
    cluster.hosts.run(WORKERS[0], f"kill -STOP {worker}")
    cluster.wait("silent", process)
    assert scene.attempts(cluster.run("silent"))[victim] == 2
    holds(cluster, "silent", before, blamed=True)


def test_the_same_sweep_with_nothing_shared_but_object_storage(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver is killed, and all that lay on the head is lost: the store has the run."""
    pytest.importorskip("moto")
    for name, value in scene.S3_ACCESS.items():
        monkeypatch.setenv(name, value)
    with scene.s3_server(cluster.shared / "s3.log") as url:
        command = f"{RUN.replace('/shared/runs', url)}"
        process = cluster.hosts.start(
            HEAD, f"{command} --name stored", cluster.shared / "stored.log"
        )
        bucket = ObjectStore(f"{url}/stored")
        until(lambda: len(stored_reports(bucket)) >= 20, SWEEP_SECONDS, "20 reports in the store")
        cluster.hosts.run(HEAD, "pkill -KILL -f '[r]aysweep run'; rm -rf /tmp/raysweep-*")
        process.wait(30)
        before = stored_reports(bucket)
        cluster.wait(
            "stored",
            cluster.hosts.start(HEAD, f"{command} --resume stored", cluster.shared / "stored.log"),
        )
        assert stored_reports(bucket)[: len(before)] == before
        assert outcome(f"{url}/stored") == cluster.calm
        assert {f"trials/{name}/last.pt" for name in cluster.calm} | {
            "trials.csv",
            "report.html",
        } <= set(bucket.sizes())
        assert (
            "9 trials completed"
            in cluster.hosts.run(WORKERS[0], f"raysweep ls {url}/stored").stdout
        )
        assert "stored" in cluster.hosts.run(WORKERS[0], f"raysweep ls {url}").stdout


def stored_reports(bucket: ObjectStore) -> list[Event]:
    lines = object_ledger.read(bucket).splitlines()
    return [
        event for i, line in enumerate(lines) if (event := decode(line, i))["event"] == "reported"
    ]


def test_a_sweep_is_submitted_followed_and_stopped(cluster: Cluster) -> None:
    """From the laptop, whose lid is closed in between."""
    hosts, at = cluster.hosts, "http://127.0.0.1:8265"
    scene.bring_dashboard(hosts)
    put(hosts, LAPTOP, "sweep/steps.yaml", SWEEP)
    put(hosts, LAPTOP, "sweep/steps.py", Path(__file__).with_name("trainables.py").read_text())
    submit = f"cd ~/sweep && raysweep run --space steps.yaml --storage /shared/runs --submit {at}"
    longer = "--set budget.trials=36"  # tables and page are written every 20 and 30 s
    following = hosts.start(LAPTOP, f"{submit} --name job {longer}", cluster.shared / "job.log")
    until(lambda: len(reports(cluster.run("job"))) >= 6, SWEEP_SECONDS, "six reports of the job")
    hosts.run(LAPTOP, "pkill -KILL -f '[-]-submit'")
    following.wait(30)
    (name,) = re.findall(r"sent as (\S+);", (cluster.shared / "job.log").read_text())
    assert f"{name}  running  raysweep run" in hosts.run(LAPTOP, "raysweep jobs").stdout

    def written() -> bool:
        """Whether there are a page, and a table of trials that have reported from some node."""
        run = cluster.run("job")
        table = run / "trials.csv"
        names = table.read_text() if table.exists() else ""
        return (run / "report.html").exists() and any(f",{node}," in names for node in NODES)

    until(written, SWEEP_SECONDS, "tables and page")
    fetch = "cd ~/raysweep && ray rsync-down cluster.yaml /shared/runs/job/ ~/fetched/"
    # While the sweep runs, a file may vanish between its being listed and its being sent.
    until(lambda: hosts.run(LAPTOP, fetch, check=False).returncode == 0, SWEEP_SECONDS, "a copy")
    assert f"{name}  running" in hosts.run(LAPTOP, "raysweep jobs").stdout
    table = hosts.run(LAPTOP, "cat ~/fetched/trials.csv; ls ~/fetched/report.html").stdout
    assert any(f",{node}," in table for node in NODES)
    again = hosts.run(LAPTOP, f"raysweep jobs {name}", seconds=SWEEP_SECONDS)
    assert "random-0 proposed" in again.stdout
    found = outcome(cluster.run("job"))
    assert {name: found[name] for name in cluster.calm} == cluster.calm
    assert len(found) == 36


def test_a_job_is_stopped_and_exit_codes_come_through(cluster: Cluster) -> None:
    hosts, at = cluster.hosts, "http://127.0.0.1:8265"
    submit = f"cd ~/sweep && raysweep run --space steps.yaml --storage /shared/runs --submit {at}"
    scene.bring_dashboard(hosts)
    put(hosts, LAPTOP, "sweep/steps.yaml", SWEEP)
    put(hosts, LAPTOP, "sweep/steps.py", Path(__file__).with_name("trainables.py").read_text())
    wrong = hosts.run(LAPTOP, f"{submit} --name calm", check=False, seconds=SWEEP_SECONDS)
    assert wrong.returncode == 2
    assert "exists already" in wrong.stdout
    following = hosts.start(LAPTOP, f"{submit} --name stop", cluster.shared / "stop.log")
    until(lambda: len(reports(cluster.run("stop"))) >= 3, SWEEP_SECONDS, "three reports of the job")
    (name,) = re.findall(r"sent as (\S+);", (cluster.shared / "stop.log").read_text())
    assert (
        "stopped" in hosts.run(LAPTOP, f"raysweep jobs {name} --stop", seconds=SWEEP_SECONDS).stdout
    )
    assert following.wait(60) == 4
    assert scene.events(cluster.run("stop"))[-1]["event"] == "closed"
    cluster.wait("stop", hosts.start(HEAD, f"{RUN} --resume stop", cluster.shared / "stop.log"))
    assert outcome(cluster.run("stop")) == cluster.calm


def test_a_wrong_and_a_missing_token_are_refused(cluster: Cluster) -> None:
    address = f"--address {cluster.hosts.address(HEAD)}:6379"
    run = (
        "cd ~/raysweep && raysweep run --space mlp.yaml --storage /shared/runs --name refused "
        f"{address}"
    )
    wrong = cluster.hosts.run(WORKERS[0], f"export RAY_AUTH_TOKEN={'0' * 64}; {run}", check=False)
    assert wrong.returncode == 2
    assert (
        wrong.stderr.strip()
        .splitlines()[-1]
        .endswith("refuses the token: copy ~/.ray/auth_token from its head")
    )
    none = cluster.hosts.run(
        WORKERS[0], f"unset RAY_AUTH_MODE; export RAY_AUTH_TOKEN_PATH=/nowhere; {run}", check=False
    )
    assert none.returncode == 2
    assert (
        none.stderr.strip()
        .splitlines()[-1]
        .endswith("there is none here: copy ~/.ray/auth_token from its head")
    )
    assert not cluster.run("refused").exists()


def test_storage_that_only_the_head_sees_is_refused_before_the_start(cluster: Cluster) -> None:
    done = cluster.hosts.run(
        HEAD, f"{RUN.replace('/shared/runs', '/root/runs')} --name private", check=False
    )
    assert done.returncode == 2
    assert "cannot read and write /root/runs/private" in done.stderr
    assert "proposed" not in done.stdout
    assert cluster.hosts.run(HEAD, "ls /root/runs").stdout == ""


def test_data_that_cannot_be_fetched_are_refused_before_the_start(cluster: Cluster) -> None:
    """No host has a way to where MNIST lies."""
    run = (
        "cd ~/raysweep && raysweep run --space mlp.yaml --address auto --storage /shared/runs "
        "--name dataless --set space.data=mnist"
    )
    done = cluster.hosts.run(HEAD, run, check=False)
    assert done.returncode == 2
    assert "MNIST is not under /shared/data and cannot be downloaded" in done.stderr
    assert "proposed" not in done.stdout


def test_a_client_address_is_refused(cluster: Cluster) -> None:
    done = cluster.hosts.run(
        HEAD, f"{RUN.replace('auto', 'ray://127.0.0.1:10001')} --name client", check=False
    )
    assert done.returncode == 2
    assert "a sweep's session must run inside the cluster" in done.stderr


def test_the_last_documented_lines_run_fetch_and_stop(cluster: Cluster) -> None:
    sweep, fetch, down = lines((PROJECT / "docs/tutorials/cluster.md").read_text())[7:]
    on_laptop(
        cluster,
        sweep.replace("--name first", "--name first --set budget.trials=2 --set budget.epochs=1"),
    )
    on_laptop(cluster, fetch)
    assert "best/model.pt" in cluster.hosts.run(LAPTOP, "cd raysweep/first && find .").stdout
    on_laptop(cluster, down)
    assert "raylet" not in cluster.hosts.run(HEAD, "ps ax").stdout


def test_nothing_is_left_behind(cluster: Cluster) -> None:
    """Ray on the workers ends by itself once the head is gone; then the hosts are switched off."""
    for name in WORKERS:

        def ended(name: str = name) -> bool:
            return "raylet" not in cluster.hosts.run(name, "ps ax").stdout

        until(ended, 240, f"the end of Ray on {name}")
    cluster.hosts.down()
    assert PREFIX not in scene.output("ip", "netns", "list")
    assert BRIDGE not in scene.output("ip", "link", "show")
    assert str(cluster.hosts.key.parent) not in Path("/proc/mounts").read_text()
