"""The file that `sky jobs launch` takes: a sweep on machines of a cloud, as a managed job.

SkyPilot starts all machines again if one of them is taken away, wherever there are some, and each
session resumes the run from a bucket. SkyPilot has a Ray of its own on each machine; this one has
another port and another folder, and is never stopped by `ray stop`, which would end both.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

from raysweep.tune.cluster.launch.launched import Launch, LaunchError

RETRIES = 3
"""Sessions that SkyPilot begins anew after a bug or a mistake, apart from lost machines."""
INTERRUPTED = 4
PORT = 6400
"""SkyPilot's own Ray listens on 6380."""
TEMPORARY = "/tmp/rs"
SETUP = "pip install --quiet --constraint constraints.txt --editable ."
RUN = f"""\
export RAY_AUTH_MODE=token
head=$(head --lines=1 <<< "$SKYPILOT_NODE_IPS")
gpus=${{SKYPILOT_NUM_GPUS_PER_NODE:-0}}
options=(--temp-dir={TEMPORARY} --num-gpus="$gpus" --disable-usage-stats)
if [ "$SKYPILOT_NODE_RANK" != 0 ]; then
    until (exec 3<> "/dev/tcp/$head/{PORT}") 2> /dev/null; do sleep 2; done
    ray start --address="$head:{PORT}" --block "${{options[@]}}" || true   # it ends with the head
    exit 0
fi
ray start --head --node-ip-address="$head" --port={PORT} --ray-client-server-port={PORT + 1} \\
    --include-dashboard=false "${{options[@]}}"
code=0
$SESSION --address "$head:{PORT}" --wait-for-nodes "$SKYPILOT_NUM_NODES" || code=$?
pkill -KILL -f {TEMPORARY}/
exit "$code"
"""


@dataclass(frozen=True)
class Machines:
    """What SkyPilot is asked for: `accelerators` such as A100:2, `infra` such as aws/us-east-1."""

    accelerators: str = ""
    infra: str = ""
    spot: bool = False


def sky_job(launch: Launch, machines: Machines) -> str:
    """The text of the file. Raises LaunchError for storage that not all machines see."""
    import yaml

    if "://" not in launch.storage:
        raise LaunchError(
            f"--storage {launch.storage}: machines of a cloud share no folder; --storage s3://... "
            "or gs://..."
        )
    head = (
        f"# The sweep {launch.name} on SkyPilot, as printed by:\n#   {launch.command}\n"
        "# Start it in the folder of the sweep, with a token of its own for Ray:\n"
        "#   RAY_AUTH_TOKEN=$(openssl rand -hex 32) sky jobs launch --secret RAY_AUTH_TOKEN FILE\n"
    )
    dumper = yaml.SafeDumper
    text = yaml.dump(_task(launch, machines), Dumper=_literal(dumper), sort_keys=False, width=1000)
    return f"{head}{text}"


def _literal(dumper: Any) -> Any:
    """A dumper that writes text of several lines as a block, as people do."""

    class Dumper(dumper):  # type: ignore[misc]
        pass

    def text(used: Any, value: str) -> Any:
        style = "|" if "\n" in value else None
        return used.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return Dumper


def _task(launch: Launch, machines: Machines) -> dict[str, Any]:
    recovery = {"max_restarts_on_errors": RETRIES, "recover_on_exit_codes": [INTERRUPTED]}
    resources: dict[str, Any] = {"cpus": f"{launch.nodes.cpus}+"}
    if launch.nodes.memory:
        resources["memory"] = f"{launch.nodes.memory.rstrip('GBi')}+"
    if machines.accelerators:
        resources["accelerators"] = machines.accelerators
    if machines.infra:
        resources["infra"] = machines.infra
    resources |= {"use_spot": machines.spot, "job_recovery": recovery}
    task: dict[str, Any] = {"name": launch.name, "num_nodes": launch.nodes.count, "workdir": "."}
    if launch.data_root:
        task["envs"] = {"RAYSWEEP_DATA_ROOT": launch.data_root}
    return task | {
        "secrets": {"RAY_AUTH_TOKEN": None},
        "resources": resources,
        "setup": "\n".join([*launch.setup, SETUP, ""]),
        "run": RUN.replace("$SESSION", shlex.join(launch.run)),
    }
