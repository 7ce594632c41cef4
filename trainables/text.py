"""A classifier of text, an LSTM or a transformer: of which module of Python's standard library is a line of code?

Tuned: `model` (lstm, transformer), `width`, `layers`, `dropout`, `lr`, `batch_size`, `optimizer` (sgd, adam), `weight_decay`, `precision`.
Constants: `train_size`. Lines of like length share a batch, so that little of it is padding. With one thread an epoch over the 2,668 lines
takes about a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader

from raysweep.trainables.common.classification import Learner, drawn, guesses, metrics_of
from raysweep.trainables.common.datasets import Split
from raysweep.trainables.common.text_corpus import LONGEST, MODULES, WORDS, Lines, corpus
from raysweep.trainables.runtime.run import Run
from raysweep.trainables.runtime.tensorboard import Board

HEADS = 4
POOL = 20
"""So many batches' worth of lines are sorted by length together."""


class Classifier(nn.Module):
    """Words to the number of a module. Words are padded with 0 to the length of the longest line of a batch."""

    def __init__(self, width: int, dropout: float, body: nn.Module) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS + 1, width, padding_idx=0)
        self.dropout = nn.Dropout(dropout)
        self.body = body
        self.head = nn.Linear(width, len(MODULES))

    def forward(self, words: Tensor) -> Tensor:
        result: Tensor = self.head(
            self.dropout(self.body(self.dropout(self.words(words)), words != 0))
        )
        return result


class Recurrent(nn.Module):
    """The last state of an LSTM, computed in float32: in half precision it is slower on a CPU, and not everywhere there."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, width, layers, batch_first=True)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            packed = pack_padded_sequence(
                x.float(), there.sum(dim=1).cpu(), batch_first=True, enforce_sorted=False
            )
            _, (hidden, _) = self.lstm(packed)
        return torch.as_tensor(hidden[-1])


class Attentive(nn.Module):
    """The mean over the words of what a transformer makes of them."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.randn(LONGEST, width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width, HEADS, 2 * width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        x = self.layers(x + self.places[: x.shape[1]], src_key_padding_mask=~there)
        return (x * there[:, :, None]).sum(dim=1) / there.sum(dim=1, keepdim=True)


BODIES = {"lstm": Recurrent, "transformer": Attentive}


def build(config: dict[str, Any]) -> nn.Module:
    """The untrained network."""
    if config["model"] not in BODIES:
        raise ValueError(f"model '{config['model']}': expected one of {', '.join(BODIES)}")
    return Classifier(
        config["width"],
        config.get("dropout", 0.0),
        BODIES[config["model"]](config["width"], config["layers"]),
    )


def preload(config: dict[str, Any]) -> None:
    """Load what the trials of a worker share: called before the process of each is forked."""
    corpus(config.get("train_size"))


def train(config: dict[str, Any], run: Run) -> None:
    """Train, and report after each epoch."""
    lines = corpus(config.get("train_size")).train
    learner = Learner.of(config, build(config), run)
    buckets = Buckets([len(words) for words, _ in lines], config["batch_size"], run)
    batches: DataLoader[Any] = DataLoader(lines, batch_sampler=buckets, collate_fn=padded)  # type: ignore[arg-type]
    for _ in run.epochs(**learner.state):
        learner.model.train()
        total = torch.zeros((), device=run.device)
        for words, labels in batches:
            mine = run.process_group.shard(torch.arange(len(labels)))
            total += learner.step(
                words[mine].to(run.device), labels[mine].to(run.device), len(labels)
            )
        run.board.histograms(learner.model)
        draw(config, learner.model, run.board)
        run.report(
            train_loss=run.process_group.mean(total) / len(lines), **evaluate(config, learner.model)
        )


class Buckets:
    """A batch sampler: lines of like length together, the batches in a new random order each epoch."""

    def __init__(self, lengths: list[int], size: int, run: Run) -> None:
        self._lengths, self._size, self._run = torch.tensor(lengths), size, run

    def __len__(self) -> int:
        return -(-len(self._lengths) // self._size)

    def __iter__(self) -> Iterator[list[int]]:
        batches: list[list[int]] = []
        for pool in self._run.shuffled(len(self._lengths)).split(POOL * self._size):
            sorted_pool = pool[self._lengths[pool].argsort(stable=True)]
            batches += [batch.tolist() for batch in sorted_pool.split(self._size)]
        for i in self._run.shuffled(len(batches)).tolist():
            yield batches[i]


def padded(lines: Lines) -> tuple[Tensor, Tensor]:
    """The collate function: lines as one tensor, padded with 0 to the longest, and their labels."""
    words = pad_sequence([torch.tensor(words) for words, _ in lines], batch_first=True)
    return words, torch.tensor([label for _, label in lines])


def evaluate(
    config: dict[str, Any], model: nn.Module, split: str = "validation"
) -> dict[str, float]:
    """`val_loss` and `val_accuracy` of a trained network, or with split `test`, `test_loss` and `test_accuracy`."""
    return metrics_of(
        config, model, Split(*padded(corpus(config.get("train_size")).split(split))), split, 256
    )


def draw(config: dict[str, Any], model: nn.Module, board: Board) -> None:
    """Show which module's lines the network takes for which other's."""
    lines = corpus(config.get("train_size")).validation
    labels = torch.tensor([label for _, label in lines])
    drawn(
        board,
        lambda count: guesses(
            model, padded(lines[:count])[0], config.get("precision", "fp32"), 256
        ),
        labels,
        MODULES,
    )
