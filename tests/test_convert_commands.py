"""How other tools start a trial, and what starts it here: commands, launchers, variables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysweep.search_spaces.convert import command
from raysweep.search_spaces.convert.any_file import read
from raysweep.search_spaces.convert.convert_file import convert
from raysweep.search_spaces.convert.dialects import document_of
from raysweep.search_spaces.convert.draft import Draft
from raysweep.search_spaces.file.document import Document, SpecificationError, parse
from raysweep.search_spaces.file.error_messages import keys
from raysweep.search_spaces.file.script_spec import ScriptSpec
from tests.test_convert import DETERMINED, KATIB, NNI, WANDB, X, here, notes_of, translated

__all__ = ["here"]  # the fixture, which tests ask for by its name


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("command", "trainable", "script"),
    [
        ('[python, -m, lab.train, "${args}"]', "-m lab.train", {}),
        (
            '[torchrun, --nproc_per_node=2, -m, lab.train, "${args}"]',
            "-m lab.train",
            {"launcher": ["torchrun", "--nproc_per_node=2"]},
        ),
        (
            '[python, -m, torch.distributed.run, src/train.py, "${args}"]',
            "src/train.py",
            {"launcher": ["python", "-m", "torch.distributed.run"], "folder": "."},
        ),
        (
            '[accelerate, launch, --config_file, a.yaml, "${program}", "${args}"]',
            "train.py",
            {"launcher": ["accelerate", "launch", "--config_file", "a.yaml"]},
        ),
        ('[bash, run.sh, "${args}"]', "run.sh", {"launcher": ["bash"]}),
        ('[./run.sh, "${args}"]', "run.sh", {"launcher": ["bash"]}),
        ('[uv, run, "${program}", "${args}"]', "train.py", {"launcher": ["uv", "run"]}),
        (
            '[bash, -c, "cd x && A=1 python src/t.py --home $HOME"]',
            "x/src/t.py",
            {
                "folder": "x",
                "environment": {"A": "1"},
                "arguments": ["--home", "{env:HOME}"],
                "options": "none",
            },
        ),
    ],
)
def test_what_starts_a_wandb_run_starts_a_trial(
    command: str, trainable: str, script: dict[str, Any]
) -> None:
    document = translated(WANDB + X + f"command: {command}")
    assert document.data["trainable"] == trainable
    assert document.data.get("script", {}) == script


@pytest.mark.usefixtures("here")
def test_what_differs_in_a_wandb_command_is_noted() -> None:
    noted = notes_of(
        translated(
            WANDB
            + X
            + 'command: ["${env}", CUDA_VISIBLE_DEVICES=0, python, "${program}", "${none}", '
            + '"${args}", --x=3]'
        )
    )
    assert "5: ${none} is left out, as the agent there does: it knows no such macro" in noted
    assert "5: CUDA_VISIBLE_DEVICES is left out: a trial here sees the GPUs of" in noted
    assert "5: '--x=3' takes the place of the parameter 'x', there and here" in noted


PYTORCH_JOB = """      kind: PyTorchJob
      spec:
        nprocPerNode: "2"
        pytorchReplicaSpecs:
          Master: {replicas: 1, template: {spec: {containers: [CONTAINER]}}}
          Worker: {replicas: 3, template: {spec: {containers: [CONTAINER]}}}
"""
CONTAINER = (
    '{name: train, command: [python3, /opt/train.py, "--lr=${trialParameters.learningRate}"], '
    "resources: {limits: {nvidia.com/gpu: 2}}}"
)


@pytest.mark.usefixtures("here")
def test_the_replicas_of_a_pytorch_job_are_ranks() -> None:
    job = KATIB[: KATIB.index("      kind: Job")] + PYTORCH_JOB.replace("CONTAINER", CONTAINER)
    document = translated(job)
    assert document.data["trainable"] == "/opt/train.py"
    assert document.data["script"] == {
        "launcher": ["torchrun", "--nproc_per_node", "8"],
        "names": {"use_bn": None, "bs": None},
    }
    assert document.data["resources"] == {"cpu": 8, "gpu": 8}
    assert "its replicas are 8 processes of one machine here, by torchrun" in notes_of(document)
    with pytest.raises(SpecificationError, match=r"replicas that 'torchrun' starts have no equal"):
        translated(job.replace("python3,", "torchrun,"))
    with pytest.raises(SpecificationError, match=r"nprocPerNode: 'gpu' has no equal here"):
        translated(job.replace('"2"', "gpu"))
    with pytest.raises(SpecificationError, match=r"containers: expected a list"):
        translated(job.replace(f"[{CONTAINER}]", "3"))


def drafted(text: str) -> Document:
    """A file of another tool as ours, before anything checks it."""
    return document_of(text, "theirs.yaml", Path())


@pytest.mark.parametrize(
    ("length", "period", "budget"),
    [
        ("max_length: {batches: 1000}", "{batches: 100}", {"steps": 1000, "report_every": 100}),
        ("max_length: {records: 6000}", "{records: 2000}", {"samples": 6000, "report_every": 2000}),
        ("time_metric: batches, max_time: 90", "30", {"steps": 90, "report_every": 30}),
        ("max_time: 90, time_metric: batches", "{batches: 40}", {"steps": 90}),
        ("max_length: {batches: 100}", "{epochs: 1}", {"steps": 100}),
    ],
)
@pytest.mark.parametrize("searcher", ["random", "adaptive_asha"])
def test_a_length_in_batches_or_records(
    length: str, period: str, budget: dict[str, int], searcher: str
) -> None:
    text = DETERMINED.replace("LENGTH", length).replace("random", searcher)
    document = drafted(f"{text}min_validation_period: {period}\n")
    assert document.data["budget"] == budget | {"trials": 4}
    asked = ("budget", "report_every") in document.missing
    assert asked == ("report_every" not in budget)
    if asked:
        assert "is validated at no fixed part of them; budget.report_every is to be said" in (
            notes_of(document)
        )
    elif searcher == "adaptive_asha":
        reports = budget[next(iter(budget))] // budget["report_every"]
        assert document.data["scheduler"]["grace"] == max(1, reports // 4**4)


def test_a_length_in_a_metric_of_the_trainings_own_is_asked_for() -> None:
    text = DETERMINED.replace("LENGTH", "time_metric: frames, max_time: 90")
    document = drafted(text)
    assert ("budget", "epochs") in document.missing
    assert any("the length is 90 of 'frames', a metric of" in one for one in document.notes)


@pytest.mark.usefixtures("here")
def test_a_length_in_batches_is_read() -> None:
    text = DETERMINED.replace("LENGTH", "max_length: {batches: 1000}")
    assert "Still to be said: budget.report_every." in convert(_written(text))
    said = read("theirs.yaml", ["budget.report_every=100"])
    assert said.content.budget.model_dump(exclude_none=True)["steps"] == 1000


def _written(text: str) -> str:
    Path("theirs.yaml").write_text(text)
    return "theirs.yaml"


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("entrypoint", "trainable", "script"),
    [
        (
            "python3 -m determined.launch.torch_distributed python3 src/train.py --x",
            "src/train.py",
            {
                "launcher": ["torchrun", "--nproc_per_node", "4"],
                "folder": ".",
                "arguments": ["--x"],
                "options": "none",
            },
        ),
        (
            "python3 -m determined.launch.torch_distributed --max_restarts 0 -- python3 -m a.b",
            "-m a.b",
            {
                "launcher": ["torchrun", "--nproc_per_node", "4", "--max_restarts", "0"],
                "options": "none",
            },
        ),
        (
            "python3 -m determined.launch.deepspeed python3 train.py",
            "train.py",
            {"launcher": ["deepspeed", "--num_gpus", "4"], "options": "none"},
        ),
        ("[bash, run.sh, a b]", "run.sh", {"launcher": ["bash"], "arguments": ["a b"],
                                           "options": "none"}),
        ("cd a && python3 train.py $HOME", "a/train.py", {"arguments": ["{env:HOME}"],
                                                          "options": "none"}),
    ],
)  # fmt: skip
def test_what_starts_a_determined_trial(
    entrypoint: str, trainable: str, script: dict[str, Any]
) -> None:
    text = DETERMINED.replace("python3 train.py --data cifar", entrypoint)
    text = text.replace("LENGTH", "max_length: {epochs: 3}")
    document = translated(
        text
        + "resources: {slots_per_trial: 4}\n"
        + 'environment: {environment_variables: ["A=b c", B]}\n'
    )
    assert document.data["trainable"] == trainable
    assert document.data["script"] == script | {"environment": {"A": "b c"}}
    assert "the variable B is taken from the machine, as there" in notes_of(document)


@pytest.mark.usefixtures("here")
def test_a_trial_class_in_a_launch_layer() -> None:
    entry = "python3 -m determined.launch.torch_distributed --trial model_def:MyTrial"
    text = DETERMINED.replace("python3 train.py --data cifar", entry)
    document = translated(text.replace("LENGTH", "max_length: {epochs: 3}"))
    assert document.data["trainable"] == "model_def:MyTrial"
    assert "script" not in document.data


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("command", "trainable", "script"),
    [
        ("cd x && python3 train.py", "code/x/train.py", {}),
        (
            "CUDA_VISIBLE_DEVICES=0 A=1 python3 src/train.py --out $NNI_OUTPUT_DIR",
            "code/src/train.py",
            {"folder": "code", "environment": {"A": "1"}, "arguments": ["--out", "{folder}"]},
        ),
        (
            "export A='b c'; bash run.sh \"x y\"",
            "code/run.sh",
            {"launcher": ["bash"], "environment": {"A": "b c"}, "arguments": ["x y"]},
        ),
        ("python3 -m lab.train", "-m lab.train", {"folder": "code"}),
    ],
)
def test_what_starts_an_nni_trial(command: str, trainable: str, script: dict[str, Any]) -> None:
    text = NNI.replace("python3 train.py --epochs 7", command) + "trialCodeDirectory: code\n"
    document = translated(text)
    assert document.data["trainable"] == trainable
    assert document.data["script"] == script | {"options": "none"}


def test_fixed_words_of_another_tool_mean_themselves() -> None:
    """Where no shell runs, braces are braces; what something else fills in is refused."""
    draft = Draft(parse("x: 1", "theirs.yaml"), "a tool's file")
    words = command.split(draft, ("x",), "torchrun -n 2 {a}.py '--f={lr}' -v")
    assert command.program(words) == ["{a}.py", "--f={lr}", "-v"]
    command.arguments(draft, ("x",), command.script(draft, ("x",), words, "code"))
    assert draft.data["script"] == {
        "launcher": ["torchrun", "-n", "2"],
        "arguments": ["--f={{lr}}", "-v"],
    }
    assert command.program(["my-tool", "train"]) == []
    for word in ("$HOME", "${x}", "$(ls)", ">"):
        with pytest.raises(
            SpecificationError, match=r"theirs.yaml:1: x: the argument .* has no eq"
        ):
            command.arguments(draft, ("x",), [word])
    with pytest.raises(SpecificationError, match=r"theirs.yaml:1: x: 'a 'b' is no command"):
        command.split(draft, ("x",), "a 'b")


OF_A_SHELL = ["sh", "-c", "&&", ";", "|", "cd", "export", "A=b", "$HOME", "${a:-b}", "$(x)", "'"]
OF_TOOLS = [
    "${args}",
    "${env}",
    "${program}",
    "${trialParameters.bs}",
    "determined.launch.deepspeed",
]
ODD = ["--", "{lr}", "\\", '"', "\0", "\n", "", "''"]
WORDS = (
    st.sampled_from(["python", "train.py", "-m", "torchrun", "--lr", "x"])
    | st.sampled_from(OF_A_SHELL)
    | st.sampled_from(OF_TOOLS)
    | st.sampled_from(ODD)
)
COMMANDS = st.lists(WORDS | st.text(max_size=4), min_size=1, max_size=8)


@settings(max_examples=100, deadline=None)
@given(COMMANDS)
def test_any_command_is_read_or_refused_in_one_line(words: list[str]) -> None:
    spoken, listed = json.dumps(" ".join(words)), json.dumps(words)
    texts = [
        f"{WANDB}parameters: {{lr: {{min: 0.1, max: 0.2}}}}\ncommand: {listed}\n",
        KATIB.replace("COMMAND", f"command: {listed}"),
        *(
            DETERMINED.replace("python3 train.py --data cifar", said).replace(
                "LENGTH", "max_length: {epochs: 3}"
            )
            for said in (spoken, listed)
        ),
        NNI.replace("python3 train.py --epochs 7", spoken),
    ]
    for text in texts:
        message, section = read_or_refused(text)
        assert "\n" not in message
        assert message.startswith("theirs.yaml:") or set(section) <= set(keys(ScriptSpec))


def read_or_refused(text: str) -> tuple[str, dict[str, Any]]:
    """The message of the error, or the script section."""
    try:
        return "", document_of(text, "theirs.yaml", Path()).data.get("script", {})
    except SpecificationError as error:
        return str(error), {}
