"""The RayJob that KubeRay takes: a sweep on a Ray cluster of pods that grows as trials wait.

A RayJob is tried again with a new cluster when its session or its head is lost, and each session
resumes the run: the ledger lies on a volume or in a bucket, and outlives the cluster. With Kueue,
which admits a job with a fixed size, the cluster does not grow.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from raysweep.tune.cluster.launch.launched import Launch, LaunchError
from raysweep.tune.executors.ray.cluster_resources import WORKERS

CLAIMED = "/storage"
"""Where the volume of a claim is mounted."""
RETRIES = 10
"""New clusters that are tried after the first."""
IDLE_SECONDS = 120
GRACE_SECONDS = 120
"""Seconds that a pod gets to end after it was told: a spot machine gives about as much."""
MARGIN_SECONDS = 20
KUEUE = "kueue.x-k8s.io/queue-name"
GPU = "nvidia.com/gpu"
SPOT = (
    ("cloud.google.com/gke-spot", "true"),
    ("kubernetes.azure.com/scalesetpriority", "spot"),
    ("karpenter.sh/capacity-type", "spot"),
)
"""The taints of spot machines on GKE, on AKS and of Karpenter (EKS)."""
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


@dataclass(frozen=True)
class Pods:
    """What Kubernetes is asked for, besides the nodes.

    `claim`: a PersistentVolumeClaim that all pods can write (ReadWriteMany); "" for a bucket.
    `queue`: of Kueue. `secret`: the Secret with the token, in its key `auth_token`; KubeRay makes
    one by itself if it is "".
    """

    image: str
    namespace: str = ""
    claim: str = ""
    queue: str = ""
    secret: str = ""
    spot: bool = False


def ray_job(launch: Launch, pods: Pods) -> str:
    """The text of the file. Raises LaunchError for storage that not all pods see."""
    import yaml

    if not LABEL.fullmatch(launch.name):
        raise LaunchError(
            f"--name {launch.name}: for Kubernetes, expected at most 40 letters a-z, digits and '-'"
        )
    if "://" not in launch.storage and not pods.claim:
        raise LaunchError(
            f"--storage {launch.storage}: pods share no folder by themselves; --storage s3://..., "
            "gs://..., or --claim with the name of a PersistentVolumeClaim"
        )
    head = f"# The sweep {launch.name} on Kubernetes, as printed by:\n#   {launch.command}\n"
    content = yaml.safe_dump(_job(launch, pods), sort_keys=False, width=1000)
    return f"{head}{content}"


def _job(launch: Launch, pods: Pods) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": launch.name}
    if pods.namespace:
        metadata["namespace"] = pods.namespace
    if pods.queue:
        metadata["labels"] = {KUEUE: pods.queue}
    run = [*launch.run, "--address", "auto"]
    run[run.index("--storage") + 1] = _storage(launch, pods)
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": metadata,
        "spec": {
            "entrypoint": shlex.join(run),
            "backoffLimit": RETRIES,
            "submitterConfig": {"backoffLimit": 0},
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": IDLE_SECONDS,
            "rayClusterSpec": _cluster(launch, pods),
        },
    }


def _storage(launch: Launch, pods: Pods) -> str:
    return f"{CLAIMED}/runs" if pods.claim else launch.storage


def _cluster(launch: Launch, pods: Pods) -> dict[str, Any]:
    token = {"mode": "token"} | ({"secretName": pods.secret} if pods.secret else {})
    growing: dict[str, Any] = {"enableInTreeAutoscaling": True}
    growing["autoscalerOptions"] = {"version": "v2", "idleTimeoutSeconds": IDLE_SECONDS}
    return {
        "rayVersion": version("ray"),
        "authOptions": token,
        **(growing if not pods.queue else {}),
        "headGroupSpec": {
            # No trial trains on the head: its loss would cost the session.
            "rayStartParams": {"num-cpus": "0"},
            "template": {"spec": _pod(launch, pods, "ray-head")},
        },
        "workerGroupSpecs": [_workers(launch, pods)],
    }


def _workers(launch: Launch, pods: Pods) -> dict[str, Any]:
    count = launch.nodes.count
    return {
        "groupName": "workers",
        "replicas": count if pods.queue else 1,
        "minReplicas": count if pods.queue else 1,
        "maxReplicas": count,
        "rayStartParams": {},
        "template": {"spec": _pod(launch, pods, "ray-worker")},
    }


def _pod(launch: Launch, pods: Pods, name: str) -> dict[str, Any]:
    works = name == "ray-worker"
    container: dict[str, Any] = {"name": name, "image": pods.image}
    container["env"] = [
        {"name": key, "value": value} for key, value in _environment(launch, pods, works)
    ]
    container["resources"] = _amounts(launch) if works else _head_amounts()
    spec: dict[str, Any] = {"containers": [container]}
    if pods.claim:
        container["volumeMounts"] = [{"name": "storage", "mountPath": CLAIMED}]
        claim = {"claimName": pods.claim}
        spec["volumes"] = [{"name": "storage", "persistentVolumeClaim": claim}]
    if works:
        drain = ["raysweep", "drain-node", "--seconds", str(GRACE_SECONDS - MARGIN_SECONDS)]
        container["lifecycle"] = {"preStop": {"exec": {"command": drain}}}
        spec["terminationGracePeriodSeconds"] = GRACE_SECONDS
        if tolerations := list(_tolerations(launch, pods)):
            spec["tolerations"] = tolerations
    return spec


def _environment(launch: Launch, pods: Pods, works: bool) -> Iterator[tuple[str, str]]:
    nodes = launch.nodes
    each = {"CPU": nodes.cpus} | ({"GPU": nodes.gpus} if nodes.gpus else {})
    if not works and not pods.queue:  # the session is told which nodes the autoscaler may add
        yield WORKERS, json.dumps([{"count": nodes.count, "resources": each}])
    if launch.data_root or pods.claim:
        yield "RAYSWEEP_DATA_ROOT", launch.data_root or f"{CLAIMED}/data"


def _amounts(launch: Launch) -> dict[str, Any]:
    """Requests equal limits, so that no pod is evicted for what its neighbours take."""
    nodes = launch.nodes
    amounts: dict[str, Any] = {"cpu": nodes.cpus, "memory": nodes.memory or f"{4 * nodes.cpus}Gi"}
    if nodes.gpus:
        amounts[GPU] = nodes.gpus
    return {"requests": dict(amounts), "limits": dict(amounts)}


def _head_amounts() -> dict[str, Any]:
    amounts = {"cpu": 2, "memory": "8Gi"}
    return {"requests": dict(amounts), "limits": dict(amounts)}


def _tolerations(launch: Launch, pods: Pods) -> Iterator[dict[str, str]]:
    if launch.nodes.gpus:
        yield {"key": GPU, "operator": "Exists", "effect": "NoSchedule"}
    if pods.spot:
        for key, value in SPOT:
            yield {"key": key, "operator": "Equal", "value": value, "effect": "NoSchedule"}
