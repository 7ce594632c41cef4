"""Trials trained as one: each has the curve, the weights and the checkpoint that it has alone."""

from __future__ import annotations

import contextlib
import math
import platform
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from raysweep.trainables import cnn
from raysweep.trainables.common.classification import summed_cross_entropy
from raysweep.trainables.fused import layers, measure, pool
from raysweep.trainables.fused.kernels import kernels_of
from raysweep.trainables.fused.lane import Lane
from raysweep.trainables.fused.pool import Pool
from raysweep.trainables.fused.recipe import Recipe, RecipeError
from raysweep.trainables.fused.shape import CannotFuse, plain, shape_of
from raysweep.trainables.fused.stack import Stack
from raysweep.trainables.runtime import checkpoint
from raysweep.trainables.runtime.process_setup import seed_generators
from raysweep.trainables.runtime.run import ConfigurationError, Run

Config = dict[str, Any]
LANES, EPOCHS, SAMPLES = 3, 3, 44
"""Batches of 16, so that the last one of an epoch is smaller."""
BASE: Config = {"optimizer": "sgd", "lr": 0.05, "batch_size": 16}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def double() -> Iterator[None]:
    """In double precision, a difference is a mistake; in float32, a unit near 0 may tip over."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def samples(dtype: torch.dtype, count: int = SAMPLES) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(count, 2, 6, 6, generator=generator, dtype=torch.float64)
    return images.to(dtype), torch.arange(count) % 3


HELD = {dtype: samples(dtype) for dtype in (torch.float32, torch.float64)}


def data(config: Config) -> tuple[Tensor, Tensor]:
    return HELD[torch.get_default_dtype()]


def perceptron(config: Config) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(72, 8),
        nn.Tanh(),
        nn.Dropout(config.get("dropout", 0.0)),
        nn.Linear(8, config.get("classes", 3)),
    )


def convolutions(config: Config) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, bias=False),  # before a BatchNorm, its gradient is 0
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout2d(config.get("dropout", 0.0)),
        nn.MaxPool2d(2),
        nn.GroupNorm(2, 4),
        nn.Flatten(),
        nn.LayerNorm(36),
        nn.Linear(36, 3),
    )


def attention(config: Config) -> nn.Module:
    layer = nn.TransformerEncoderLayer(12, 2, 16, dropout=0.0, batch_first=True)
    return nn.Sequential(nn.Flatten(2), nn.Linear(36, 12), layer, nn.Flatten(), nn.Linear(24, 3))


def loss(config: Config, output: Tensor, batch: tuple[Tensor, ...]) -> Tensor:
    return summed_cross_entropy(output, batch, config.get("label_smoothing", 0.0))


@torch.no_grad()
def evaluate(config: Config, model: nn.Module) -> dict[str, float]:
    inputs, labels = data(config)
    return {"loss": functional.cross_entropy(model.eval()(inputs), labels).item()}


def recipe(build: Callable[[Config], nn.Module] = perceptron, **parts: Any) -> Recipe:
    return Recipe(**{"build": build, "data": data, "loss": loss, "evaluate": evaluate} | parts)


def alone(made: Recipe, config: Config, folder: Path, seed: int, epochs: int = EPOCHS) -> Run:
    """Train as a process of the trial's own would."""
    seed_generators(seed)
    run = Run(epochs, lambda message: None, seed=seed, folder=folder)
    made(config, run)
    return run


class Ensemble:
    """Trials in a pool, each added with the generators of its own."""

    def __init__(
        self, made: Recipe, folder: Path, measured: bool = False, wanted: int = 100
    ) -> None:
        self.said: list[tuple[str, str]] = []
        self.pool = Pool(made, wanted, measured, lambda kind, line: self.said.append((kind, line)))
        self.folder = folder
        self.runs: list[Run] = []

    def add(self, config: Config, seed: int, epochs: int = EPOCHS) -> Run:
        seed_generators(seed)
        run = Run(epochs, lambda message: None, seed=seed, folder=self.folder / str(seed))
        run.trial = str(seed)
        self.pool.add(config, run)
        self.runs.append(run)
        return run

    def train(self, epochs: int = EPOCHS) -> None:
        for _ in range(epochs):
            for error in self.pool.train().values():
                if error is not None:
                    raise error


def metrics(run: Run) -> list[dict[str, float]]:
    return [report["metrics"] for report in run.reports]


def check_equal(
    made: Recipe, configs: list[Config], folder: Path, tolerance: float, epochs: int = EPOCHS
) -> Ensemble:
    """Train both ways. The curves, the weights and the state of the generators must agree."""
    together = Ensemble(made, folder / "fused")
    for seed, config in enumerate(configs):
        together.add(config, seed, epochs)
    together.train(epochs)
    assert [kind for kind, _ in together.said] == ["together"], together.said
    for seed, config in enumerate(configs):
        run = alone(made, config, folder / "alone" / str(seed), seed, epochs)
        for fused, one in zip(metrics(together.runs[seed]), metrics(run), strict=True):
            assert fused == pytest.approx(one, rel=tolerance)
        contents = [
            checkpoint.load(folder / way / str(seed) / checkpoint.LAST)
            for way in ("fused", "alone")
        ]
        for fused, one in zip(*(numbers(content) for content in contents), strict=True):
            torch.testing.assert_close(fused, one, rtol=tolerance, atol=tolerance)
    return together


LEFT_OUT: tuple[str, ...] = ("seconds",)


def numbers(content: Any) -> list[Tensor]:
    """All numbers in a checkpoint, without the times of its reports, in the order of their keys."""
    if isinstance(content, dict):
        keys = sorted(content, key=str)
        return [tensor for key in keys if key not in LEFT_OUT for tensor in numbers(content[key])]
    if isinstance(content, list | tuple):
        return [tensor for part in content for tensor in numbers(part)]
    if isinstance(content, Tensor | int | float):
        return [torch.as_tensor(content, dtype=torch.float64)]
    return []


def lanes_of(**varied: tuple[Any, ...]) -> list[Config]:
    """A configuration for each lane; `varied` gives the values of the keys."""
    return [BASE | {key: values[i] for key, values in varied.items()} for i in range(LANES)]


OPTIONS: dict[str, dict[str, tuple[Any, ...]]] = {
    "lr": {"lr": (0.01, 0.1, 0.3)},
    "momentum": {"momentum": (0.0, 0.5, 0.9)},
    "no momentum": {"momentum": (0.0, 0.0, 0.0)},
    "nesterov": {"momentum": (0.5, 0.8, 0.9), "nesterov": (True,) * 3},
    "decay": {"weight_decay": (0.0, 0.01, 0.1)},
    "adam": {"optimizer": ("adam",) * 3, "lr": (0.001, 0.01, 0.03), "beta1": (0.8, 0.9, 0.95)},
    "adam decay": {"optimizer": ("adam",) * 3, "lr": (0.01,) * 3, "weight_decay": (0.0, 0.1, 0.2)},
    "adamw": {
        "optimizer": ("adamw",) * 3,
        "lr": (0.001, 0.01, 0.03),
        "beta2": (0.9, 0.99, 0.999),
        "weight_decay": (0.0, 0.1, 0.5),
    },
    "dropout": {"dropout": (0.0, 0.2, 0.6)},
    "all dropped": {"dropout": (0.0, 1.0, 0.5)},
    "label smoothing": {"label_smoothing": (0.0, 0.1, 0.4)},
    "clip": {"gradient_clip": (0.01, 0.1, 10.0)},
    "clip and adam": {"gradient_clip": (0.01, 0.1, 10.0), "optimizer": ("adam",) * 3},
}


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (build, name)
        for build in (perceptron, convolutions, attention)
        for name in OPTIONS
        # The bias of an attention's keys has no influence. Adam makes steps of its rounding errors.
        if not (build is attention and "adam" in name)
    ],
)
def test_as_one_they_train_as_alone(
    build: Callable[[Config], nn.Module], name: str, tmp_path: Path, double: None
) -> None:
    check_equal(recipe(build), lanes_of(**OPTIONS[name]), tmp_path, 1e-9)


class Attentive(nn.Module):
    """Attention with weights that are returned, whose layer has no module of its own."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(36, 2)
        self.dropout, self.head = nn.Dropout(config.get("dropout", 0.0)), nn.Linear(72, 3)

    def forward(self, x: Tensor) -> Tensor:
        attended, weights = self.attention(*[x.flatten(2)] * 3)
        output: Tensor = self.head(self.dropout(attended).flatten(1)) + weights.sum()
        return output


EXACT = 0.0 if platform.machine() == "x86_64" else 1e-5
"""Elsewhere torch may have other kernels for one than for several."""


@pytest.mark.parametrize("build", [perceptron, convolutions, attention, Attentive])
@pytest.mark.parametrize("name", OPTIONS)
def test_in_float32_curves_and_weights_have_the_same_bits(
    build: Callable[[Config], nn.Module],
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def without_train_loss(run: Run) -> list[dict[str, float]]:
        return [{"loss": report["metrics"]["loss"]} for report in run.reports]

    monkeypatch.setattr("tests.test_fused.metrics", without_train_loss)
    monkeypatch.setattr("tests.test_fused.LEFT_OUT", ("seconds", "train_loss"))
    made = recipe(build, schedule=lambda config, part: 1 - 0.9 * part)
    check_equal(made, lanes_of(**OPTIONS[name]), tmp_path, EXACT)


def test_in_float32_the_shipped_network_has_the_same_bits(tmp_path: Path) -> None:
    """It has what jumps: units near 0, and maxima of values that are nearly equal."""
    base = {"data": "digits", "optimizer": "sgd", "batch_size": 32, "channels": 8}
    configs = [base | {"lr": 0.02 * (1 + seed)} for seed in range(4)]
    together = Ensemble(cnn.train, tmp_path / "fused")
    for seed, config in enumerate(configs):
        together.add(config, seed)
    together.train()
    for seed, config in enumerate(configs):
        run = alone(cnn.train, config, tmp_path / str(seed), seed)
        for fused, one in zip(metrics(together.runs[seed]), metrics(run), strict=True):
            assert fused["val_loss"] == pytest.approx(one["val_loss"], rel=EXACT)
            # It is the sum of the losses, which are added up in another order.
            assert fused["train_loss"] == pytest.approx(one["train_loss"], rel=1e-5)


def layer_of_a_transformer(config: Config) -> nn.Module:
    """Dropout within the attention, and of what lies in memory in another order."""
    layer = nn.TransformerEncoderLayer(12, 2, 16, dropout=config["dropout"], batch_first=True)
    return nn.Sequential(nn.Flatten(2), nn.Linear(36, 12), layer, nn.Flatten(), nn.Linear(24, 3))


def test_attention_may_drop_weights_of_its_own(tmp_path: Path, double: None) -> None:
    configs = lanes_of(dropout=(0.0, 0.2, 0.6))
    check_equal(recipe(layer_of_a_transformer), configs, tmp_path, 1e-9)


class Masked(nn.Module):
    """Attention with a mask of a kind, and dropout of its weights."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.kind, self.p = config["kind"], config["dropped"]
        self.first, self.head = nn.Linear(12, 8), nn.Linear(48, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x.flatten(1).unflatten(1, (6, 12))).tanh()
        allowed = torch.ones(6, 6, dtype=torch.bool).tril()
        kinds: dict[str, dict[str, Any]] = {
            "none": {},
            "causal": {"is_causal": True},
            "allowed": {"attn_mask": allowed},
            "added": {"attn_mask": torch.zeros(6, 6).masked_fill(~allowed, -math.inf)},
            "heads": {"attn_mask": allowed, "scale": 0.5},
        }
        options = kinds[self.kind]
        if self.kind == "heads":
            hidden = hidden.unflatten(2, (2, 4)).transpose(1, 2)
        attended = functional.scaled_dot_product_attention(
            hidden, hidden, hidden, dropout_p=self.p, **options
        )
        output: Tensor = self.head(attended.flatten(1))
        return output


@pytest.mark.parametrize("dropped", [0.0, 0.3])
@pytest.mark.parametrize("kind", ["none", "causal", "allowed", "added", "heads"])
def test_attention_may_be_masked(kind: str, dropped: float, tmp_path: Path, double: None) -> None:
    configs = lanes_of(lr=(0.01, 0.1, 0.3), kind=(kind,) * 3, dropped=(dropped,) * 3)
    check_equal(recipe(Masked), configs, tmp_path, 1e-9)


class Named(nn.Module):
    """Calls functions by the names of their arguments."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.first, self.head = nn.Conv2d(2, 3, 3), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.conv2d(input=x, weight=self.first.weight, bias=self.first.bias)
        x = functional.max_pool2d(input=x, kernel_size=2, stride=2).flatten(1)
        return functional.linear(input=x, weight=self.head.weight, bias=self.head.bias)


def test_functions_may_be_called_by_the_names_of_their_arguments(
    tmp_path: Path, double: None
) -> None:
    check_equal(recipe(Named), lanes_of(lr=(0.01, 0.1, 0.3)), tmp_path, 1e-9)


def other_layers(config: Config) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding="same", groups=2),
        nn.MaxPool2d(2, stride=1, padding=1, ceil_mode=True),
        nn.Conv2d(4, 4, (3, 2), stride=(2, 1), dilation=(1, 2), bias=False),
        nn.Flatten(2),
        nn.Conv1d(4, 3, 3),
        nn.Flatten(),
        nn.Linear(39, 5, bias=False),
        nn.BatchNorm1d(5, affine=False),
        nn.Linear(5, 3),
    )


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "of classes": lambda output, labels: functional.cross_entropy(
        output, labels, reduction="sum", ignore_index=1
    ),
    "smoothed": lambda output, labels: functional.cross_entropy(
        output, labels, reduction="sum", label_smoothing=0.1
    ),
    "weighted": lambda output, labels: functional.cross_entropy(
        output, labels, weight=torch.tensor([1.0, 2.0, 3.0]), reduction="none"
    ).sum(),
    "of parts": lambda output, labels: functional.cross_entropy(
        output, functional.one_hot(labels, 3).to(output.dtype), reduction="sum"
    ),
    "likelihood": lambda output, labels: functional.nll_loss(
        output.log_softmax(dim=1), labels, reduction="none"
    ).sum(),
}


@pytest.mark.parametrize("name", LOSSES)
def test_layers_and_losses_of_other_kinds_train_as_alone(
    name: str, tmp_path: Path, double: None
) -> None:
    made = recipe(other_layers, loss=lambda config, output, batch: LOSSES[name](output, batch[1]))
    check_equal(made, lanes_of(lr=(0.001, 0.01, 0.02)), tmp_path, 1e-9)


def test_a_kernel_for_all_lanes_is_used_only_if_it_has_the_same_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = iter([2.0, 1.0, 2.0, 1.0, 1.0, 2.0])
    monkeypatch.setattr(layers, "_timed", lambda compute: (compute(), next(seconds)))
    choice, one, same, other = layers.Choice(), torch.ones(2), torch.ones(2), torch.zeros(2)
    for key, as_one, used in (("a", same, same), ("b", other, one), ("slower", same, one)):
        assert choice(key, lambda as_one=as_one: as_one, lambda: one) is one  # type: ignore[misc]
        found = choice(key, lambda as_one=as_one: as_one, lambda: one)  # type: ignore[misc]
        assert found is used


def test_a_schedule_sets_each_learning_rate(tmp_path: Path, double: None) -> None:
    made = recipe(schedule=lambda config, part: 1 - part * config["end"])
    check_equal(made, lanes_of(end=(0.0, 0.5, 1.0), lr=(0.1, 0.2, 0.3)), tmp_path, 1e-9)


def test_augmentation_draws_as_alone(tmp_path: Path, double: None) -> None:
    def noisy(config: Config, inputs: Tensor) -> Tensor:
        noise: Tensor = config["noise"] * torch.randn_like(inputs) + random.random()
        return inputs + noise

    check_equal(
        recipe(augment=noisy), lanes_of(noise=(0.0, 0.1, 0.5), dropout=(0.3,) * 3), tmp_path, 1e-9
    )


def test_each_lane_may_have_data_of_its_own(tmp_path: Path, double: None) -> None:
    def shifted(config: Config) -> tuple[Tensor, Tensor]:
        inputs, labels = data(config)
        return inputs + config["shift"], labels

    check_equal(recipe(data=shifted), lanes_of(shift=(0.0, 0.1, 0.2)), tmp_path, 1e-9)


def test_parameters_may_be_frozen_shared_or_in_groups(tmp_path: Path, double: None) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.unused = (nn.Linear(72, 72) for _ in range(3))
            self.second.weight = self.first.weight
            self.frozen, self.head = nn.Linear(72, 6), nn.Linear(6, 3)
            self.frozen.requires_grad_(False)

        def forward(self, x: Tensor) -> Tensor:
            hidden = self.second(self.first(x.flatten(1)).tanh()).tanh()
            output: Tensor = self.head(self.frozen(hidden))
            return output

    def in_groups(config: Config, parameters: Any) -> torch.optim.Optimizer:
        first, *others = parameters
        groups = [{"params": [first], "lr": config["lr"] / 10}, {"params": others}]
        return torch.optim.SGD(groups, lr=config["lr"], momentum=config["momentum"])

    made = recipe(lambda config: Tied(), optimizer=in_groups)
    check_equal(made, lanes_of(lr=(0.01, 0.02, 0.03), momentum=(0.0, 0.5, 0.9)), tmp_path, 1e-9)


@pytest.mark.parametrize("build", [perceptron, attention])
def test_bf16_differs_by_its_rounding(build: Callable[[Config], nn.Module], tmp_path: Path) -> None:
    configs = lanes_of(lr=(0.01, 0.02, 0.05), precision=("bf16",) * 3)
    check_equal(recipe(build), configs, tmp_path, 0.05)


def test_a_lane_that_diverges_touches_no_other(tmp_path: Path, double: None) -> None:
    together = Ensemble(recipe(), tmp_path / "fused")
    for seed, lr in enumerate((0.05, math.inf, 0.1)):
        together.add(BASE | {"lr": lr, "momentum": 0.9}, seed)
    together.train()
    losses = [run.reports[-1]["metrics"]["loss"] for run in together.runs]
    assert list(map(math.isfinite, losses)) == [True, False, True]
    for seed, lr in ((0, 0.05), (2, 0.1)):
        config = BASE | {"lr": lr, "momentum": 0.9}
        run = alone(recipe(), config, tmp_path / f"alone{seed}", seed)
        assert metrics(together.runs[seed])[-1] == pytest.approx(metrics(run)[-1], rel=1e-9)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_lanes_come_and_go_and_continue_from_either_kind_of_checkpoint(
    optimizer: str, tmp_path: Path, double: None
) -> None:
    """0 trains throughout, 1 leaves after an epoch, 2 joins then, 3 began alone, 1 ends alone."""
    base = BASE | {"optimizer": optimizer, "lr": 0.01, "dropout": 0.2}
    configs = [base | {"lr": 0.01 * (i + 1)} for i in range(4)]
    stopped = Run(EPOCHS, stop_after(1), seed=3, folder=tmp_path / "fused" / "3")
    seed_generators(3)
    with contextlib.suppress(StopIteration):
        recipe(convolutions)(configs[3], stopped)
    together = Ensemble(recipe(convolutions), tmp_path / "fused")
    first = [together.add(configs[i], i) for i in (0, 1)]
    together.train(1)
    together.pool.remove(first[1])
    for i in (2, 3):
        together.add(configs[i], i)
    together.train(2)
    together.pool.remove(first[0])  # it has trained its three epochs
    together.train(1)
    continued = alone(recipe(convolutions), configs[1], tmp_path / "fused" / "1", 1)
    ended = [together.runs[0], continued, *together.runs[2:]]
    for i, run in enumerate(ended):
        expected = alone(recipe(convolutions), configs[i], tmp_path / "alone" / str(i), i)
        assert [report["epoch"] for report in run.reports] == [1, 2, 3]
        for fused, one in zip(metrics(run), metrics(expected), strict=True):
            assert fused == pytest.approx(one, rel=1e-9)


def stop_after(epoch: int) -> Callable[[dict[str, Any]], None]:
    def send(message: dict[str, Any]) -> None:
        if message["epoch"] == epoch:
            raise StopIteration

    return send


def test_a_checkpoint_holds_one_trial_alone(tmp_path: Path) -> None:
    """A saved view would bring along what is stacked of all."""
    together = Ensemble(recipe(), tmp_path)
    for seed in range(16):
        together.add(BASE | {"momentum": 0.9}, seed)
    together.train(1)
    one = alone(recipe(), BASE | {"momentum": 0.9}, tmp_path / "alone", 0, epochs=1)
    assert one.folder is not None
    sizes = [(folder / checkpoint.LAST).stat().st_size for folder in (tmp_path / "0", one.folder)]
    assert sizes[0] < 1.2 * sizes[1]


def test_other_shapes_form_groups_of_their_own(tmp_path: Path, double: None) -> None:
    together = Ensemble(recipe(), tmp_path)
    configs = [BASE | {"classes": 3 + i % 2, "lr": 0.01 * (i + 1)} for i in range(5)]
    for seed, config in enumerate(configs):
        together.add(config, seed)
    assert [len(together.pool.train()) for _ in range(4)] == [3, 2, 3, 2]
    said = [line.partition("; ")[2] for _, line in together.said]
    assert said == ["2 others differ in classes", "3 others differ in classes"]
    for seed, config in enumerate(configs):
        run = alone(recipe(), config, tmp_path / f"alone{seed}", seed, epochs=2)
        assert metrics(together.runs[seed]) == [pytest.approx(one) for one in metrics(run)]


def test_what_one_trial_raises_ends_that_trial_alone(tmp_path: Path) -> None:
    def failing(config: Config, model: nn.Module) -> dict[str, float]:
        if config["lr"] == 0.2:
            raise ZeroDivisionError("of this trial")
        return evaluate(config, model)

    together = Ensemble(recipe(evaluate=failing), tmp_path)
    runs = [together.add(BASE | {"lr": lr}, seed) for seed, lr in enumerate((0.1, 0.2, 0.3))]
    ends = together.pool.train()
    assert [type(ends[run]) for run in runs] == [type(None), ZeroDivisionError, type(None)]
    together.pool.remove(runs[1])
    assert set(together.pool.train().values()) == {None}


class Refused(nn.Module):
    """A model of which a test says what it does in its forward pass."""

    def __init__(self, does: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.head = nn.Linear(72, 3)
        self.does = does

    def forward(self, x: Tensor) -> Tensor:
        return self.does(self.head(x.flatten(1)))


def branching(x: Tensor) -> Tensor:
    return x * 2 if x.sum() > 0 else x


def drawing(x: Tensor) -> Tensor:
    return x + torch.randn_like(x)


def drawing_elsewhere(x: Tensor) -> Tensor:
    return x * random.choice([1.0])


def dropping_otherwise(x: Tensor) -> Tensor:
    return functional.alpha_dropout(x, 0.5, training=True)


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        (branching, "data-dependent control flow"),
        (drawing, "called random operation"),
        (drawing_elsewhere, "draws random numbers other than those of dropout"),
        (dropping_otherwise, "called random operation"),
    ],
)
def test_a_forward_pass_for_one_is_refused_and_trained_one_by_one(
    does: Callable[[Tensor], Tensor], reason: str, tmp_path: Path, double: None
) -> None:
    made = recipe(lambda config: Refused(does))
    together = Ensemble(made, tmp_path / "fused")
    for seed in range(2):
        together.add(BASE, seed)
    together.train()
    [(kind, line)] = together.said
    assert kind == "refused"
    assert reason in line
    for seed in range(2):
        run = alone(made, BASE, tmp_path / f"alone{seed}", seed)
        assert metrics(together.runs[seed]) == metrics(run)


class Hooked(nn.Linear):
    def __init__(self) -> None:
        super().__init__(72, 3)
        self.register_forward_hook(lambda module, inputs, output: output)


class Lone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.places = torch.zeros(3)  # no buffer


@pytest.mark.parametrize(
    ("build", "changes", "reason"),
    [
        (perceptron, {"precision": "fp16"}, "fp16"),
        (lambda config: nn.Sequential(nn.Flatten(), Hooked()), {}, "Hooked has hooks"),
        (lambda config: nn.ModuleList([Lone(), nn.Linear(1, 1)]), {}, "Lone.places is a Tensor"),
        (lambda config: nn.GRU(6, 3), {}, "GRU is a recurrent layer"),
    ],
)
def test_what_no_stack_can_hold_is_named(
    build: Callable[[Config], nn.Module], changes: Config, reason: str
) -> None:
    with pytest.raises(CannotFuse, match=reason):
        shape_of(bare_lane(recipe(build), BASE | changes))


def bare_lane(made: Recipe, config: Config) -> Lane:
    """A lane that is not asked for its loss."""
    lane = object.__new__(Lane)
    lane.run = Run(1, lambda message: None)
    lane.recipe, lane.config, lane.samples = made, config, data(config)
    lane.learner = made.learner(config, lane.run)
    return lane


@pytest.mark.parametrize(
    ("optimizer", "reason"),
    [
        (lambda config, own: torch.optim.RMSprop(own), "the optimizer is RMSprop"),
        (lambda config, own: torch.optim.Adam(own, amsgrad=True), "amsgrad"),
        (lambda config, own: torch.optim.SGD(own, momentum=0.9, dampening=0.5), "dampening"),
        (lambda config, own: torch.optim.Adam(own, lr=torch.tensor(0.1)), "is a tensor"),
    ],
)
def test_an_optimizer_that_is_stepped_for_one_only_is_named(optimizer: Any, reason: str) -> None:
    with pytest.raises(CannotFuse, match=reason):
        shape_of(bare_lane(recipe(optimizer=optimizer), BASE))


def test_split_batches_are_trained_one_by_one() -> None:
    lane = bare_lane(recipe(), BASE)
    lane.run.accumulation = 2
    with pytest.raises(CannotFuse, match="its batches are split"):
        shape_of(lane)


@pytest.mark.parametrize(
    "changes",
    [{"classes": 4}, {"batch_size": 8}, {"optimizer": "adam"}, {"momentum": 0.9, "nesterov": True}],
)
def test_a_shape_tells_apart_what_differs(changes: Config) -> None:
    shapes = [shape_of(bare_lane(recipe(), config)) for config in (BASE, BASE | changes)]
    assert shapes[0] != shapes[1]


def test_attributes_and_words_tell_shapes_apart() -> None:
    def sloped(config: Config) -> nn.Module:
        return nn.Sequential(nn.Linear(1, 1), nn.ELU(config["slope"]))

    slopes = [shape_of(bare_lane(recipe(sloped), BASE | {"slope": slope})) for slope in (1.0, 2.0)]
    assert slopes[0] != slopes[1]
    words = [shape_of(bare_lane(recipe(), BASE | {"kind": kind})) for kind in ("a", "b")]
    assert words[0] != words[1]
    rates = [shape_of(bare_lane(recipe(), BASE | {"lr": lr, "dropout": lr})) for lr in (0.1, 0.2)]
    assert rates[0] == rates[1]


def test_values_of_attributes_are_compared_by_what_they_are() -> None:
    def scaled(factor: float) -> Callable[[float], float]:
        return lambda x: factor * x

    assert plain(scaled(1.0)) == plain(scaled(1.0)) != plain(scaled(2.0))
    assert plain({"a": [1, (2.0, None)]}) != plain({"a": [1, (2.5, None)]})
    with pytest.raises(TypeError, match="a object"):
        plain(object())


def test_other_losses_than_alone_are_refused(tmp_path: Path) -> None:
    """The model looks at which lane it is; nothing in torch forbids that."""

    def biased(config: Config, output: Tensor, batch: tuple[Tensor, ...]) -> Tensor:
        factor = 2.0 if isinstance(config["lr"], Tensor) else 1.0
        return factor * loss(config, output, batch)

    together = Ensemble(recipe(loss=biased), tmp_path)
    for seed in range(2):
        together.add(BASE | {"lr": 0.1 * (seed + 1)}, seed)
    together.train(1)
    [(kind, line)] = together.said
    assert (kind, "the first losses differ" in line) == ("refused", True)


def test_what_is_not_faster_is_trained_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured again once there are twice as many, and trained as one then if that is faster."""
    times = iter([1.0, 2.0, 1.0, 0.25])  # of a round one by one, then as one
    monkeypatch.setattr(measure, "ROUNDS", 1)
    monkeypatch.setattr(measure, "_timed", lambda train, clock: next(times))
    together = Ensemble(recipe(), tmp_path, measured=True)
    for seed in range(2):
        together.add(BASE, seed)
    together.train(1)
    together.add(BASE, 2)
    together.train(1)
    assert together.said == [
        (
            "apart",
            "2 trials of one shape train one by one, because together they would take 1.00 times "
            "as long",
        )
    ]
    together.add(BASE, 3)
    together.train(1)
    assert together.said[1:] == [
        ("together", "4 trials of one shape train 16.0 times as fast as one by one")
    ]


def played_gains(monkeypatch: pytest.MonkeyPatch, gain: Callable[[int], float]) -> None:
    monkeypatch.setattr(pool, "gain_of", lambda lanes, kernels: gain(len(lanes)))


def test_a_shape_that_gains_nothing_does_not_end_it_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two pairs are slower as one; of a third shape there are many, which are not."""
    played_gains(monkeypatch, lambda count: count / 4)
    together = Ensemble(recipe(), tmp_path, measured=True, wanted=8)
    for seed in range(4):
        together.add(BASE | {"classes": 3 + seed % 2}, seed)
    together.train(2)
    assert [kind for kind, _ in together.said] == ["apart", "apart"]
    assert "2 trials of one shape" in together.said[0][1]
    assert "2.00 times as long" in together.said[0][1]
    for seed in range(4, 12):
        together.add(BASE | {"classes": 5}, seed)
    together.train(3)
    assert [kind for kind, _ in together.said[2:]] == ["together"]


@pytest.mark.parametrize("shapes", [1, 2])
def test_many_trials_of_all_shapes_that_gain_nothing_end_it(
    shapes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played_gains(monkeypatch, lambda count: 0.9)
    together = Ensemble(recipe(), tmp_path, measured=True, wanted=16)
    for seed in range(16):
        together.add(BASE | {"classes": 3 + seed % shapes}, seed)
    together.train(shapes)
    assert together.said[-1] == ("none", "16 trials gain nothing by training together")


def test_a_shape_that_gained_is_not_given_up_when_few_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played_gains(monkeypatch, lambda count: count / 10)
    together = Ensemble(recipe(), tmp_path, measured=True, wanted=16)
    runs = [together.add(BASE, seed) for seed in range(16)]
    together.train(1)
    for run in runs[:8]:
        together.pool.remove(run)
    together.train(1)
    assert [kind for kind, _ in together.said] == ["together", "apart"]


def test_what_keeps_trials_apart_is_named(tmp_path: Path) -> None:
    together = Ensemble(recipe(), tmp_path, wanted=8)
    for seed in range(8):
        together.add(BASE | {"classes": 3 + seed}, seed)
    together.train(1)
    line = "no two of 8 trials have the same shape; they differ in 4.weight, 4.bias, 4.out_features"
    assert together.said == [("none", line)]


class Configured(nn.Module):
    """A model that keeps its configuration, as many do."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config, self.part = config, config["model"]
        self.first, self.head = nn.Linear(72, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = (self.first(x.flatten(1)) * self.config["scale"]).tanh()
        output: Tensor = self.head(hidden) * self.part["scale"]
        return output


def test_a_model_may_read_the_configuration_that_it_keeps(tmp_path: Path, double: None) -> None:
    configs = lanes_of(scale=(0.5, 1.0, 1.5), model=({"scale": 1.0}, {"scale": 1.5}, {"scale": 2}))
    check_equal(recipe(Configured), configs, tmp_path, 1e-9)


def test_a_model_may_drop_units_as_the_configuration_that_it_keeps_says(
    tmp_path: Path, double: None
) -> None:
    class Dropping(Configured):
        def forward(self, x: Tensor) -> Tensor:
            return functional.dropout(super().forward(x), self.config["dropout"], self.training)

    configs = lanes_of(dropout=(0.1, 0.25, 0.5), scale=(1.0,) * 3, model=({"scale": 1.0},) * 3)
    # In the numbers that lanes differ in there are seven digits.
    check_equal(recipe(Dropping), configs, tmp_path, 1e-6)


def test_a_model_that_branches_on_its_configuration_is_refused(tmp_path: Path) -> None:
    class Branching(Configured):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) if self.config["scale"] > 1 else -super().forward(x)

    together = Ensemble(recipe(Branching), tmp_path)
    for seed, config in enumerate(lanes_of(scale=(0.5, 1.0, 1.5), model=({"scale": 1.0},) * 3)):
        together.add(config, seed)
    together.train(1)
    [(kind, line)] = together.said
    assert (kind, "data-dependent control flow" in line) == ("refused", True)


def test_a_key_that_is_missing_is_named(tmp_path: Path) -> None:
    config = {key: value for key, value in BASE.items() if key != "batch_size"} | {"batch": 16}
    message = r"reads config\['batch_size'\], which the configuration does not have"
    with pytest.raises(ConfigurationError, match=message):
        alone(recipe(), config, tmp_path, 0)
    with pytest.raises(ConfigurationError, match=message):
        Ensemble(recipe(), tmp_path).add(config, 0)


def test_measuring_changes_nothing(double: None) -> None:
    lanes = []
    for seed in range(2):
        seed_generators(seed)
        run = Run(2, lambda message: None, seed=seed)
        lanes.append(Lane(recipe(convolutions), BASE | {"dropout": 0.3}, run))
        lanes[-1].begin_epoch()
    before = [
        numbers([part.state_dict() for part in lane.learner.state.values()]) for lane in lanes
    ]
    drawn = [lane.randomness.generator.get_state() for lane in lanes]
    assert measure.gain_of(lanes, kernels_of(lanes[0])) > 0
    for lane, state, generator in zip(lanes, before, drawn, strict=True):
        now = numbers([part.state_dict() for part in lane.learner.state.values()])
        assert all(map(torch.equal, now, state))
        assert torch.equal(lane.randomness.generator.get_state(), generator)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_a_loss_that_is_no_sum_is_refused(reduction: str, tmp_path: Path) -> None:
    def wrong(config: Config, output: Tensor, batch: tuple[Tensor, ...]) -> Tensor:
        return functional.cross_entropy(output, batch[1], reduction=reduction)

    with pytest.raises(RecipeError, match='reduction="sum"'):
        alone(recipe(loss=wrong), BASE, tmp_path, 0)


def test_a_stack_trains_without_dropout_or_with_masks_in_the_order_of_calls(double: None) -> None:
    """A module that is called twice draws twice."""

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dropout, self.head = nn.Dropout(0.5), nn.Linear(72, 3)

        def forward(self, x: Tensor) -> Tensor:
            output: Tensor = self.dropout(self.head(self.dropout(x.flatten(1))))
            return output

    lanes = []
    for seed in range(2):
        seed_generators(seed)
        run = Run(1, lambda message: None, seed=seed)
        lanes.append(Lane(recipe(lambda config: Twice()), BASE, run))
        lanes[-1].begin_epoch()
    copies = [lane.copy() for lane in lanes]
    fused = Stack(lanes, kernels_of(lanes[0])).train_epoch()
    assert fused == pytest.approx([lane.train_epoch() for lane in copies], rel=1e-9)
