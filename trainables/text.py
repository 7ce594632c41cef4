"""A classifier of text, an LSTM or a transformer: which module is a line of Python code from?

Tuned: `model` (lstm, transformer), `width`, `layers`, `dropout`, `lr`, `batch_size`, `optimizer`
(sgd, adam), `weight_decay`, `precision`. Constants: `train_size`. An epoch over the 2,668 training
lines takes about a second on one thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader

from raysweep.trainables.common.classification import (
    Learner,
    compute_metrics,
    draw_predictions,
    predict,
)
from raysweep.trainables.common.datasets import Split
from raysweep.trainables.common.text_corpus import (
    MAX_WORDS,
    MODULES,
    VOCABULARY_SIZE,
    Lines,
    corpus,
)
from raysweep.trainables.runtime.run import Run
from raysweep.trainables.runtime.tensorboard import Board

HEADS = 4
"""Attention heads. Every `width` in `text.yaml` is a multiple of it."""
POOL_BATCHES = 20
"""How many batches' worth of lines are sorted by length at a time. Larger pools have less padding,
and less random batches."""
EVALUATION_BATCH = 256


class Classifier(nn.Module):
    """From word numbers, padded with 0, to the logits of the modules."""

    def __init__(self, width: int, dropout: float, body: nn.Module) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY_SIZE + 1, width, padding_idx=0)
        self.dropout = nn.Dropout(dropout)
        self.body = body
        self.head = nn.Linear(width, len(MODULES))

    def forward(self, words: Tensor) -> Tensor:
        is_word = words != 0
        embedded = self.dropout(self.words(words))
        features = self.dropout(self.body(embedded, is_word))
        logits: Tensor = self.head(features)
        return logits


class LstmBody(nn.Module):
    """The last hidden state of an LSTM."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, width, layers, batch_first=True)

    def forward(self, x: Tensor, is_word: Tensor) -> Tensor:
        # Half precision is slower for an LSTM on a CPU, and not available on every CPU.
        with torch.autocast(x.device.type, enabled=False):
            lengths = is_word.sum(dim=1).cpu()
            packed = pack_padded_sequence(
                x.float(), lengths, batch_first=True, enforce_sorted=False
            )
            _, (hidden, _) = self.lstm(packed)
        return torch.as_tensor(hidden[-1])


class TransformerBody(nn.Module):
    """The mean of a transformer's outputs over the words of a line."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.randn(MAX_WORDS, width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width, HEADS, 2 * width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)

    def forward(self, x: Tensor, is_word: Tensor) -> Tensor:
        x = self.layers(x + self.places[: x.shape[1]], src_key_padding_mask=~is_word)
        return (x * is_word[:, :, None]).sum(dim=1) / is_word.sum(dim=1, keepdim=True)


BODIES = {"lstm": LstmBody, "transformer": TransformerBody}


def build(config: dict[str, Any]) -> nn.Module:
    """The untrained network."""
    if config["model"] not in BODIES:
        raise ValueError(f"model '{config['model']}': expected one of {', '.join(BODIES)}")
    body = BODIES[config["model"]](config["width"], config["layers"])
    return Classifier(config["width"], config.get("dropout", 0.0), body)


def train(config: dict[str, Any], run: Run) -> None:
    """Train, and report after each epoch."""
    lines = corpus(config.get("train_size")).train
    learner = Learner.from_config(config, build(config), run)
    sampler = BucketSampler([len(words) for words, _ in lines], config["batch_size"], run)
    batches: DataLoader[Any] = DataLoader(
        lines,  # type: ignore[arg-type]
        batch_sampler=sampler,
        collate_fn=collate,
    )
    # What is named here is in the checkpoint, from which an interrupted trial continues.
    for _ in run.epochs(**learner.state):
        learner.model.train()
        total_loss = torch.zeros((), device=run.device)
        for words, labels in batches:
            # With several processes, each of them trains on its shard of every batch.
            shard = run.process_group.shard(torch.arange(len(labels)))
            batch = words[shard].to(run.device), labels[shard].to(run.device)
            total_loss += learner.step(batch, len(labels))
        train_loss = run.process_group.mean(total_loss) / len(lines)
        run.board.histograms(learner.model)
        draw(config, learner.model, run.board)
        run.report(train_loss=train_loss, **evaluate(config, learner.model))


class BucketSampler:
    """A batch sampler: each batch has lines of similar length, so that little of it is padding.

    The batches, and their order, are new in each epoch.
    """

    def __init__(self, lengths: list[int], batch_size: int, run: Run) -> None:
        self._lengths = torch.tensor(lengths)
        self._batch_size = batch_size
        self._run = run

    def __len__(self) -> int:
        return -(-len(self._lengths) // self._batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        batches: list[list[int]] = []
        order = self._run.shuffled(len(self._lengths))
        # Sorted within random pools: sorting all lines would give the same batches each epoch.
        for pool in order.split(POOL_BATCHES * self._batch_size):
            sorted_pool = pool[self._lengths[pool].argsort(stable=True)]
            batches += [batch.tolist() for batch in sorted_pool.split(self._batch_size)]
        # Shuffled once more, or each pool would go from its short lines to its long ones.
        for i in self._run.shuffled(len(batches)).tolist():
            yield batches[i]


def collate(lines: Lines) -> tuple[Tensor, Tensor]:
    """Lines as one tensor (n, words of the longest line), padded with 0, and their labels (n,)."""
    words = pad_sequence([torch.tensor(words) for words, _ in lines], batch_first=True)
    return words, torch.tensor([label for _, label in lines])


def evaluate(
    config: dict[str, Any], model: nn.Module, split: str = "validation"
) -> dict[str, float]:
    """`val_loss` and `val_accuracy` of a model, or with split `test`, `test_loss` and so on."""
    words, labels = collate(corpus(config.get("train_size")).split(split))
    return compute_metrics(config, model, Split(words, labels), split, EVALUATION_BATCH)


def draw(config: dict[str, Any], model: nn.Module, board: Board) -> None:
    """Show in TensorBoard which modules the model confuses."""
    lines = corpus(config.get("train_size")).validation
    labels = torch.tensor([label for _, label in lines])

    def predict_first(count: int) -> Tensor:
        words, _ = collate(lines[:count])
        return predict(model, words, config.get("precision", "fp32"), EVALUATION_BATCH)

    draw_predictions(board, predict_first, labels, MODULES)


def preload(config: dict[str, Any]) -> None:
    """Load what the trials of a worker share. Called before the process of each is forked."""
    corpus(config.get("train_size"))
