"""The commands of the pages about Kubernetes and SkyPilot: ours run, the others get what they need.

docker, kubectl and sky pretend. Which of their options there are, nobody here can say.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINES = r"""
docker build --tag raysweep .
printf 'FROM raysweep\nCOPY . /sweep\n' | docker build --tag me/sweep:1 --file - .
docker push me/sweep:1
raysweep launch kuberay sweep.yaml --image me/sweep:1 --nodes 8 --cpus-per-node 4
    --gpus-per-node 1 --spot --storage s3://bucket/runs > job.yaml
raysweep check-cluster job.yaml
kubectl create -f job.yaml
kubectl get rayjob sweep
raysweep status s3://bucket/runs/sweep

raysweep launch sky sweep.yaml --accelerators A100:2 --cpus-per-node 8 --nodes 4 --spot
    --storage s3://bucket/runs > job.yaml
raysweep check-cluster job.yaml
RAY_AUTH_TOKEN=$(openssl rand -hex 32) sky jobs launch --secret RAY_AUTH_TOKEN job.yaml
sky jobs queue
raysweep status s3://bucket/runs/sweep
"""
PAGES = ("kubernetes", "skypilot")
RUN_HERE = "<!-- run by tests/test_launch_docs.py -->"
SWEEP = """\
trainable: steps.py:steps
metric: {name: loss, goal: minimize}
budget: {trials: 2, epochs: 2}
resources: {gpu: 0.5}
space: {x: {float: [0.0, 1.0]}, seconds: 0}
"""


@pytest.mark.parametrize("page", PAGES)
def test_the_documented_lines_run(page: str, tmp_path: Path) -> None:
    text = (ROOT / f"docs/how-to/{page}.md").read_text()
    (block,) = re.findall(rf"^{RUN_HERE}\n```sh\n(.*?)^```$", text, re.S | re.M)
    lines = [line.partition("  #")[0].strip() for line in block.splitlines()]
    assert (
        lines == LINES.replace("\n    ", " ").strip().split("\n\n")[PAGES.index(page)].splitlines()
    )
    lines = [line.partition("   #")[0] for line in lines if "raysweep status" not in line]
    (tmp_path / "bin").mkdir()
    for name in ("docker", "kubectl", "sky", "openssl"):
        (tmp_path / "bin" / name).write_text("#!/bin/bash\nexit 0\n")
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    (tmp_path / "steps.py").write_text((ROOT / "tests/cluster/trainables.py").read_text())
    path = f"{tmp_path}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", "\n".join(lines)],
        cwd=tmp_path,
        env=os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "job.yaml: nothing wrong\n"


def test_the_image_has_the_whole_project() -> None:
    """`pip install` in the image needs everything that pyproject.toml names."""
    copied = set(re.findall(r"[\w.]+", " ".join(re.findall(r"^COPY (.*)$", _dockerfile(), re.M))))
    links = {path.name for path in (ROOT / "raysweep").iterdir() if path.is_symlink()}
    files = {"pyproject.toml", "constraints.txt", "README.md", "LICENSE", "run_sweep.py"}
    assert links | files | {"raysweep"} <= copied


def _dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text()
