"""`check_trainable` passes what keeps the contract, and says what is wrong with what does not."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from raysweep.testing import check_trainable
from raysweep.trainables.runtime.run import Run

TRAIN = """
import torch
from torch import nn

counter = iter(range(1000))

def build(config):
    return nn.Linear(3, 1)

def evaluate(config, model, split="validation"):
    with torch.inference_mode():
        return {"val_loss": float(model(torch.ones(1, 3)).square())}

def train(config, run):
    model = build(config)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    for epoch in run.epochs(model=model, optimizer=optimizer):
        optimizer.zero_grad()
        model(torch.randn(8, 3)).square().mean().backward()
        optimizer.step()
        run.report(**evaluate(config, model))
"""


@pytest.fixture(autouse=True)
def imports() -> Iterator[None]:
    """A train function's file is imported under its own name, from its folder. Undo both."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name == "train" or name.startswith("raysweep.file"):
            del sys.modules[name]


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("train(config", "train(config", None),
        ("**evaluate(config, model)", "loss=1.0", r"^the metric 'val_loss' was not reported"),
        ("        run.report(", "        epoch < 3 and run.report(", r"^epoch 3 ended without"),
        (
            "run.epochs(model=model, optimizer=optimizer):",
            "itertools.islice(run.epochs(model=model, optimizer=optimizer), 2):",
            r"^the train function reported 2 of 3 epochs$",
        ),
        (
            "run.report(",
            "run.report(n=next(counter), ",
            r"^a second training with the same seed gave n 3\.0 instead of 0\.0$",
        ),
        (
            "run.epochs(model=model, optimizer=optimizer)",
            "run.epochs(model=model)",
            r"^a resumed training gave val_loss .* instead of ",
        ),
        (
            "run.epochs(model=model, ",
            "run.epochs(net=model, ",
            r"^the checkpoint has no model: call run.epochs\(model=model, ...\)$",
        ),
        (
            "run.report(**evaluate(config, model))",
            "run.report(val_loss=evaluate(config, model)['val_loss'] + 1)",
            r"^evaluate\(...\) gives val_loss .* of the best epoch, which reported ",
        ),
        (
            "run.report(**evaluate(config, model))",
            "run.report(val_loss=float('nan'))",
            r"^val_loss is not finite in any epoch",
        ),
        (
            "run.report(**evaluate(config, model))",
            "run.report(val_loss=1.0)\n\ndef evaluate(config, model, split):\n"
            "    return {'a': 1.0}",
            r"^evaluate\(...\) gives a, but not val_loss$",
        ),
    ],
)
def test_what_it_says(tmp_path: Path, right: str, wrong: str, message: str | None) -> None:
    path = tmp_path / "train.py"
    path.write_text("import itertools\n" + TRAIN.replace(right, wrong))
    if message is None:
        check_trainable(f"{path}:train", {}, "val_loss")
    else:
        with pytest.raises(AssertionError, match=message):
            check_trainable(f"{path}:train", {}, "val_loss")


def test_a_function_is_checked_as_it_is() -> None:
    def train(config: dict[str, float], run: Run) -> None:
        for epoch in run.epochs():
            run.report(accuracy=config["lr"] * epoch)

    check_trainable(train, {"lr": 0.1}, "accuracy", goal="maximize")
    numbers = itertools.count()

    def train_anew(config: dict[str, float], run: Run) -> None:
        for _ in run.epochs():
            run.report(accuracy=next(numbers))

    with pytest.raises(AssertionError, match="a second training with the same seed"):
        check_trainable(train_anew, {}, "accuracy")


def test_a_script_is_checked_too(tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    path.write_text(
        "import json, os\n"
        "for epoch in range(1, int(os.environ['RAYSWEEP_EPOCHS']) + 1):\n"
        "    print(json.dumps({'epoch': epoch, 'loss': 1 / epoch}))\n"
    )
    check_trainable(str(path), {"lr": 0.1}, "loss")


def test_what_the_train_function_raises_is_raised() -> None:
    def train(config: dict[str, float], run: Run) -> None:
        raise KeyError("lr")

    with pytest.raises(KeyError, match="lr"):
        check_trainable(train, {}, "loss")
    with pytest.raises(ValueError, match="epochs 1: expected 2 or more"):
        check_trainable(train, {}, "loss", epochs=1)


def test_nothing_is_imported_before_it_is_used() -> None:
    code = "import sys, raysweep.testing; print({'torch', 'ray', 'pandas'} & set(sys.modules))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
