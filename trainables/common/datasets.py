"""Data sets as tensors, loaded once per process.

`digits` comes with scikit-learn. `mnist`, `fashion_mnist` and `cifar10` lie under the data root, in torchvision's layout; what is missing
is downloaded once, under a file lock. The training files are split into training and validation by a fixed permutation, the same for every
trial of every sweep; the test split is never used for selection.
"""

from __future__ import annotations

import fcntl
import gzip
import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raysweep.trainables.runtime.run import DataError

ROOT_VARIABLE = "RAYSWEEP_DATA_ROOT"
SPLIT_SEED = 20_260_101
VALIDATION_SHARE = 1 / 6

Arrays = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Split:
    """`images`: float32 of shape (n, channels, height, width), standardized by the training images. `labels`: int64 of shape (n,)."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Data:
    """The three splits of a data set, and its number of classes."""

    train: Split
    validation: Split
    test: Split
    classes: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    def split(self, name: str) -> Split:
        """`train`, `validation` or `test`."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return splits[name]


def root() -> Path:
    """Where data sets lie."""
    return Path(os.environ.get(ROOT_VARIABLE) or Path.home() / ".cache" / "raysweep").expanduser()


@lru_cache(maxsize=4)
def load(name: str, size: int | None = None) -> Data:
    """A data set by its name; `size`: only so many of its training images (validation included), and a sixth as many test images.

    DataError where it is unknown, or missing and not to be downloaded.
    """
    (images, labels), (test_images, test_labels) = _read(name)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))[:size]
    test = np.arange(len(test_labels))[: size and max(1, size // 6)]
    held = round(len(order) * VALIDATION_SHARE)
    scale = _Scale.of(images[order[held:]])
    return Data(
        train=scale.split(images[order[held:]], labels[order[held:]]),
        validation=scale.split(images[order[:held]], labels[order[:held]]),
        test=scale.split(test_images[test], test_labels[test]),
        classes=int(labels.max()) + 1,
    )


def fetch(config: dict[str, Any]) -> None:
    """Have the data set that a configuration names as `data` on this machine. DataError as `load`. Nothing where it names none."""
    if "data" in config:
        _read(config["data"])


def _read(name: str) -> tuple[Arrays, Arrays]:
    if name not in READERS:
        raise DataError(f"unknown data set '{name}'; expected one of {', '.join(READERS)}")
    return READERS[name]()


@dataclass(frozen=True)
class _Scale:
    """Mean and deviation of the training images, by channel."""

    mean: Tensor
    deviation: Tensor

    @staticmethod
    def of(images: np.ndarray[Any, Any]) -> _Scale:
        pixels = torch.from_numpy(images).float()
        return _Scale(
            pixels.mean(dim=(0, 2, 3), keepdim=True), pixels.std(dim=(0, 2, 3), keepdim=True) + 1e-6
        )

    def split(self, images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> Split:
        return Split(
            (torch.from_numpy(images).float() - self.mean) / self.deviation,
            torch.from_numpy(labels).long(),
        )


def _digits() -> tuple[Arrays, Arrays]:
    """1,797 images of 8 x 8 from scikit-learn's wheel, a sixth of them for the test. The file is read without importing scikit-learn."""
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise DataError("the data set 'digits' comes with scikit-learn, which is not installed")
    with gzip.open(Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz", "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.int64)
    table = table[np.random.default_rng(SPLIT_SEED).permutation(len(table))]
    images, labels = table[:, :64].reshape(-1, 1, 8, 8).astype(np.uint8), table[:, 64]
    held = len(labels) // 6
    return (images[held:], labels[held:]), (images[:held], labels[:held])


def _idx(folder: str, dataset: str) -> tuple[Arrays, Arrays]:
    """A data set in the MNIST family's idx format: uint8 images of shape (n, 1, 28, 28)."""
    raw = root() / folder / "raw"
    with _downloaded(dataset, raw / "t10k-labels-idx1-ubyte"):
        pairs = []
        for part in ("train", "t10k"):
            images, labels = (
                _read_idx(raw / f"{part}-{kind}")
                for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
            )
            pairs.append((images[:, None], labels.astype(np.int64)))
        return pairs[0], pairs[1]


def _read_idx(path: Path) -> np.ndarray[Any, Any]:
    """An idx file: two zero bytes, the type (8: uint8), the number of dimensions, their sizes (big-endian), then the values."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    dimensions = content[3] if content[:3] == b"\0\0\x08" else 0
    sizes = np.frombuffer(content, ">i4", dimensions, 4)
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions)
    if not dimensions or values.size != sizes.prod():
        raise DataError(f"{path} is damaged: remove it, and it is downloaded again")
    return values.reshape(sizes)


def _cifar10() -> tuple[Arrays, Arrays]:
    """50,000 + 10,000 colour images of 32 x 32."""
    with _downloaded("CIFAR10", root() / "cifar-10-batches-py" / "test_batch"):
        from torchvision.datasets import CIFAR10

        parts = [CIFAR10(root(), train=train, download=False) for train in (True, False)]
    pairs = [
        (
            np.ascontiguousarray(part.data.transpose(0, 3, 1, 2)),
            np.array(part.targets, dtype=np.int64),
        )
        for part in parts
    ]
    return pairs[0], pairs[1]


@contextmanager
def _downloaded(dataset: str, last: Path) -> Iterator[None]:
    """Have a torchvision data set under the data root. `last` is the file whose presence says that all are there."""
    if not last.exists():
        with _locked(root() / f".{dataset}.lock"):
            if not last.exists():
                _download(dataset)
    yield


def _download(dataset: str) -> None:
    import torchvision.datasets

    try:
        getattr(torchvision.datasets, dataset)(root(), download=True)
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{dataset} is not under {root()} and cannot be downloaded ({reason}); name its folder with --data-root"
        ) from None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for the lock on a file, across the processes of a machine. DataError where the data root cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "w")  # noqa: SIM115
    except OSError as error:
        raise DataError(
            f"the data are not under {path.parent}, and it cannot be written: {error.strerror}"
        ) from None
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


READERS: dict[str, Callable[[], tuple[Arrays, Arrays]]] = {
    "digits": _digits,
    "mnist": lambda: _idx("MNIST", "MNIST"),
    "fashion_mnist": lambda: _idx("FashionMNIST", "FashionMNIST"),
    "cifar10": _cifar10,
}
