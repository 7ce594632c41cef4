"""The file that sbatch takes: a sweep on the nodes of a Slurm job, which is queued again.

Ray is started by srun and `ray start`, one step for each node, and not by `ray symmetric-run`.
That refuses to start beside another Ray on the same node, stops with `ray stop` every Ray of the
user on it, waits for exactly so many nodes, and passes no signal on to the command that it runs
(Ray 2.60, `ray/scripts/symmetric_run.py`). Two jobs on one node, nodes that join or fail, and an
end before the time limit would be impossible with it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from raysweep.tune.cluster.launch.launched import Launch, LaunchError
from raysweep.tune.executors.ray.start_local import limits

GRACE_SECONDS = 300
"""Seconds before the time limit at which running epochs are let end, by default. Slurm may send
the signal up to 60 s earlier (sbatch, --signal)."""
LEAST_SECONDS = 600
"""A session that Ray ended is queued again only if it lasted so many seconds, so that a node on
which Ray cannot start is not tried for ever."""
START_SECONDS = 300.0
HEAD_SECONDS = 600
"""Seconds that added nodes wait for the sweep's job, which may itself wait in the queue."""
TIME = re.compile(r"(\d+-)?\d+(:\d\d){0,2}")


@dataclass(frozen=True)
class Job:
    """What Slurm is asked for, besides the nodes.

    `grace`: seconds before the time limit at which the running epochs are let end. `options`:
    further options of sbatch, one a word. `requeue`: the job is queued again before its time limit;
    without, it ends with exit code 4, for a chain of jobs. `joins`: the job only adds its nodes to
    the sweep of that name, which another job runs. `array`: as sbatch takes it.
    """

    time: str
    grace: int = GRACE_SECONDS
    options: Sequence[str] = ()
    requeue: bool = True
    joins: bool = False
    array: str = ""


def sbatch_file(launch: Launch, job: Job) -> str:
    """The text of the file. Raises LaunchError for a time that Slurm would not read as meant."""
    if not TIME.fullmatch(job.time):
        raise LaunchError(
            f"--time {job.time}: expected the time limit as Slurm takes it, such as 4:00:00 or "
            "2-00:00:00"
        )
    if job.array and not job.joins:
        raise LaunchError(
            "--array is for added nodes, with --join: the tasks of an array are jobs of their own, "
            "and a run directory has one session"
        )
    parts = [
        "#!/bin/bash",
        *_head_lines(launch, job),
        *_options(launch, job),
        "",
        *_places(launch, job),
        NODE,
        ADDED if job.joins else SESSION,
    ]
    return "\n".join(parts)


def _head_lines(launch: Launch, job: Job) -> list[str]:
    what = f"More nodes for the sweep {launch.name}" if job.joins else f"The sweep {launch.name}"
    return [f"# {what} on Slurm, as printed by:", f"#   {launch.command}", ""]


def _options(launch: Launch, job: Job) -> Iterator[str]:
    """The lines that sbatch reads."""
    nodes, name = launch.nodes, launch.name
    log = f"{name}-%A_%a.log" if job.array else f"{name}-%j.log"
    given = {
        "job-name": f"{name}-nodes" if job.joins else name,
        "nodes": str(nodes.count),
        "ntasks-per-node": "1",
        "cpus-per-task": str(nodes.cpus),
        "gpus-per-node": str(nodes.gpus or ""),
        "mem": nodes.memory,
        "time": job.time,
        "array": job.array,
        "output": f"{launch.folder}/{log}",
    }
    yield from (f"#SBATCH --{option}={value}" for option, value in given.items() if value)
    yield "# So many seconds before the time limit the running epochs end."
    yield f"#SBATCH --signal=B:USR1@{job.grace}"
    yield "# A node that fails costs its trials an epoch at most, and not the job."
    yield "#SBATCH --no-kill"
    yield "#SBATCH --requeue" if job.requeue else "#SBATCH --no-requeue"
    yield "#SBATCH --open-mode=append"
    for option in job.options:
        yield f"#SBATCH {option}"


def _places(launch: Launch, job: Job) -> Iterator[str]:
    """What the rest of the file reads: folders that every node sees, and the command."""
    quote = shlex.quote
    yield "set -uo pipefail"
    yield f"folder={quote(str(launch.folder))}   # where the train function is; every node sees it"
    yield f"environment={quote(str(launch.environment))}   # the same"
    yield f"state=$folder/.raysweep/{launch.name}   # the token, and where the head is"
    yield "leaving=$state/leaving-$SLURM_JOB_ID   # there once the nodes of this job are emptied"
    if job.joins:
        yield f"grace={job.grace}"
    if not job.joins:
        yield f"run=({shlex.join(launch.run)})"
        yield f"requeue={'yes' if job.requeue else 'no'}"
    if launch.data_root:
        yield f"export RAYSWEEP_DATA_ROOT={quote(launch.data_root)}"
    yield 'export PATH="$environment/bin:$PATH"'
    yield 'export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$state/token"'
    yield "export SLURM_EXPORT_ENV=ALL PYTHONUNBUFFERED=1 folder environment state leaving"
    yield "# Python may be slow to load from a shared file system: Ray gets more time to start."
    yield f"export {' '.join(f'{name}={value}' for name, value in limits(START_SECONDS).items())}"
    yield from launch.setup


NODE = r"""
# Runs on each node: a Ray with a folder and ports of its own, so that jobs can share a node.
node() {
    cd "$folder" || exit 2
    if [ ! -x "$environment/bin/raysweep" ]; then
        echo "$SLURMD_NODENAME does not see $environment/bin/raysweep" >&2
        exit 2
    fi
    ulimit -n 65536 2> /dev/null || ulimit -n "$(ulimit -Hn)"
    address=$(getent ahostsv4 "$SLURMD_NODENAME" | awk '$1 !~ /^127\./ {print $1; exit}')
    address=${address:-$(hostname -I | awk '{print $1}')}
    temporary=${RAYSWEEP_TMP:-/tmp}/rs-$SLURM_JOB_ID   # short, for Ray's sockets are below it
    remove "$temporary-"   # left by a session of this job that was killed
    temporary=$(mktemp -d "$temporary-XXXXXX")
    trap 'remove "$temporary"' EXIT
    trap 'exit 0' TERM
    read -r port client agent <<< "$(free_ports)"
    options=(
        --node-ip-address="$address" --temp-dir="$temporary/r"
        --dashboard-agent-listen-port="$agent"
        --num-cpus="$SLURM_CPUS_PER_TASK" --num-gpus="${SLURM_GPUS_ON_NODE:-0}"
        --object-store-memory=500000000 --disable-usage-stats --block
    )
    if [ "$1" = head ]; then
        echo "$address:$port" > "$state/head.new"
        mv "$state/head.new" "$state/head"
        for _ in 1 2 3; do   # a busy node may be too slow for Ray at first
            ray start --head --port="$port" --ray-client-server-port="$client" \
                --include-dashboard=false "${options[@]}" &
            wait "$!"
        done
        return
    fi
    answers || { echo "no head within five minutes" >&2; exit 4; }
    head=$(cat "$state/head")
    while [ "$(cat "$state/head" 2> /dev/null)" = "$head" ] && [ ! -e "$leaving" ]; do
        ray start --address="$head" "${options[@]}" &
        wait "$!"
        sleep 5   # the network was away for a moment, or the head is gone
    done
}

# Ends every Ray whose folder begins like this, and removes the folder. Nothing that it holds is
# needed any more: all that counts is in the ledger. A Ray that is just starting begins further
# processes, which would keep the step from ending for a minute: so it is done until none is left.
remove() {
    jobs -p | xargs --no-run-if-empty kill -KILL 2> /dev/null
    for _ in {1..100}; do   # a process that hangs on a disk does not end
        pkill -KILL -f "$1" || break
        sleep 0.1
    done
    rm -rf "$1"*
}

# Three ports of this machine that are free.
free_ports() {
    python -c '
import socket
bound = [socket.create_server(("", 0)) for _ in range(3)]
print(*(each.getsockname()[1] for each in bound))'
}

# True once Ray's head listens, within five minutes.
answers() {
    local host port
    for _ in {1..300}; do
        if [ -s "$state/head" ] && IFS=: read -r host port < "$state/head" &&
            (exec 3<> "/dev/tcp/$host/$port") 2> /dev/null; then return 0; fi
        sleep 1
    done
    return 1
}
export -f node remove free_ports answers

# Starts `node` on one node as a step of this job, and does not wait for it.
start() {
    srun --nodes=1 --ntasks=1 --nodelist="$1" --overlap --cpus-per-task="$SLURM_CPUS_PER_TASK" \
        --output="$state/$1.log" --open-mode=append bash -c "node $2" &
}"""

SESSION = rf"""
mkdir -p "$state" && chmod 700 "$state" && cd "$folder" || exit 2
[ -s "$state/token" ] ||
    (umask 077 && python -c 'import secrets; print(secrets.token_hex(32), end="")' > "$state/token")
rm -f "$state/head" "$state/ended"

ending=no driver=
end_epochs() {{
    ending=$1
    [ -z "$driver" ] || kill -TERM "$driver" 2> /dev/null
}}
trap 'end_epochs requeue' USR1   # the time limit is near
trap 'end_epochs quit' TERM      # preempted, in which case Slurm queues it again, or cancelled

mapfile -t names < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
start "$SLURMD_NODENAME" head
for name in "${{names[@]}}"; do
    [ "$name" = "$SLURMD_NODENAME" ] || start "$name" worker
done
answers || {{ echo "Ray did not start; see $state/$SLURMD_NODENAME.log" >&2; exit 4; }}

code=4
if [ "$ending" = no ]; then
    "${{run[@]}}" --address "$(cat "$state/head")" --wait-for-nodes "${{#names[@]}}" &
    driver=$!
    wait "$driver"
    while kill -0 "$driver" 2> /dev/null; do   # a signal ended `wait`, and not the session
        wait "$driver"
    done
    wait "$driver"   # its exit code: what ended the last `wait` may have been a signal, too
    code=$?
fi
rm -f "$state/head"   # added nodes end, or wait for the next session
case $code in 0 | 2 | 3) touch "$state/ended"; exit "$code" ;; esac
if [ "$ending" = no ] && [ "$SECONDS" -gt {LEAST_SECONDS} ]; then ending=requeue; fi   # Ray died
if [ "$requeue$ending" = yesrequeue ]; then scontrol requeue "$SLURM_JOB_ID" && sleep 60; fi
exit "$code"
"""

ADDED = rf"""
cd "$folder" || exit 2
ending=no
trap 'ending=requeue' USR1   # the time limit is near
trap 'ending=quit' TERM      # preempted, in which case Slurm queues it again, or cancelled

mapfile -t names < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
rm -f "$leaving"
waited=0
while [ "$ending" = no ] && [ ! -e "$state/ended" ] && [ "$waited" -lt {HEAD_SECONDS} ]; do
    if [ -s "$state/head" ]; then
        head=$(cat "$state/head") steps=() draining=() waited=0
        for name in "${{names[@]}}"; do
            start "$name" worker
            steps+=("$!")
        done
        while [ "$ending" = no ] && [ "$(cat "$state/head" 2> /dev/null)" = "$head" ]; do
            sleep 5 &
            wait "$!"
        done
        if [ "$ending" != no ]; then   # trials end their epochs and continue elsewhere
            touch "$leaving"
            for name in "${{names[@]}}"; do
                raysweep drain-node --address "$head" --node "$name" --seconds "$grace" &
                draining+=("$!")
            done
            wait "${{draining[@]}}"
        fi
        scancel --signal=TERM "$SLURM_JOB_ID"   # the steps, not this script; srun would kill them
        wait "${{steps[@]}}"
    fi
    sleep 5 &
    wait "$!"
    waited=$((waited + 5))
done
if [ "$ending" = requeue ]; then scontrol requeue "$SLURM_JOB_ID" && sleep 60; fi
exit 0
"""
