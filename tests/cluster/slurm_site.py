"""A site with a real Slurm, on hosts made of namespaces.

A login host has the controller, and each node a slurmd, as Debian packages them. All of them share
/shared, on which the project, its sweeps and their runs lie. No host reaches the Internet.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.cluster.hosts import Hosts, Network
from tests.cluster.scene import put, until

NETWORK = Network("10.89.0", "rslbr0", "rsl-")
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch")
LOGIN, NODES, SPARE = "login", ("n1", "n2", "n3"), "n4"
"""`SPARE` is a node of another partition, whose jobs add it to a sweep."""
HOSTS = (*NODES, SPARE, "n5")
CONF = """\
ClusterName=raysweep
SlurmctldHost={login}
SlurmUser=root
AuthType=auth/munge
AuthInfo=cred_expire=5
StateSaveLocation=/var/lib/slurm-state
SlurmdSpoolDir=/var/spool/slurm-node
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=/shared/slurm/slurmctld.log
SlurmdLogFile=/shared/slurm/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=2,batch_sched_delay=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=15
MinJobAge=7200
SlurmdTimeout=30
ReturnToService=2
{nodes}
PartitionName=main Nodes=n[1-3] Default=YES PriorityTier=1
PartitionName=spare Nodes=n4 PriorityTier=1
PartitionName=short Nodes=n5 PriorityTier=1
PartitionName=urgent Nodes=n[1-3] PriorityTier=10
"""
"""Nodes have one CPU each, whatever this machine has. A requeued job may start after five seconds,
and not after two minutes. A node that does not answer is down after half a minute. A job that has
ended is remembered. Of the control groups only the plugin is named: none is used, whichever version
this machine has."""
JOB_SECONDS = 500.0


class Site:
    """A Slurm that runs, on `hosts`. `shared` is the folder that they see as /shared."""

    def __init__(self, hosts: Hosts, shared: Path) -> None:
        self.hosts = hosts
        self.shared = shared

    def begin(self) -> None:
        """Start munge and Slurm on every host, which are on, and wait for idle nodes."""
        for name in ("slurm", "sweep", "project"):
            (self.shared / name).mkdir()
        lines = "\n".join(
            f"NodeName={name} NodeAddr={self.hosts.address(name)} CPUs=1 State=UNKNOWN"
            for name in HOSTS
        )
        login = f"{LOGIN}({self.hosts.address(LOGIN)})"
        (self.shared / "slurm/slurm.conf").write_text(CONF.format(login=login, nodes=lines))
        (self.shared / "slurm/cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        self.join(LOGIN, "mkdir -p /var/lib/slurm-state && slurmctld")
        for name in HOSTS:
            self.join(name)
        until(lambda: self.states() == {"idle"}, 60, "five idle nodes")

    def join(self, name: str, daemon: str = "slurmd") -> None:
        """Start munge and a daemon of Slurm on a host that was switched on."""
        self.hosts.run(
            name,
            "mkdir -p /etc/slurm /var/spool/slurm-node && "
            "cp /shared/slurm/*.conf /etc/slurm/ && "
            "install -d -o munge -g munge /run/munge /var/log/munge /var/lib/munge && "
            f"runuser -u munge -- munged && {daemon}",
        )

    def states(self) -> set[str]:
        """The states of all nodes, each once."""
        return set(self.said("sinfo --noheader --Node --format %T").split())

    def said(self, line: str) -> str:
        """What a command prints on the login host."""
        return self.hosts.run(LOGIN, line).stdout.strip()

    def raysweep(self, *words: str) -> str:
        """What a command of raysweep prints, typed on the login host in the sweep's folder."""
        raysweep = f"{sys.prefix}/bin/raysweep"
        return self.said(
            "cd /shared/sweep && export PYTHONPATH=/shared/project && "
            f"{shlex.join([raysweep, *words])}"
        )

    def state(self, job: str) -> str:
        """The state of a job, such as RUNNING; "" once Slurm has forgotten it."""
        return self.said(f"squeue --noheader --states=all --jobs={job} --format=%T")

    def restarts(self, job: str) -> int:
        """How often a job was queued again."""
        shown = self.said(f"scontrol show job {job}")
        return int(shown.partition("Restarts=")[2].split()[0])

    def wait(self, job: str, seconds: float = JOB_SECONDS) -> None:
        """Wait until a job has completed. AssertionError, with its log, if it ends otherwise."""

        def ended() -> bool:
            state = self.state(job)
            bad = state in ("FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY")
            assert not bad, f"{state}\n{self.log(job)}"
            return state == "COMPLETED"

        try:
            until(ended, seconds, f"the end of job {job}", every=1.0)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log(job)}") from None

    def log(self, job: str) -> str:
        """The end of what a job printed."""
        logs = sorted((self.shared / "sweep").glob(f"*-{job}.log"))
        return "\n".join(path.read_text()[-4000:] for path in logs)

    def put_project(self, project: bytes) -> None:
        """Unpack a tar archive of the project where all hosts see it."""
        (self.shared / "project.tar").write_bytes(project)
        self.hosts.run(LOGIN, "tar xf /shared/project.tar -C /shared/project")

    def put_sweep(self, name: str, text: str) -> None:
        put(self.hosts, LOGIN, f"/shared/sweep/{name}", text)


def pause(seconds: float, still: Callable[[], bool]) -> None:
    """Wait so many seconds, or as long as `still` holds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and still():
        time.sleep(0.5)
