"""Makes learning curves to develop searchers on, beside those of `search_problems.py`.

They are of nine small recurrent nets, with 1,000 trainings of each.

    python benchmarks/search_curves.py OUT [NAME ...] --images FOLDER

They are made as the curves of TaskSet are: Adam with eight hyperparameters (Metz et al., "Using a
thousand optimization tasks to learn hyperparameter search strategies", 2020, appendix on Adam8p),
drawn from the same ranges, with 50 evaluations. The nets read the rows of images (MNIST and
FashionMNIST in FOLDER, as torchvision lays them out), or words from the docstrings of two installed
packages, and say which of the two they are from. A hundred nets train in one array operation, on
one thread, which takes 2 to 16 minutes per problem. OUT/NAME.npz has `hp` (1000, 8), `keys` (8,)
and `valid` (1000, 51), whose first evaluation is before any step; `search_problems.TaskSet` reads
it.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

Tensor = torch.Tensor
Params = dict[str, Tensor]
KEYS = (
    "learning_rate",
    "beta1",
    "beta2",
    "epsilon",
    "l1",
    "l2",
    "linear_decay",
    "exponential_decay",
)
CONFIGS, TOGETHER, BATCH, STEPS, EVALUATIONS = 1000, 100, 16, 1000, 50
TASKSET_STEPS = 10_000
"""Decays are by this many steps, however few are trained."""
TRAINED, JUDGED, WORDS, EMBEDDED = 20_000, 256, 199, 16


@dataclass(frozen=True)
class Task:
    """A net and its data.

    cell: gru, irnn, lstm or vrnn. data: the images, or the number of words. width: of the state.
    average: classify the mean of all states instead of the last one.
    """

    cell: str
    data: str
    width: int
    average: bool = False


TASKS = {
    "vrnn_text32": Task("vrnn", "text32", 24),
    "gru_fparity_avg": Task("gru", "fparity", 20, average=True),
    "irnn_parity": Task("irnn", "parity", 24),
    "lstm_text48": Task("lstm", "text48", 16),
    "vrnn_parity": Task("vrnn", "parity", 24),
    "irnn_text48": Task("irnn", "text48", 20),
    "vrnn_fashion": Task("vrnn", "fashion", 24),
    "irnn_fparity": Task("irnn", "fparity", 24),
    "gru_text32": Task("gru", "text32", 16),
}
PACKAGES = {"text32": ("torch", "scipy"), "text48": ("pandas", "ray")}
GATES = {"gru": 3, "lstm": 4, "irnn": 1, "vrnn": 1}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(TASKS)}; all unless said")
    parser.add_argument(
        "--images", type=Path, required=True, help="the folder with MNIST/raw and FashionMNIST/raw"
    )
    parser.add_argument("--configs", type=int, default=CONFIGS)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # nets that vanish would otherwise slow all of them down
    for name in options.names or TASKS:
        hp = drawn(name)[: options.configs]
        np.savez(
            options.out / name,
            hp=hp,
            keys=np.array(KEYS),
            valid=curves(TASKS[name], hp, options.images),
        )
        print(name)


def drawn(name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The configurations, (CONFIGS, 8)."""
    rng = np.random.default_rng(sum(map(ord, f"own/{name}")))

    def log(low: float, high: float) -> Any:
        return np.exp(rng.uniform(np.log(low), np.log(high), CONFIGS))

    rates = [log(1e-8, 10), 1 - log(1e-4, 1), 1 - log(1e-6, 1), log(1e-10, 1e3)]
    return np.column_stack([*rates, log(1e-8, 10), log(1e-8, 10), log(1e-7, 1e-4), log(1e-6, 1e-3)])


@dataclass(frozen=True)
class Data:
    """inputs: rows (n, 28, 28), or words (n, length) of `WORDS + 1` kinds. classes: how many."""

    inputs: Tensor
    labels: Tensor
    judged: tuple[Tensor, Tensor]
    classes: int

    @property
    def words(self) -> bool:
        return self.inputs.dim() == 2


def data(kind: str, images: Path) -> Data:
    if kind in PACKAGES:
        return text(*PACKAGES[kind], length=int(kind.removeprefix("text")))
    dataset = "MNIST"
    if kind.startswith("f"):
        dataset = "FashionMNIST"
    inputs, labels = pictures(images / dataset / "raw")
    if kind.endswith("parity"):
        labels = labels % 2
    # The same split for all nets, so that their curves differ by the hyperparameters alone.
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))
    inputs, labels, end = inputs[order], labels[order], TRAINED + JUDGED
    return Data(
        inputs[:TRAINED],
        labels[:TRAINED],
        (inputs[TRAINED:end], labels[TRAINED:end]),
        int(labels.max()) + 1,
    )


def pictures(raw: Path) -> tuple[Tensor, Tensor]:
    pixels = np.frombuffer(
        (raw / "train-images-idx3-ubyte").read_bytes(), np.uint8, offset=16
    ).reshape(-1, 28, 28)
    labels = np.frombuffer((raw / "train-labels-idx1-ubyte").read_bytes(), np.uint8, offset=8)
    return torch.tensor(pixels.astype(np.float32) / 255), torch.tensor(labels.astype(np.int64))


def text(*packages: str, length: int) -> Data:
    streams = [words(package) for package in packages]
    shortest = min(map(len, streams))
    streams = [stream[:shortest] for stream in streams]
    known = {
        word: i + 1
        for i, (word, _) in enumerate(Counter(streams[0] + streams[1]).most_common(WORDS))
    }
    coded = [np.array([known.get(word, 0) for word in stream]) for stream in streams]

    def cut(low: float, high: float) -> tuple[Tensor, Tensor]:
        parts = [stream[int(len(stream) * low) : int(len(stream) * high)] for stream in coded]
        rows = [part[: len(part) // length * length].reshape(-1, length) for part in parts]
        order = np.random.default_rng(0).permutation(2 * min(map(len, rows)))
        each = min(map(len, rows))
        return torch.tensor(np.concatenate([row[:each] for row in rows])[order]), torch.tensor(
            np.repeat([0, 1], each)[order]
        )

    inputs, labels = cut(0, 0.85)
    judged = cut(0.85, 1)
    return Data(inputs, labels, (judged[0][:JUDGED], judged[1][:JUDGED]), 2)


def words(package: str) -> list[str]:
    """The words and signs of a package's docstrings, in the order of its files."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{package} is not installed")
    found: list[str] = []
    for path in sorted(Path(spec.origin).parent.glob("**/*.py"), key=str):
        for said in re.findall(r'"""(.*?)"""', path.read_text(errors="ignore"), re.DOTALL):
            found += re.findall(r"[a-z]+|[^\sa-z]", said.lower())
    return found


def curves(task: Task, hp: Any, images: Path) -> Any:
    """The validation losses, (configurations, EVALUATIONS + 1)."""
    given = data(task.data, images)
    return np.concatenate(
        [_curves(task, given, hp[i : i + TOGETHER]) for i in range(0, len(hp), TOGETHER)]
    )


def _curves(task: Task, given: Data, hp: Any) -> Any:
    valid = np.full((len(hp), EVALUATIONS + 1), np.nan, np.float32)
    params = initial(task, given, len(hp))
    step_by = adam(hp, params)
    generator = torch.Generator().manual_seed(2)
    for step in range(STEPS + 1):
        if step % (STEPS // EVALUATIONS) == 0:
            with torch.no_grad():
                valid[:, step // (STEPS // EVALUATIONS)] = losses(
                    task, given, params, *given.judged
                ).numpy()
        if step < STEPS:
            some = torch.randint(len(given.inputs), (BATCH,), generator=generator)
            for value in params.values():
                value.requires_grad_(True)
            loss = losses(task, given, params, given.inputs[some], given.labels[some])
            params = step_by(params, torch.autograd.grad(loss.sum(), list(params.values())), step)
    return valid


def initial(task: Task, given: Data, nets: int) -> Params:
    """The same weights for each of `nets` nets, the first dimension of each array."""
    generator, gates, width = torch.Generator().manual_seed(1), GATES[task.cell], task.width
    params: Params = {}
    fed = given.inputs.shape[-1]
    if given.words:
        fed = EMBEDDED

    def normal(*shape: int, deviation: float) -> Tensor:
        return (
            (torch.randn(1, *shape, generator=generator) * deviation).expand(nets, *shape).clone()
        )

    if given.words:
        params["words"] = normal(WORDS + 1, EMBEDDED, deviation=0.3)
    params["in"] = normal(fed, gates * width, deviation=fed**-0.5)
    params["bias"] = torch.zeros(nets, 1, gates * width)
    if task.cell == "irnn":
        params["state"] = torch.eye(width).expand(nets, width, width).clone()
        params["in"] *= 0.3
    else:
        turned = [
            torch.linalg.qr(torch.randn(width, width, generator=generator))[0] for _ in range(gates)
        ]
        params["state"] = torch.cat(turned, 1).expand(nets, width, gates * width).clone()
    params["out"] = normal(width, given.classes, deviation=width**-0.5)
    params["out_bias"] = torch.zeros(nets, 1, given.classes)
    return params


def losses(task: Task, given: Data, params: Params, inputs: Tensor, labels: Tensor) -> Tensor:
    """The mean cross-entropy of each net, (nets,)."""
    logits = torch.log_softmax(outputs(task, given, params, inputs), -1)
    return -logits.gather(2, labels.view(1, -1, 1).expand(len(logits), -1, 1)).mean((1, 2))


def _fed(given: Data, params: Params, inputs: Tensor) -> Tensor:
    """What the nets read, step by step: (nets, length * examples, features)."""
    by_step = inputs.transpose(0, 1)
    if given.words:
        return params["words"][:, by_step.reshape(-1)]
    rows = by_step.reshape(1, by_step.shape[0] * by_step.shape[1], -1)
    return rows.expand(len(params["in"]), -1, -1)


def outputs(task: Task, given: Data, params: Params, inputs: Tensor) -> Tensor:
    """(nets, examples, classes)."""
    nets, (examples, length), width = len(params["in"]), inputs.shape[:2], task.width
    projected = torch.baddbmm(params["bias"], _fed(given, params, inputs), params["in"])
    steps = projected.view(nets, length, examples, -1).unbind(1)
    state, memory, total = (torch.zeros(nets, examples, width) for _ in range(3))
    for step in steps:
        state, memory = CELLS[task.cell](step, state, memory, params["state"])
        total = total + state
    if task.average:
        state = total / length
    return torch.baddbmm(params["out_bias"], state, params["out"])


def _relu(step: Tensor, state: Tensor, memory: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    return torch.relu(torch.baddbmm(step, state, weights)), memory


def _tanh(step: Tensor, state: Tensor, memory: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    return torch.tanh(torch.baddbmm(step, state, weights)), memory


def _gru(step: Tensor, state: Tensor, memory: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    width, turned = state.shape[2], torch.bmm(state, weights)
    gates = torch.sigmoid(step[..., : 2 * width] + turned[..., : 2 * width])
    new = torch.tanh(step[..., 2 * width :] + gates[..., :width] * turned[..., 2 * width :])
    return new + gates[..., width:] * (state - new), memory


def _lstm(step: Tensor, state: Tensor, memory: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    width, turned = state.shape[2], torch.baddbmm(step, state, weights)
    gates = torch.sigmoid(turned[..., : 3 * width])
    memory = gates[..., :width] * memory + gates[..., width : 2 * width] * torch.tanh(
        turned[..., 3 * width :]
    )
    return gates[..., 2 * width :] * torch.tanh(memory), memory


CELLS = {"irnn": _relu, "vrnn": _tanh, "gru": _gru, "lstm": _lstm}


def adam(hp: Any, params: Params) -> Callable[[Params, tuple[Tensor, ...], int], Params]:
    """Make a function that steps each net with its own hyperparameters.

    hp: (nets, 8), in the order of KEYS. The function keeps the moments of `params`.
    """
    first, second = (
        {name: torch.zeros_like(value) for name, value in params.items()} for _ in range(2)
    )
    rate, beta, _, epsilon, l1, l2, linear, exponential = (
        one.view(-1, 1, 1) for one in torch.tensor(hp, dtype=torch.float32).T
    )
    # In float64: 1 - beta may be 1e-6, of which float32 leaves one digit.
    exact = [torch.tensor(hp[:, i]).view(-1, 1, 1) for i in (1, 2)]
    slow = TASKSET_STEPS / STEPS  # the decays are given per step of TaskSet's longer trainings

    def step_by(params: Params, slopes: tuple[Tensor, ...], step: int) -> Params:
        now = (
            rate
            * torch.clamp(1 - linear * step * slow, min=0)
            * torch.exp(-exponential * step * slow)
        )
        grown = [(1 - one ** (step + 1)).float() for one in exact]
        new = {}
        with torch.no_grad():
            for (name, value), slope in zip(params.items(), slopes, strict=True):
                slope = slope + l1 * torch.sign(value.detach()) + 2 * l2 * value.detach()
                first[name].mul_(beta).add_((1 - beta) * slope)
                second[name].mul_(exact[1].float()).add_((1 - exact[1]).float() * slope * slope)
                new[name] = value.detach() - now * (first[name] / grown[0]) / (
                    torch.sqrt(second[name] / grown[1]) + epsilon
                )
        return new

    return step_by


if __name__ == "__main__":
    main()
