"""Rules for a RayJob of KubeRay: each mistake with its place in the file.

Kubernetes drops keys that it does not know, and says so only as a warning. The names are those of
KubeRay 1.5.1 to 1.7 and of Kubernetes; parts that sweeps do not need are not looked into.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from raysweep.errors import did_you_mean
from raysweep.tune.cluster.launch.kuberay import GPU, KUEUE
from raysweep.tune.executors.ray.cluster_resources import WORKERS

Path = tuple[str | int, ...]
Finding = tuple[Path, str]

KIND = "RayJob"
TOP = "apiVersion kind metadata spec status"
SPEC = (
    "activeDeadlineSeconds backoffLimit clusterSelector deletionStrategy entrypoint "
    "entrypointNumCpus entrypointNumGpus entrypointResources jobId managedBy metadata "
    "preRunningDeadlineSeconds rayClusterSpec runtimeEnvYAML shutdownAfterJobFinishes "
    "submissionMode submitterConfig submitterPodTemplate suspend ttlSecondsAfterFinished"
)
CLUSTER = (
    "authOptions autoscalerOptions enableInTreeAutoscaling gcsFaultToleranceOptions headGroupSpec "
    "headServiceAnnotations historyServerOptions managedBy networkPolicy rayVersion suspend "
    "tlsOptions upgradeStrategy workerGroupSpecs"
)
HEAD = (
    "enableIngress headService ingressOptions labels rayStartParams resources serviceType template"
)
WORKER = (
    "groupName idleTimeoutSeconds labels maxReplicas minReplicas numOfHosts priority "
    "rayStartParams replicas resources scaleStrategy suspend template"
)
POD = (
    "activeDeadlineSeconds affinity automountServiceAccountToken containers dnsConfig dnsPolicy "
    "enableServiceLinks ephemeralContainers hostAliases hostIPC hostNetwork hostPID hostUsers "
    "hostname hostnameOverride imagePullSecrets initContainers nodeName nodeSelector os overhead "
    "preemptionPolicy priority priorityClassName readinessGates resourceClaims resources "
    "restartPolicy runtimeClassName schedulerName schedulingGates schedulingGroup securityContext "
    "serviceAccount serviceAccountName setHostnameAsFQDN shareProcessNamespace subdomain "
    "terminationGracePeriodSeconds tolerations topologySpreadConstraints volumes workloadRef"
)
CONTAINER = (
    "args command env envFrom image imagePullPolicy lifecycle livenessProbe name ports "
    "readinessProbe resizePolicy resources restartPolicy restartPolicyRules securityContext "
    "startupProbe stdin stdinOnce terminationMessagePath terminationMessagePolicy tty "
    "volumeDevices volumeMounts workingDir"
)


@dataclass(frozen=True)
class RayJob:
    """A RayJob as Kubernetes reads it."""

    data: dict[str, Any]

    def at(self, *path: str | int) -> Any:
        """What is at a place; None if there is nothing."""
        found: Any = self.data
        for step in path:
            if isinstance(found, dict) and isinstance(step, str):
                found = found.get(step)
            elif isinstance(found, list) and isinstance(step, int) and step < len(found):
                found = found[step]
            else:
                return None
        return found

    @property
    def groups(self) -> list[Path]:
        """The places of the groups of workers."""
        found = self.at(*CLUSTER_PATH, "workerGroupSpecs")
        count = len(found) if isinstance(found, list) else 0
        return [(*CLUSTER_PATH, "workerGroupSpecs", index) for index in range(count)]

    @property
    def pods(self) -> list[Path]:
        """The places of the pods: the head's, and one for each group."""
        return [(*group, "template", "spec") for group in (HEAD_PATH, *self.groups)]

    @property
    def containers(self) -> list[Path]:
        """The places of the containers in which Ray runs, the head's first."""
        return [(*pod, "containers", 0) for pod in self.pods]


CLUSTER_PATH: Path = ("spec", "rayClusterSpec")
HEAD_PATH: Path = (*CLUSTER_PATH, "headGroupSpec")


def is_ray_job(data: Any) -> bool:
    return isinstance(data, dict) and data.get("kind") == KIND


def check_ray_job(data: dict[str, Any]) -> Iterator[Finding]:
    job = RayJob(data)
    for rule in RULES:
        yield from rule(job)


def names(job: RayJob) -> Iterator[Finding]:
    """Keys that Kubernetes would drop, and keys that it asks for."""
    yield from _known(job, (), TOP, ("metadata", "spec"))
    yield from _known(job, ("spec",), SPEC, ("entrypoint", "rayClusterSpec"))
    yield from _known(job, CLUSTER_PATH, CLUSTER, ("headGroupSpec",))
    yield from _known(job, HEAD_PATH, HEAD, ("template",))
    for group in job.groups:
        yield from _known(
            job, group, WORKER, ("groupName", "minReplicas", "maxReplicas", "template")
        )
    for pod in job.pods:
        yield from _known(job, pod, POD, ("containers",))
    for container in job.containers:
        yield from _known(job, container, CONTAINER, ("name", "image"))
    if job.at("apiVersion") != "ray.io/v1":
        yield ("apiVersion",), "expected apiVersion: ray.io/v1"


def _known(job: RayJob, path: Path, known: str, needed: Sequence[str]) -> Iterator[Finding]:
    found = job.at(*path)
    if found is None:
        return  # its absence is said where it is needed
    if not isinstance(found, dict):
        yield path, "expected keys and values"
        return
    for key in found:
        if key not in known.split():
            yield (*path, key), f"unknown key '{key}'{did_you_mean(key, known.split())}"
    for key in needed:
        if key not in found:
            yield path, f"{key} is missing"


def session(job: RayJob) -> Iterator[Finding]:
    where: Path = ("spec", "entrypoint")
    command = str(job.at(*where) or "")
    if "raysweep run" not in command:
        return
    if "--or-resume" not in command:
        yield where, "--or-resume is missing: a new cluster would not continue the run"
    if "--address" not in command:
        yield where, "--address auto is missing: the sweep would train on the head alone"
    if not job.at("spec", "backoffLimit"):
        yield ("spec",), "backoffLimit is missing: the loss of the head would end the sweep"
    if job.at("spec", "shutdownAfterJobFinishes") is not True:
        yield (
            ("spec", "shutdownAfterJobFinishes"),
            "expected shutdownAfterJobFinishes: true, or the pods stay after the sweep",
        )


def storage(job: RayJob) -> Iterator[Finding]:
    where: Path = ("spec", "entrypoint")
    found = re.search(r"--storage[= ](\S+)", str(job.at(*where) or ""))
    if found is None or "://" in found[1]:
        return
    for container in job.containers:
        mounts = job.at(*container, "volumeMounts") or []
        places = [str(mount.get("mountPath")) for mount in mounts if isinstance(mount, dict)]
        if not any(found[1] == place or found[1].startswith(f"{place}/") for place in places):
            yield (
                container,
                f"--storage {found[1]} is not on a volume of this pod: volumeMounts, or s3://...",
            )


def token(job: RayJob) -> Iterator[Finding]:
    mode = job.at(*CLUSTER_PATH, "authOptions", "mode")
    if mode != "token":
        where = (*CLUSTER_PATH, "authOptions") if mode else CLUSTER_PATH
        yield where, "expected authOptions: {mode: token}: every pod of Kubernetes could run code"
    for path in ((*HEAD_PATH, "serviceType"), (*HEAD_PATH, "headService", "spec", "type")):
        if job.at(*path) in ("NodePort", "LoadBalancer"):
            yield path, f"{job.at(*path)}: whoever reaches it runs code; kubectl port-forward"


def growth(job: RayJob) -> Iterator[Finding]:
    grows = job.at(*CLUSTER_PATH, "enableInTreeAutoscaling") is True
    if grows and job.at("metadata", "labels", KUEUE):
        yield (
            (*CLUSTER_PATH, "enableInTreeAutoscaling"),
            "Kueue admits a job of a fixed size: without it, and replicas as maxReplicas",
        )
    environment = job.at(*job.containers[0], "env") or []
    told = any(isinstance(one, dict) and one.get("name") == WORKERS for one in environment)
    if grows and not told:
        yield (
            job.containers[0],
            f"{WORKERS} is missing: the sweep starts no more trials than the first nodes hold, and "
            "the cluster would not grow",
        )
    for group in job.groups:
        least, most = job.at(*group, "minReplicas"), job.at(*group, "maxReplicas")
        if isinstance(least, int) and isinstance(most, int) and least > most:
            yield (*group, "minReplicas"), f"minReplicas {least} is more than maxReplicas {most}"


def amounts(job: RayJob) -> Iterator[Finding]:
    for container in job.containers:
        asked = job.at(*container, "resources", "requests", GPU)
        limit = job.at(*container, "resources", "limits", GPU)
        if asked is not None and asked != limit:
            yield (
                (*container, "resources", "requests", GPU),
                f"{GPU} must be the same in limits: Kubernetes refuses it",
            )


RULES: tuple[Callable[[RayJob], Iterator[Finding]], ...] = (
    names,
    session,
    storage,
    token,
    growth,
    amounts,
)
