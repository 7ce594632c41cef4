"""`raysweep launch kuberay` and `sky`: what they print, held against the schemas of its readers."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError

from raysweep.tune.cli.app import main
from raysweep.tune.cluster import lint_rayjob, lint_sky
from raysweep.tune.cluster.lint import check
from raysweep.tune.executors.ray.cluster_resources import launched

SCHEMAS = Path(__file__).parent / "data/schemas"
CRD = os.environ.get("KUBERAY_CRD")
EARLIER = {"workloadRef"}
"""Keys of KubeRay 1.6 that 1.7 no longer has."""
LATER = {"evictionResponders"}
"""Keys of Kubernetes 1.37 that KubeRay 1.7 does not have, and so drops."""
SINCE = {
    ("spec", "backoffLimit"): {"type": "integer"},
    ("spec", "submitterConfig"): {
        "properties": {"backoffLimit": {"type": "integer"}},
        "additionalProperties": False,
    },
    ("spec", "rayClusterSpec", "authOptions"): {
        "properties": {
            "mode": {"enum": ["disabled", "token"]},
            "secretName": {"type": "string"},
            "enableK8sTokenAuth": {"type": "boolean"},
        },
        "additionalProperties": False,
    },
    ("spec", "rayClusterSpec", "autoscalerOptions", "version"): {"enum": ["v1", "v2"]},
}
"""What `launch kuberay` prints that is younger than the schema of a RayJob that is kept here.

Written from KubeRay's reference of its API, and held against its own definition where
KUBERAY_CRD names that.
"""
CLUSTER = ("spec", "rayClusterSpec")
HEAD = (*CLUSTER, "headGroupSpec")
SWEEP = """\
trainable: steps.py:steps
metric: {name: loss, goal: minimize}
budget: {trials: 9, epochs: 8}
resources: {cpu: 2, gpu: 0.5}
space: {x: {float: [0.0, 1.0]}, seconds: 0.5}
"""
BUCKET = ["--storage", "s3://bucket/runs"]
PODS = ["kuberay", "sweep.yaml", "--image", "me/sweep:1", "--nodes", "8", "--gpus-per-node", "2"]
GROWING = [*PODS, "--spot", *BUCKET]
QUEUED = [*PODS, "--claim", "runs", "--queue", "team", "--token-secret", "tok", "--namespace", "ml"]
SKY = ["sky", "sweep.yaml", "--nodes", "4", "--accelerators", "A100:2", "--spot", *BUCKET]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAYSWEEP_DATA_ROOT", raising=False)
    monkeypatch.delenv("RAYSWEEP_STORAGE", raising=False)
    Path("sweep.yaml").write_text(SWEEP)
    trainables = Path(__file__).parent / "cluster/trainables.py"
    Path("steps.py").write_text(trainables.read_text())


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*words: str) -> str:
        capsys.readouterr()
        assert main(["launch", *words]) == 0
        return capsys.readouterr().out

    return run


def problems(text: str) -> list[str]:
    Path("file.yaml").write_text(text)
    return [f"{found.line}: {found.message}" for found in check("file.yaml")]


def strict(schema: Any) -> Any:
    """A schema of Kubernetes that refuses the keys which Kubernetes would drop."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    made = {key: strict(part) for key, part in schema.items()}
    if schema.get("type") == "object" and "properties" in schema:
        made.setdefault("additionalProperties", False)
    return made


def pods(text: str) -> list[Any]:
    """The templates of the pods in a RayJob: the head's, and one for each group of workers."""
    cluster = yaml.safe_load(text)["spec"]["rayClusterSpec"]
    return [part["template"] for part in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]


def kubernetes() -> Any:
    """The schema of a pod's template."""
    return json.loads((SCHEMAS / "kubernetes-pod.json").read_text())


@pytest.mark.parametrize("words", [GROWING, QUEUED], ids=["growing", "queued"])
def test_pods_are_as_kubernetes_defines_them(printed: Callable[..., str], words: list[str]) -> None:
    found = pods(printed(*words))
    assert len(found) == 2
    for pod in found:
        Draft202012Validator(kubernetes()).validate(pod)


@pytest.mark.parametrize(
    ("words", "old", "new"),
    [
        (GROWING, "name: ray-head\n", "image-name: ray-head\n"),
        (GROWING, "effect: NoSchedule", "effects: NoSchedule"),
        (GROWING, "terminationGracePeriodSeconds: 120", "terminationGracePeriodSeconds: two"),
        (GROWING, "preStop:", "prestop:"),
        (GROWING, "cpu: 8", "cpu: [8]"),
        (GROWING, "          containers:\n", "          container:\n"),
        (QUEUED, "mountPath: /storage", "path: /storage"),
        (QUEUED, "claimName: runs", "name: runs"),
    ],
)
def test_what_kubernetes_does_not_define_is_refused(
    printed: Callable[..., str], words: list[str], old: str, new: str
) -> None:
    text = printed(*words)
    assert old in text
    found = pods(text.replace(old, new, 1))
    assert not all(Draft202012Validator(kubernetes()).is_valid(pod) for pod in found)


def test_the_linter_knows_the_keys_of_kubernetes() -> None:
    defined = kubernetes()["$defs"]
    pod, container = (defined[f"io.k8s.api.core.v1.{kind}"] for kind in ("PodSpec", "Container"))
    assert set(lint_rayjob.POD.split()) - EARLIER == set(pod["properties"]) - LATER
    assert set(lint_rayjob.CONTAINER.split()) == set(container["properties"])


@cache
def ray_job() -> Any:
    """The schema of a RayJob, version v1: KubeRay's, with Kubernetes' own for its pods.

    It is the file that KUBERAY_CRD names, as a release of KubeRay brings it, or else the one
    that is kept here, with the keys of SINCE.
    """
    if CRD is not None:
        content = yaml.safe_load(Path(CRD).read_text())
        (version,) = [one for one in content["spec"]["versions"] if one["name"] == "v1"]
        schema = strict(version["schema"]["openAPIV3Schema"])
        schema["properties"]["metadata"] = {"type": "object"}
        return schema
    schema = strict(json.loads((SCHEMAS / "kuberay-rayjob.json").read_text()))
    for (*path, key), definition in SINCE.items():
        inside(schema, *path)[key] = definition
    pod = kubernetes()
    for group in (inside(schema, *HEAD), inside(schema, *CLUSTER, "workerGroupSpecs")):
        group["template"] = {"$ref": pod["$ref"]}
    return schema | {"$defs": pod["$defs"]}


def inside(schema: Any, *path: str) -> Any:
    """The properties at a path through objects and lists of a schema."""
    for key in path:
        schema = schema["properties"][key]
        schema = schema.get("items", schema)
    return schema["properties"]


@pytest.mark.parametrize("words", [GROWING, QUEUED], ids=["growing", "queued"])
def test_a_ray_job_is_as_kuberay_defines_it(printed: Callable[..., str], words: list[str]) -> None:
    Draft202012Validator(ray_job()).validate(yaml.safe_load(printed(*words)))


def known() -> dict[str, Any]:
    """The keys that the linter knows, with the properties that the schema has there."""
    return {
        lint_rayjob.SPEC: inside(ray_job(), "spec"),
        lint_rayjob.CLUSTER: inside(ray_job(), *CLUSTER),
        lint_rayjob.HEAD: inside(ray_job(), *HEAD),
        lint_rayjob.WORKER: inside(ray_job(), *CLUSTER, "workerGroupSpecs"),
    }


def test_the_linter_knows_the_keys_of_kuberay() -> None:
    for names, properties in known().items():
        assert set(properties) <= set(names.split())


@pytest.mark.skipif(CRD is None, reason="KUBERAY_CRD does not name the definition of a RayJob")
def test_a_release_has_all_keys_of_the_linter_and_of_what_was_added() -> None:
    for *path, key in SINCE:
        assert key in inside(ray_job(), *path)
    for names, properties in known().items():
        assert set(names.split()) - EARLIER <= set(properties)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("backoffLimit: 10", "backoffLimit: ten"),
        ("mode: token", "mode: tokn"),
        ("replicas: 1", "replicas: one"),
        ("groupName: workers", "groupname: workers"),
        ("version: v2", "version: v3"),
        ("shutdownAfterJobFinishes", "shutdownAfterJobFinish"),
        ("name: ray-head\n", "image-name: ray-head\n"),
        ("effect: NoSchedule", "effects: NoSchedule"),
    ],
)
def test_what_kuberay_does_not_define_is_refused(
    printed: Callable[..., str], old: str, new: str
) -> None:
    text = printed(*GROWING)
    assert old in text
    with pytest.raises(ValidationError):
        Draft202012Validator(ray_job()).validate(yaml.safe_load(text.replace(old, new, 1)))


def check_task(text: str) -> None:
    """Raise ValidationError if a task is not as SkyPilot defines it."""
    schemas, task = json.loads((SCHEMAS / "skypilot.json").read_text()), yaml.safe_load(text)
    Draft202012Validator(schemas["task"]).validate(task)
    Draft202012Validator(schemas["resources"]).validate(task["resources"])


@pytest.mark.parametrize("more", [[], ["--infra", "aws/us-east-1", "--memory", "64G"]])
def test_a_managed_job_is_as_skypilot_defines_it(
    printed: Callable[..., str], more: list[str]
) -> None:
    check_task(printed(*SKY, *more))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("num_nodes: 4", "num_nodes: four"),
        ("num_nodes: 4", "num_node: 4"),
        ("use_spot: true", "use_spot: maybe"),
        ("accelerators: A100:2", "accelerators: 2"),
        ("    - 4\n", "    - 400\n"),
        ("RAY_AUTH_TOKEN: null", "RAY_AUTH_TOKEN: 7"),
        ("setup: |", "setup:\n- |"),
        ("  cpus: ", "  cpu: "),
    ],
)
def test_what_skypilot_does_not_define_is_refused(
    printed: Callable[..., str], old: str, new: str
) -> None:
    text = printed(*SKY)
    assert old in text
    with pytest.raises(ValidationError):
        check_task(text.replace(old, new, 1))


def test_the_linter_knows_the_keys_of_skypilot() -> None:
    schemas = json.loads((SCHEMAS / "skypilot.json").read_text())
    assert set(lint_sky.TOP.split()) == set(schemas["task"]["properties"])
    assert set(lint_sky.RESOURCES.split()) == set(schemas["resources"]["properties"])


@pytest.mark.parametrize("words", [GROWING, QUEUED, SKY], ids=["growing", "queued", "sky"])
def test_what_is_printed_has_no_problem(printed: Callable[..., str], words: list[str]) -> None:
    assert problems(printed(*words)) == []


def test_a_ray_job_asks_for_what_was_said(printed: Callable[..., str]) -> None:
    job = yaml.safe_load(printed(*GROWING))
    cluster = job["spec"]["rayClusterSpec"]
    (group,) = cluster["workerGroupSpecs"]
    pod = group["template"]["spec"]
    (container,) = pod["containers"]
    assert job["spec"]["entrypoint"] == (
        "raysweep run --space sweep.yaml --name sweep --storage s3://bucket/runs --or-resume "
        "--address auto"
    )
    assert (cluster["enableInTreeAutoscaling"], cluster["authOptions"]) == (True, {"mode": "token"})
    assert (group["minReplicas"], group["maxReplicas"]) == (1, 8)
    assert container["resources"]["limits"] == {"cpu": 8, "memory": "32Gi", "nvidia.com/gpu": 2}
    assert {one["key"] for one in pod["tolerations"]} >= {"nvidia.com/gpu"}
    (told,) = cluster["headGroupSpec"]["template"]["spec"]["containers"][0]["env"]
    assert (
        launched(told["value"], [{"CPU": 0.0}, {"CPU": 8.0, "GPU": 2.0}])
        == [{"CPU": 8, "GPU": 2}] * 7
    )


def test_a_queued_ray_job_has_a_fixed_size_and_a_volume(printed: Callable[..., str]) -> None:
    job = yaml.safe_load(printed(*QUEUED))
    cluster = job["spec"]["rayClusterSpec"]
    (group,) = cluster["workerGroupSpecs"]
    assert job["metadata"]["labels"] == {"kueue.x-k8s.io/queue-name": "team"}
    assert "enableInTreeAutoscaling" not in cluster
    assert (group["replicas"], group["minReplicas"], group["maxReplicas"]) == (8, 8, 8)
    assert cluster["authOptions"] == {"mode": "token", "secretName": "tok"}
    for part in (cluster["headGroupSpec"], group):
        pod = part["template"]["spec"]
        assert pod["volumes"][0]["persistentVolumeClaim"] == {"claimName": "runs"}
        assert pod["containers"][0]["volumeMounts"][0]["mountPath"] == "/storage"
    assert "--storage /storage/runs" in job["spec"]["entrypoint"]


def test_the_script_of_a_managed_job_is_one(printed: Callable[..., str]) -> None:
    task = yaml.safe_load(printed(*SKY, "--setup", "sudo apt-get install -y gcc"))
    for key in ("setup", "run"):
        subprocess.run(["bash", "-n"], input=task[key], text=True, check=True)
    assert task["setup"].startswith("sudo apt-get install -y gcc\npip install")
    assert task["resources"]["cpus"] == "8+"
    assert task["secrets"] == {"RAY_AUTH_TOKEN": None}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*PODS], "pods share no folder by themselves"),
        ([*PODS, *BUCKET, "--name", "My_Sweep"], "at most 40 letters a-z"),
        ([*PODS[:2], "--gpus-per-node", "1", *BUCKET], "--image is missing"),
        ([*SKY[:-2]], "machines of a cloud share no folder"),
        ([*SKY, "--accelerators", "A100:many"], "expected a name and a number"),
    ],
)
def test_what_cannot_work_is_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["launch", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


MISTAKES = [
    (GROWING, "apiVersion: ray.io/v1\n", "apiVersion: ray.io/v1alpha1\n", "apiVersion: ray.io/v1"),
    (GROWING, "backoffLimit: 10", "backofLimit: 10", "unknown key 'backofLimit'; did you mean"),
    (GROWING, "  backoffLimit: 10\n", "", "the loss of the head would end the sweep"),
    (GROWING, "rayStartParams: {}", "rayStartParam: {}", "unknown key 'rayStartParam'"),
    (GROWING, "    - groupName: workers\n      replicas: 1", "    - replicas: 1", "groupName is"),
    (GROWING, "image: me/sweep:1", "imag: me/sweep:1", "unknown key 'imag'; did you mean 'image'"),
    (GROWING, " --or-resume", "", "a new cluster would not continue the run"),
    (GROWING, " --address auto", "", "would train on the head alone"),
    (GROWING, "mode: token", "mode: disabled", "every pod of Kubernetes could run code"),
    (GROWING, "After JobFinishes".replace(" ", ""), "AfterJob", "or the pods stay"),
    (GROWING, "s3://bucket/runs --or", "/storage/runs --or", "not on a volume of this pod"),
    (GROWING, "RAYSWEEP_WORKER_NODES", "OTHER", "the cluster would not grow"),
    (GROWING, "minReplicas: 1", "minReplicas: 9", "minReplicas 9 is more than maxReplicas 8"),
    (
        GROWING,
        "nvidia.com/gpu: 2\n              limits",
        "nvidia.com/gpu: 1\n              limits",
        "same in limits",
    ),
    (GROWING, "metadata:\n", "metadata:\n  labels: {kueue.x-k8s.io/queue-name: a}\n", "fixed size"),
    (GROWING, "headGroupSpec:\n", "headGroupSpec:\n      serviceType: NodePort\n", "port-forward"),
    (SKY, "num_nodes: 4", "num_node: 4", "unknown key 'num_node'; did you mean 'num_nodes'?"),
    (SKY, "  use_spot: true", "  spot: true", "unknown key 'spot'"),
    (SKY, " --or-resume", "", "after a lost machine the run would not continue"),
    (SKY, "    - 4\n", "    - 3\n", "a session that was interrupted would not be continued"),
    (SKY, "s3://bucket/runs --or", "/runs --or", "machines of a cloud share no folder"),
    (SKY, "pkill -KILL -f /tmp/rs/", "ray stop", "would end SkyPilot's own Ray"),
    (SKY, "--port=6400", "--port=6380", "port 6380 is that of SkyPilot's own Ray"),
    (SKY, "RAY_AUTH_MODE=token", "A=b", "RAY_AUTH_MODE=token is not set"),
    (SKY, "RAY_AUTH_TOKEN: null", "RAY_AUTH_TOKEN: abc", "a token in a file"),
    (SKY, "RAY_AUTH_TOKEN: null", "OTHER: null", "the machines need one token"),
    (SKY, "exit 0\n  fi", "exit 0", "run: line"),
]


@pytest.mark.parametrize(("words", "old", "new", "message"), MISTAKES)
def test_each_mistake_is_found(
    printed: Callable[..., str], words: list[str], old: str, new: str, message: str
) -> None:
    text = printed(*words)
    assert old in text
    found = [one for one in problems(text.replace(old, new, 1)) if message in one]
    assert found, problems(text.replace(old, new, 1))
    (line, _, _) = found[0].partition(":")
    assert 1 <= int(line) <= len(text.splitlines())


def test_a_mistake_is_named_with_its_line(printed: Callable[..., str]) -> None:
    text = printed(*GROWING).replace("mode: token", "mode: disabled")
    (found,) = problems(text)
    assert found.startswith(f"{text.splitlines().index('    authOptions:') + 1}: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "apiVersion: ray.io/v1\nkind: RayJbo\n",
            "2: kind RayJbo of Kubernetes: expected kind: RayJob, which alone is known here; "
            "did you mean 'RayJob'?",
        ),
        ("apiVersion: ray.io/v1\nspec: {}\n", "1: a file of Kubernetes without a kind: expected"),
        ("trainable: a.py:train\nresources: {cpu: 1}\n", "1: this is the file of a sweep: "),
        ("hosts: [a, b]\n", "1: neither cluster_name nor provider (ray up), nor kind"),
        ("cluster_name: sweeps\n", "1: provider is missing"),
    ],
)
def test_a_file_of_another_kind_is_said_to_be_one(text: str, said: str) -> None:
    (found,) = problems(text)
    assert found.startswith(said)


@pytest.mark.parametrize(
    ("words", "program", "called"),
    [
        (GROWING, "kubectl", "create --output=name --filename "),
        (SKY, "sky", "jobs launch --yes --detach-run --secret RAY_AUTH_TOKEN "),
    ],
)
def test_submitting_hands_the_file_over(
    printed: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: list[str],
    program: str,
    called: str,
) -> None:
    """The token is in no argument, which every user of the machine could read."""
    path = tmp_path / "bin" / program
    path.parent.mkdir()
    path.write_text('#!/bin/bash\nprintf "%s\\n" "$*" "$RAY_AUTH_TOKEN" >> "$LOG"\necho it\n')
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    assert "to follow it: raysweep status s3://bucket/runs/sweep" in printed(*words, "--submit")
    said, token = (tmp_path / "log").read_text().splitlines()
    assert said == f"{called}{tmp_path}/.raysweep/sweep/job.yaml"
    assert re.fullmatch("[0-9a-f]{64}" if program == "sky" else "", token)
