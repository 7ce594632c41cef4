"""The linter: each mistake that Ray's schema sees or misses, by the line where it can be mended."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from raysweep.tune.cluster.lint import Problem, check

LOCAL = """\
cluster_name: sweeps
provider:
  type: local
  head_ip: 10.0.0.1
  worker_ips:
    - 10.0.0.2
    - 10.0.0.3
auth:
  ssh_user: me
  ssh_private_key: key
file_mounts:
  ~/.ray/auth_token: token
  ~/code: code
setup_commands:
  - chmod 600 ~/.ray/auth_token
  - pip install --constraint ~/code/constraints.txt ~/code
  - echo 'export PATH=~/.venv/bin:$PATH RAY_AUTH_MODE=token RAYSWEEP_STORAGE=/shared/runs' \
> ~/.bashrc
head_start_ray_commands:
  - ray stop
  - >-
    export RAY_enable_autoscaler_v2=0; ray start --head --node-ip-address=10.0.0.1
    --dashboard-host=127.0.0.1 --autoscaling-config=~/ray_bootstrap_config.yaml
worker_start_ray_commands:
  - ray stop
  - ray start --address=$RAY_HEAD_IP:6379
"""

AWS = """\
cluster_name: sweeps
provider: {type: aws, region: us-west-2}
auth: {ssh_user: ubuntu}
available_node_types:
  head:
    node_config: {InstanceType: m6i.large}
  gpu:
    node_config: {InstanceType: g5.xlarge}
    min_workers: 0
    max_workers: 2
head_node_type: head
file_mounts: {~/.ray/auth_token: token}
setup_commands:
  - chmod 600 ~/.ray/auth_token
  - pip install 'ray[default]==2.60.0'
  - echo 'export PATH=~/.venv/bin:$PATH RAY_AUTH_MODE=token RAYSWEEP_STORAGE=s3://bucket/runs' \
> ~/.bashrc
head_start_ray_commands: [ray start --head --autoscaling-config=~/ray_bootstrap_config.yaml]
worker_start_ray_commands: ['ray start --address=$RAY_HEAD_IP:6379']
"""

Lint = Callable[..., list[Problem]]


@pytest.fixture
def lint(tmp_path: Path) -> Lint:
    """Checks a file after some replacements, beside a key, a token and a code folder."""
    for name in ("key", "token"):
        (tmp_path / name).touch(0o600)
    (tmp_path / "code").mkdir()

    def run(text: str = LOCAL, *changes: tuple[str, str]) -> list[Problem]:
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "cluster.yaml").write_text(text)
        return check(tmp_path / "cluster.yaml")

    return run


@pytest.mark.parametrize("text", [LOCAL, AWS], ids=["local", "aws"])
def test_a_good_file_has_no_problem(lint: Lint, text: str) -> None:
    assert lint(text) == []


LOCAL_MISTAKES = [
    ("  ssh_user: me\n", "", 8, "auth.ssh_user is missing"),
    ("auth:\n  ssh_user: me\n  ssh_private_key: key\n", "", 2, "auth.ssh_user is missing"),
    ("  ssh_private_key: key\n", "", 8, "the head needs a key to reach the workers"),
    ("ssh_private_key: key", "ssh_private_key: ~/none", 10, "there is no key ~/none; ssh-keygen"),
    (
        "ssh_private_key: key",
        "ssh_private_key: ~/.ssh/id_rsa",
        10,
        "give the cluster a key of its own",
    ),
    ("  ~/.ray/auth_token: token\n", "", 11, "Ray's token is not copied"),
    (
        "auth_token: token",
        "auth_token: none/auth_token",
        12,
        "ray get-auth-token --generate makes it",
    ),
    ("  ~/code: code", "  ~/code: cod", 13, "there is no cod"),
    ("  - chmod 600 ~/.ray/auth_token\n", "", 14, "add chmod 600 ~/.ray/auth_token"),
    (" RAY_AUTH_MODE=token", "", 14, "RAY_AUTH_MODE=token is not set on every machine"),
    ("export PATH=~/.venv/bin:$PATH ", "export ", 14, "ray down reports success and stops nothing"),
    (
        "--constraint ~/code/constraints.txt ~/code",
        "'ray[default,tune]' torch",
        16,
        "ray[default,tune] without a version",
    ),
    (" RAYSWEEP_STORAGE=/shared/runs", "", 14, "RAYSWEEP_STORAGE is not set"),
    ("=/shared/runs", "=~/runs", 17, "RAYSWEEP_STORAGE=~/runs is each machine's own"),
    ("=/shared/runs", "=/tmp/runs", 17, "RAYSWEEP_STORAGE=/tmp/runs is each machine's own"),
    ("export RAY_enable_autoscaler_v2=0; ", "", 20, "starts only one of the workers"),
    ("--dashboard-host=127.0.0.1", "--dashboard-host=0.0.0.0", 20, "runs code on the cluster"),
    ("--autoscaling-config=~/ray_bootstrap_config.yaml", "", 20, "no worker would be started"),
    (
        "--node-ip-address=10.0.0.1",
        "--node-ip-address=10.0.0.9",
        20,
        "--node-ip-address=10.0.0.9, but head_ip is 10.0.0.1",
    ),
    ("start --head", "start", 20, "ray start --head is missing"),
    ("  - ray start --address=$RAY_HEAD_IP:6379", "  - ray start", 23, "the workers do not join"),
    ("    - 10.0.0.3", "    - 10.0.0.1", 7, "10.0.0.1 is the head"),
    ("    - 10.0.0.3", "    - 10.0.0.2", 7, "10.0.0.2 stands twice"),
]


@pytest.mark.parametrize(("old", "new", "line", "words"), LOCAL_MISTAKES)
def test_what_ray_does_not_see_on_machines_of_ones_own(
    lint: Lint, old: str, new: str, line: int, words: str
) -> None:
    found = lint(LOCAL, (old, new))
    assert [problem.line for problem in found if words in problem.message] == [line], found


CLOUD_MISTAKES = [
    (
        "setup_commands:\n",
        "setup_commands: make\nmetadata:\n",
        "setup_commands: expected a list of commands",
    ),
    (
        "head_start_ray_commands: [ray start --head "
        "--autoscaling-config=~/ray_bootstrap_config.yaml]\n",
        "",
        "open the dashboard to every address",
    ),
    (
        "  - pip install 'ray[default]==2.60.0'",
        "  - pip install 'ray[default]'",
        "ray[default] without a version",
    ),
    (
        "'ray[default]==2.60.0'",
        "https://s3.amazonaws.com/ray-wheels/latest/ray-3.0.0.whl",
        "a nightly build of Ray",
    ),
    ("s3://bucket/runs", "/mnt/runs", "machines of a cloud share no folder"),
    ("s3://bucket/runs", "s3://your-bucket/runs", "your-bucket stands for"),
    (
        "head_node_type: head\n",
        "head_node_type: head\nmin_workers: 1\n",
        "min_workers at the top is ignored",
    ),
]


@pytest.mark.parametrize(("old", "new", "words"), CLOUD_MISTAKES)
def test_what_ray_does_not_see_on_a_cloud(lint: Lint, old: str, new: str, words: str) -> None:
    assert any(words in problem.message for problem in lint(AWS, (old, new)))


def test_a_cloud_file_without_setup_would_install_a_nightly_build(lint: Lint) -> None:
    start, end = AWS.index("setup_commands"), AWS.index("head_start")
    assert any(
        "install a nightly build" in problem.message for problem in lint(AWS[:start] + AWS[end:])
    )


SCHEMA_MISTAKES = [
    (LOCAL, "cluster_name: sweeps\n", "cluster_nam: sweeps\n", 1, "cluster_nam"),
    (LOCAL, "  head_ip: 10.0.0.1\n", "", 4, "head_ip"),
    (LOCAL, "type: local", "type: locl", 3, "locl"),
    (AWS, "    max_workers: 2", "    max_workers: '2'", 10, "'2'"),
    (AWS, "    max_workers: 2", "    max_worker: 2", 10, "max_worker"),
    (AWS, "head_node_type: head", "head_node_type: hed", 11, "head_node_type"),
    (
        AWS,
        "    min_workers: 0\n    max_workers: 2",
        "    min_workers: 3\n    max_workers: 4",
        0,
        "max_workers",
    ),
]


@pytest.mark.parametrize(("text", "old", "new", "line", "words"), SCHEMA_MISTAKES)
def test_what_ray_sees_comes_with_the_line(
    lint: Lint, text: str, old: str, new: str, line: int, words: str
) -> None:
    found = [
        problem for problem in lint(text, (old, new)) if problem.message.startswith("ray up: ")
    ]
    assert found
    assert any(words in problem.message for problem in found), found
    assert not line or line in {problem.line for problem in found}, found


def test_broken_yaml_comes_with_the_line(lint: Lint) -> None:
    [problem] = lint("cluster_name: sweeps\nprovider: {type: local\n")
    assert problem.line >= 2
    assert "not valid YAML" in problem.message
    assert lint("- a list\n") == [Problem(1, "expected keys and values, as cluster_name: sweeps")]
    assert lint("cluster_name: [1\n")[0].line >= 1
    assert any("provider" in problem.message for problem in lint("cluster_name: sweeps\n"))
    assert lint("cluster_name: sweeps\nprovider: local\n")


def test_keys_and_tokens_that_others_can_read(lint: Lint, tmp_path: Path) -> None:
    for name in ("key", "token"):
        os.chmod(tmp_path / name, 0o644)
    messages = [problem.message for problem in lint()]
    assert len(messages) == 2
    assert "key can be read by others, and ssh refuses it" in messages[0]
    assert "the token" in messages[1]


def test_a_virtual_environment_in_a_mounted_folder(lint: Lint, tmp_path: Path) -> None:
    (tmp_path / "code" / ".venv").mkdir()
    (tmp_path / "code" / ".venv" / "pyvenv.cfg").touch()
    [problem] = lint()
    assert problem.line == 13
    assert "virtual environment" in problem.message


def test_the_file_itself_is_left_alone(lint: Lint, tmp_path: Path) -> None:
    lint()
    assert (tmp_path / "cluster.yaml").read_text() == LOCAL


def test_the_verb_prints_lines_and_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from raysweep.tune.cli.app import main

    (tmp_path / "bad.yaml").write_text("cluster_name: x\nprovider: {type: local}\n")
    assert main(["check-cluster", str(tmp_path / "bad.yaml")]) == 2
    assert f"{tmp_path}/bad.yaml:2: " in capsys.readouterr().out
    assert main(["check-cluster", str(tmp_path / "none.yaml")]) == 2
    assert "No such file" in capsys.readouterr().err
