"""The nets of `benchmarks/search_curves.py`, many at once, against torch's own, one by one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.search_curves import (
    CELLS,
    EMBEDDED,
    WORDS,
    Data,
    Params,
    Task,
    adam,
    drawn,
    initial,
    losses,
    outputs,
)

WIDTH, LENGTH, EXAMPLES = 5, 7, 6
GENERATOR = torch.Generator().manual_seed(0)
LABELS = torch.tensor([0, 1, 0, 1, 1, 0])
ROWS = torch.rand(EXAMPLES, LENGTH, 28, generator=GENERATOR)
SAID = torch.randint(WORDS + 1, (EXAMPLES, LENGTH), generator=GENERATOR)


def given(inputs: torch.Tensor) -> Data:
    return Data(inputs, LABELS, (inputs, LABELS), 2)


def params_of(task: Task, inputs: torch.Tensor, nets: int = 2) -> Params:
    """Weights of nets that differ from each other, with biases that are not 0."""
    some = torch.Generator().manual_seed(1)
    return {
        name: value + 0.1 * torch.randn(value.shape, generator=some)
        for name, value in initial(task, given(inputs), nets).items()
    }


def theirs(cell: str) -> Callable[..., nn.RNNBase]:
    kinds = {"vrnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
    return (
        kinds[cell]
        if cell in kinds
        else lambda *shape, **said: nn.RNN(*shape, nonlinearity="relu", **said)
    )


def in_torchs_order(cell: str, weights: torch.Tensor) -> torch.Tensor:
    """The LSTM's gates are ordered forget, input, output, new value here.

    In torch they are input, forget, new value, output.
    """
    parts = weights.split(WIDTH, dim=-1)
    return torch.cat([parts[1], parts[0], parts[3], parts[2]], -1) if cell == "lstm" else weights


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("inputs", [ROWS, SAID], ids=["rows", "words"])
@pytest.mark.parametrize("cell", CELLS)
def test_each_net_computes_what_torchs_does(cell: str, inputs: torch.Tensor, average: bool) -> None:
    task = Task(cell, "", WIDTH, average)
    params = params_of(task, inputs)
    ours = outputs(task, given(inputs), params, inputs)
    for i in range(2):
        fed = params["words"][i][inputs] if inputs is SAID else inputs
        net = theirs(cell)(EMBEDDED if inputs is SAID else 28, WIDTH, batch_first=True)
        weights = [in_torchs_order(cell, params[name][i]) for name in ("in", "state", "bias")]
        net.load_state_dict(
            {
                "weight_ih_l0": weights[0].T,
                "weight_hh_l0": weights[1].T,
                "bias_ih_l0": weights[2][0],
                "bias_hh_l0": torch.zeros_like(weights[2][0]),
            }
        )
        states = net(fed)[0]
        seen = states.mean(dim=1) if average else states[:, -1]
        torch.testing.assert_close(
            ours[i], seen @ params["out"][i] + params["out_bias"][i], rtol=1e-4, atol=1e-5
        )


def test_a_step_is_adams_with_each_nets_own_rates() -> None:
    task = Task("gru", "", WIDTH)
    hp = np.array([[1e-2, 0.9, 0.999, 1e-8, 0, 0, 0, 0], [0.3, 0.5, 0.9, 1e-1, 0, 0, 0, 0]])
    params = params_of(task, ROWS)
    alone = [{name: value[i : i + 1].clone() for name, value in params.items()} for i in range(2)]
    step_by = adam(hp, params)
    theirs = [
        torch.optim.Adam(one.values(), lr=row[0], betas=(row[1], row[2]), eps=row[3])
        for one, row in zip(alone, hp, strict=True)
    ]
    for step in range(5):
        slopes = torch.autograd.grad(loss_of(task, params), list(params.values()))
        params = step_by(params, slopes, step)
        for one, optimizer in zip(alone, theirs, strict=True):
            optimizer.zero_grad()
            loss_of(task, one).backward()
            optimizer.step()
    for i, one in enumerate(alone):
        for name, value in one.items():
            torch.testing.assert_close(
                params[name][i : i + 1], value.detach(), rtol=1e-3, atol=1e-5
            )


def test_decays_slow_it_down_and_penalties_pull_towards_zero() -> None:
    """The learning rates after 500 of TaskSet's 10,000 steps.

    Adam divides out a gradient of 1 at its first step.
    """
    hp = np.array(
        [[0.1, 0.9, 0.999, 1e-10, 0, 0, 0, 0], [0.1, 0.9, 0.999, 1e-10, 0, 0, 1e-4, 1e-3]]
    )
    weights = {"out": torch.ones(2, 1, 1)}
    moved = adam(hp, weights)(weights, (torch.ones(2, 1, 1),), 50)
    steps = (weights["out"] - moved["out"]).flatten()
    assert float(steps[1] / steps[0]) == pytest.approx((1 - 1e-4 * 500) * np.exp(-1e-3 * 500))
    pulled = np.array(
        [[0.1, 0.9, 0.999, 1e-10, 0, 1e-2, 0, 0], [0.1, 0.9, 0.999, 1e-10, 1e-2, 0, 0, 0]]
    )
    moved = adam(pulled, weights)(weights, (torch.zeros(2, 1, 1),), 0)
    torch.testing.assert_close(moved["out"].flatten(), torch.full((2,), 0.9))


def loss_of(task: Task, params: Params) -> torch.Tensor:
    for value in params.values():
        value.requires_grad_(True)
    return losses(task, given(ROWS), params, ROWS, LABELS).sum()


def test_the_same_configurations_are_drawn_each_time_within_tasksets_ranges() -> None:
    once, again = drawn("irnn_parity"), drawn("irnn_parity")
    np.testing.assert_array_equal(once, again)
    assert (once != drawn("vrnn_parity")).any(axis=0).all()
    rate, first, second, epsilon = once[:, :4].T
    assert 1e-8 <= rate.min() < rate.max() <= 10
    assert 0 <= first.min() < first.max() <= 1 - 1e-4
    assert 0 <= second.min() < second.max() <= 1 - 1e-6
    assert 1e-10 <= epsilon.min() < epsilon.max() <= 1e3
