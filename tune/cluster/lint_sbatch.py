"""Rules for the file that sbatch takes: each mistake with the line where it can be mended.

Slurm reads only the options, before it queues the job, and says nothing of the rest. The rules read
the script as text: they know the mistakes that were met in practice.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from raysweep.errors import did_you_mean

Finding = tuple[int, str]
"""The number of a line, from 1, and what is wrong there."""
OPTION = re.compile(r"#SBATCH\s+(?:--([\w-]+)(?:[= ]\s*(\S+))?|-(\w)\s*=?(\S+)?)")
SHORT_TEXT = (
    "a=array A=account c=cpus-per-task C=constraint d=dependency D=chdir e=error G=gpus H=hold "
    "J=job-name k=no-kill m=distribution n=ntasks N=nodes o=output p=partition q=qos Q=quiet "
    "s=oversubscribe t=time v=verbose w=nodelist x=exclude"
)
LONG_TEXT = (
    "account array begin chdir clusters comment constraint container contiguous core-spec "
    "cores-per-socket cpu-freq cpus-per-gpu cpus-per-task deadline delay-boot dependency "
    "distribution error exclude exclusive export export-file extra-node-info get-user-env gid "
    "gpu-bind gpu-freq gpus gpus-per-node gpus-per-socket gpus-per-task gres gres-flags hint "
    "hold ignore-pbs input job-name kill-on-invalid-dep licenses mail-type mail-user mcs-label "
    "mem mem-bind mem-per-cpu mem-per-gpu mincpus network nice no-kill no-requeue nodefile "
    "nodelist nodes ntasks ntasks-per-core ntasks-per-gpu ntasks-per-node ntasks-per-socket "
    "open-mode output overcommit oversubscribe parsable partition power prefer priority profile "
    "propagate qos quiet reboot requeue reservation signal sockets-per-node spread-job switches "
    "test-only thread-spec threads-per-core time time-min tmp tres-per-task uid use-min-nodes "
    "verbose wait wait-all-nodes wckey wrap"
)
SHORT = dict(pair.split("=") for pair in SHORT_TEXT.split())
LONG = LONG_TEXT.split()
"""The options of sbatch (its manual, of 22.05 to 24.05)."""
TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d\d))?(?::(\d\d))?")
COUNT, DEVICES, MEMORY = r"[1-9]\d*", r"([\w.-]+:)*\d+(,([\w.-]+:)*\d+)*", r"\d+[KMGT]?B?"
NUMBERS = {
    "nodes": (r"[1-9]\d*[km]?(-[1-9]\d*[km]?)?|[1-9][\d,:-]*", "a number of nodes, such as 4"),
    **dict.fromkeys(("ntasks", "cpus-per-task", "cpus-per-gpu"), (COUNT, "a whole number")),
    **dict.fromkeys(("gpus", "gpus-per-node"), (DEVICES, "how many, such as 2 or a100:2")),
    **dict.fromkeys(("mem", "mem-per-cpu", "mem-per-gpu"), (MEMORY, "memory, such as 64G")),
    "array": (r"\d[\d,:-]*(%\d+)?", "the numbers of its tasks, such as 0-9"),
}
"""How Slurm writes the values of options, and what is expected."""
PRIVATE = ("/tmp", "/var/tmp", "/dev/shm", "/run")


@dataclass(frozen=True)
class Option:
    line: int
    value: str


@dataclass(frozen=True)
class BatchFile:
    """A script for sbatch: its options by their long names, and its lines."""

    lines: list[str]
    options: dict[str, Option]

    @classmethod
    def of(cls, text: str) -> BatchFile:
        lines = text.splitlines()
        options = {}
        for number, line in enumerate(lines[: first_command(lines)], 1):
            if found := OPTION.match(line):
                name = found[1] or SHORT.get(found[3], found[3])
                options[name] = Option(number, found[2] or found[4] or "")
        return cls(lines, options)

    def find(self, pattern: str) -> tuple[int, re.Match[str]] | None:
        """The first line that is no comment and in which a pattern occurs."""
        for number, line in enumerate(self.lines, 1):
            if not line.lstrip().startswith("#") and (found := re.search(pattern, line)):
                return number, found
        return None

    def line_of(self, name: str) -> int:
        """The line of an option; of one that is missing, the first option's."""
        first = min((option.line for option in self.options.values()), default=1)
        return self.options[name].line if name in self.options else first

    @property
    def has_session(self) -> bool:
        """True if the job runs a sweep, and does not only add nodes to one."""
        return self.find(r"raysweep (run|resume)\b") is not None


def is_batch_file(text: str) -> bool:
    return text.startswith("#!") and re.search(r"^#SBATCH\b", text, re.M) is not None


def check_batch_file(text: str) -> list[Finding]:
    """The mistakes of a file for sbatch, by line."""
    file = BatchFile.of(text)
    return sorted({finding for rule in RULES for finding in rule(file)})


def first_command(lines: list[str]) -> int:
    """The index of the first line that is neither empty nor a comment: Slurm reads no further."""
    for index, line in enumerate(lines):
        if line.strip() and not line.startswith("#"):
            return index
    return len(lines)


def syntax(file: BatchFile) -> Iterator[Finding]:
    bash = shutil.which("bash")
    if bash is None:
        return
    text = "\n".join([*file.lines, ""])
    done = subprocess.run([bash, "-n"], input=text, text=True, capture_output=True, check=False)
    for said in done.stderr.splitlines()[:1]:
        if found := re.search(r"line (\d+): (.*)", said):
            yield min(int(found[1]), len(file.lines)), f"bash: {found[2]}"


def options(file: BatchFile) -> Iterator[Finding]:
    for name, option in file.options.items():
        if name not in LONG:
            yield option.line, f"sbatch has no option --{name}{did_you_mean(name, LONG)}"
    for number, line in enumerate(file.lines[first_command(file.lines) :]):
        if OPTION.match(line):
            where = first_command(file.lines) + number + 1
            yield where, "Slurm reads no options below the first command: move the line up"


def values(file: BatchFile) -> Iterator[Finding]:
    for name, (pattern, expected) in NUMBERS.items():
        option = file.options.get(name)
        if option and not re.fullmatch(pattern, option.value, re.IGNORECASE):
            yield option.line, f"--{name}={option.value}: expected {expected}"


def time(file: BatchFile) -> Iterator[Finding]:
    option = file.options.get("time")
    if option is None:
        yield file.line_of("time"), "--time is missing: the partition's own limit would be unknown"
    elif seconds_of(option.value) is None:
        yield option.line, f"--time={option.value}: expected a time limit such as 4:00:00"


def signal(file: BatchFile) -> Iterator[Finding]:
    option, limit = file.options.get("signal"), file.options.get("time")
    if not file.has_session:
        return
    if option is None:
        yield (
            file.line_of("signal"),
            "--signal=B:USR1@300 is missing: the time limit would cut the running epochs off",
        )
        return
    found = re.fullmatch(r"(\w:)*(\w+)(?:@(\d+))?", option.value)
    if found is None or "B:" not in option.value:
        yield (
            option.line,
            f"--signal={option.value}: expected B:, for the signal to reach this file",
        )
        return
    if file.find(rf"^\s*trap\b.*\b{found[2]}\b") is None:
        yield option.line, f"nothing handles {found[2]}, and the job would end by it: trap ... USR1"
    limited = seconds_of(limit.value) if limit else None
    if limited and int(found[3] or 60) >= limited:
        yield option.line, f"--signal={option.value}: the signal would come at the start"


def requeue(file: BatchFile) -> Iterator[Finding]:
    asked = file.find(r"scontrol requeue")
    if "no-requeue" in file.options and file.find(r"^requeue=yes"):
        yield file.options["no-requeue"].line, "--no-requeue, but the script asks for a requeue"
    if asked and not {"requeue", "no-requeue"} & set(file.options):
        yield (
            file.line_of("requeue"),
            "--requeue is missing: after a preemption or the loss of the first node the job may "
            "not be queued again",
        )


def nodes(file: BatchFile) -> Iterator[Finding]:
    tasks = file.options.get("ntasks-per-node")
    if tasks and tasks.value != "1":
        yield tasks.line, f"--ntasks-per-node={tasks.value}: each node has one Ray, expected 1"
    if "no-kill" not in file.options:
        yield (
            file.line_of("no-kill"),
            "--no-kill is missing: the job would end with the first node that fails",
        )
    if "array" in file.options and file.has_session:
        yield (
            file.options["array"].line,
            "--array: each task would begin a session, and a run has one; raysweep launch slurm "
            "--join prints a file that adds nodes",
        )


def folders(file: BatchFile) -> Iterator[Finding]:
    for what in ("folder", "environment"):
        if found := file.find(rf"^{what}=['\"]?([^\s'\"]+)"):
            yield from _private(found[0], what, found[1][1])
    if found := file.find(r"--storage[= ]['\"]?([^\s'\")]+)"):
        yield from _private(found[0], "--storage", found[1][1])
    output = file.options.get("output")
    if output and output.value.startswith("/") and not Path(output.value).parent.is_dir():
        yield output.line, f"there is no folder {Path(output.value).parent}: Slurm makes none"


def _private(line: int, what: str, place: str) -> Iterator[Finding]:
    if any(place == root or place.startswith(f"{root}/") for root in PRIVATE):
        yield line, f"{what}: {place} is each node's own; expected a folder that all nodes see"


def token(file: BatchFile) -> Iterator[Finding]:
    started = file.find(r"\bray (start|symmetric-run)\b")
    if started and file.find(r"RAY_AUTH_MODE=token") is None:
        yield started[0], "RAY_AUTH_MODE=token is not set: any user of the node could run code"
    if started and "symmetric-run" in started[1][0]:
        yield (
            started[0],
            "ray symmetric-run passes no signal on, and its ray stop ends the user's other jobs on "
            "the node",
        )


def seconds_of(text: str) -> int | None:
    """A time limit of Slurm in seconds: minutes, minutes:seconds, hours:minutes:seconds, or with
    days before them; None if it is none of these."""
    found = TIME.fullmatch(text)
    if found is None:
        return None
    days, first, second, third = (int(part) if part else 0 for part in found.groups())
    if found[1]:
        return days * 86400 + first * 3600 + second * 60 + third
    if found[4]:
        return first * 3600 + second * 60 + third
    return first * 60 + second


RULES: tuple[Callable[[BatchFile], Iterator[Finding]], ...] = (
    syntax,
    options,
    values,
    time,
    signal,
    requeue,
    nodes,
    folders,
    token,
)
