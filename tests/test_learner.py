"""What the shipped classifiers share: one step of training, in pieces and in each precision."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from raysweep.trainables.common.classification import Learner, make_optimizer
from raysweep.trainables.common.precision import Precision
from raysweep.trainables.runtime.run import LocalRun

CONFIG: dict[str, Any] = {"optimizer": "sgd", "lr": 0.1, "batch_size": 24}
IMAGES, LABELS = torch.linspace(-1, 1, 24 * 5).reshape(24, 5), torch.arange(24) % 3


def learner(model: nn.Module, pieces: int = 1, **changes: Any) -> Learner:
    run = LocalRun(1, quiet=True)
    run.accumulation = pieces
    return Learner.from_config(CONFIG | changes, copy.deepcopy(model), run)


@pytest.mark.parametrize("pieces", [2, 3, 5, 24])
def test_a_batch_in_pieces_is_the_batch_whole(pieces: int) -> None:
    model = nn.Linear(5, 3)
    whole, parts = learner(model), learner(model, pieces)
    assert float(whole.step((IMAGES, LABELS), 24)) == pytest.approx(
        float(parts.step((IMAGES, LABELS), 24)), rel=1e-5
    )
    torch.testing.assert_close(whole.model.weight, parts.model.weight, atol=1e-6, rtol=1e-5)


def test_an_overflow_in_fp16_leaves_the_step_out_and_halves_the_scale() -> None:
    one = learner(nn.Linear(5, 3), precision="fp16")
    before = copy.deepcopy(one.model.state_dict())
    one.step((IMAGES * 1e6, LABELS), 24)
    assert all(torch.equal(value, before[name]) for name, value in one.model.state_dict().items())
    assert one.state["scaler"].get_scale() == 65536 / 2
    one.step((IMAGES, LABELS), 24)
    assert not torch.equal(one.model.weight, before["weight"])  # type: ignore[arg-type]


def test_only_fp16_has_a_scale_to_carry() -> None:
    assert [set(Precision(name, "cpu").state) for name in ("fp32", "bf16", "fp16")] == [
        set(),
        set(),
        {"scaler"},
    ]


def test_weight_decay_and_momentum_reach_the_optimizer() -> None:
    parameters = list(nn.Linear(1, 1).parameters())
    sgd = make_optimizer(
        {"optimizer": "sgd", "lr": 0.1, "momentum": 0.5, "weight_decay": 0.01}, parameters
    )
    assert (sgd.defaults["momentum"], sgd.defaults["weight_decay"]) == (0.5, 0.01)
    assert (
        make_optimizer({"optimizer": "adam", "lr": 0.1}, parameters).defaults["weight_decay"] == 0
    )
    with pytest.raises(ValueError, match="optimizer 'rms': expected sgd, adam or adamw"):
        make_optimizer({"optimizer": "rms", "lr": 0.1}, parameters)
