"""The contract of the shipped trainables and of the examples, and what else they must do.

The scripts among the examples, and the quickstart's model, which has no `build`, are tested in
`tests/test_examples.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

from raysweep.testing import check_trainable
from raysweep.trainables.common.backbones import bundled
from raysweep.trainables.runtime import tensorboard
from raysweep.trainables.runtime.evaluate import evaluate_export, missing_functions
from raysweep.trainables.runtime.import_trainable import load
from raysweep.trainables.runtime.process_setup import seed_generators
from raysweep.trainables.runtime.run import Objective, Run
from raysweep.tune.load import load_sweep
from raysweep.tune.sweep import Sweep
from tests.test_board import read

ROOT = Path(__file__).resolve().parent.parent
SPACES = [
    # A ResNet trains for long even on few images; `make test` trains one in `test_transfer.py`.
    pytest.param(path.name, marks=[pytest.mark.examples] if path.stem == "transfer" else [])
    for path in sorted((ROOT / "search_spaces").glob("*.yaml"))
]
WEIGHTS = "imagenet" if bundled() else "none"
SMALL: dict[str, tuple[str, ...]] = {
    "transfer.yaml": ("space.train_size=60", "space.image_size=32", f"space.weights={WEIGHTS}")
}
"""What makes a file's training short enough for a test, beside `train_size`."""
EPOCHS = 3
EXAMPLES = [
    "model_parallel",
    "quickstart",
    pytest.param("lightning", marks=pytest.mark.filterwarnings("ignore")),
    pytest.param("huggingface", marks=pytest.mark.filterwarnings("ignore")),
]
"""Those that are a train function. Lightning and Hugging Face have much to say."""
LIBRARIES = {"lightning": "lightning", "huggingface": "transformers"}


def conformance_only() -> None:
    """Skip a slow test unless `make conformance` runs it."""
    if "RAYSWEEP_CONFORMANCE" not in os.environ:
        pytest.skip("only by: make conformance")


class Stopped(Exception):
    """The receiver wants no more."""


@pytest.fixture(params=SPACES)
def said(request: pytest.FixtureRequest) -> Sweep:
    return load_sweep(request.param, ("space.train_size=240", *SMALL.get(request.param, ())))


@pytest.fixture(params=EXAMPLES)
def example(request: pytest.FixtureRequest) -> Sweep:
    library = LIBRARIES.get(request.param, "torch")
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed: pip install raysweep[{library}]")
    return load_sweep(str(ROOT / "examples" / request.param / "sweep.yaml"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As in a worker: sums come out the same only with the same number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def config(said: Sweep, draw: int = 0, precision: str = "fp32") -> dict[str, Any]:
    return said.space.sample(np.random.default_rng([draw])) | {"precision": precision}


@pytest.fixture(params=["fp32", "bf16", "fp16"])
def precision(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def train(
    said: Sweep, config: dict[str, Any], folder: Path, *, seed: int = 7, stop_at: int = 0
) -> list[dict[str, float]]:
    """Train as a worker would.

    Returns the metrics of each epoch that was trained, or read again from the checkpoint.
    """
    seed_generators(seed)
    heard: list[dict[str, float]] = []

    def hear(message: dict[str, Any]) -> None:
        heard.append(message["metrics"])
        if message["epoch"] == stop_at:
            raise Stopped

    objective = Objective(said.metric.name, said.metric.goal == "maximize")
    run = Run(EPOCHS, hear, seed=seed, folder=folder, objective=objective)
    with contextlib.suppress(Stopped):
        load(said.trainable)[0](config, run)
    return heard


def check(sweep: Sweep, chosen: dict[str, Any]) -> None:
    metric = sweep.metric
    check_trainable(
        sweep.trainable, chosen, metric.name, goal=metric.goal, epochs=EPOCHS, seed=7, tolerance=0.0
    )


def test_it_keeps_the_contract_in_every_precision(
    said: Sweep, precision: str, request: pytest.FixtureRequest
) -> None:
    if "transfer.yaml" in request.node.name and precision != "fp32":
        # A CPU without half precision takes a minute for a ResNet.
        conformance_only()
    check(said, config(said, precision=precision))
    assert missing_functions(load(said.trainable)[1]) == ""


def test_another_seed_gives_other_numbers(said: Sweep, tmp_path: Path) -> None:
    first = train(said, config(said), tmp_path / "first", stop_at=1)
    assert first != train(said, config(said), tmp_path / "second", seed=8, stop_at=1)


def test_an_example_keeps_the_contract(example: Sweep, tmp_path: Path) -> None:
    chosen = example.space.sample(np.random.default_rng([0]))
    check(example, chosen)
    first = train(example, chosen, tmp_path / "first")
    assert first != train(example, chosen, tmp_path / "second", seed=8)


def test_drawing_changes_no_number(
    said: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is time for all of it, in each epoch; and where there is none."""
    monkeypatch.setattr(tensorboard, "MAX_TIME_FRACTION", 0.0)
    plain = train(said, config(said), tmp_path / "plain")
    monkeypatch.setattr(tensorboard, "MAX_TIME_FRACTION", 1e9)
    assert train(said, config(said), tmp_path / "drawn") == plain
    tags = read(tmp_path / "drawn" / tensorboard.FOLDER).Tags()
    assert "confusion" in tags["images"]
    assert not (tmp_path / "plain" / tensorboard.FOLDER).exists()


def test_the_exported_model_is_drawn(said: Sweep, tmp_path: Path) -> None:
    model = load(said.trainable)[1].build(config(said))
    torch.save(model.state_dict(), tmp_path / "model.pt")
    YAML(typ="safe", pure=True).dump(config(said), tmp_path / "config.yaml")
    (tmp_path / "metrics.json").write_text(json.dumps({"trainable": said.trainable, "epoch": 5}))
    assert "undrawn" not in evaluate_export(tmp_path, tmp_path / "drawn")
    found = read(tmp_path / "drawn")
    assert {tag.partition("/")[0] for tag in found.Tags()["histograms"]} == {"weights"}
    assert found.Tags()["images"] == ["confusion"] + (
        ["predictions"] if "data" in config(said) else []
    )
    assert [event.step for event in found.Images("confusion")] == [5]


def test_any_configuration_of_the_space_trains(said: Sweep, tmp_path: Path) -> None:
    """Both ends of every parameter, one at a time from a draw."""
    for i, name in enumerate(said.space.params):
        for end in (0.0, 1.0):
            unit = said.space.to_unit(config(said, i))
            unit[list(said.space.params).index(name)] = end
            folder = tmp_path / f"{name}-{end}"
            chosen = said.space.from_unit(unit)
            assert len(train(said, chosen, folder, stop_at=1)) == 1


def test_precision_changes_the_numbers_a_little(said: Sweep, tmp_path: Path) -> None:
    losses = {}
    for name in ("fp32", "bf16", "fp16"):
        losses[name] = train(said, config(said, precision=name), tmp_path / name, stop_at=1)[0][
            "train_loss"
        ]
    assert len(set(losses.values())) == 3
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.05)
    assert losses["fp16"] == pytest.approx(losses["fp32"], rel=0.2)


def test_an_unknown_precision_is_one_line(said: Sweep, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="precision 'fp8': expected one of fp32, bf16, fp16"):
        train(said, config(said, precision="fp8"), tmp_path)
