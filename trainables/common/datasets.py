"""Data sets as tensors, loaded once per process.

`digits` comes with scikit-learn. `mnist`, `fashion_mnist` and `cifar10` lie under the data root, in
torchvision's layout. What is missing is downloaded once, under a file lock. The training files are
split into training and validation by a fixed permutation, which is the same for every trial of
every sweep. The test split is never used for selection.
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

from raysweep.errors import first_line
from raysweep.trainables.runtime.run import DataError

ROOT_VARIABLE = "RAYSWEEP_DATA_ROOT"
"""The environment variable that names the data root."""
SPLIT_SEED = 20_260_101
"""Any number would do, but another one makes other splits, and curves that cannot be compared."""
VALIDATION_FRACTION = 1 / 6
"""As large as the test split: MNIST has 60,000 images and 10,000 for the test."""

Arrays = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Split:
    """Images and their labels.

    `images`: float32 of shape (n, channels, height, width), standardized by the mean and deviation
    of the training images. `labels`: int64 of shape (n,).
    """

    images: Tensor
    labels: Tensor

    @property
    def samples(self) -> tuple[Tensor, Tensor]:
        """Images and labels as a learner takes them."""
        return self.images, self.labels

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
    """The data root: the folder that the data sets lie in."""
    return Path(os.environ.get(ROOT_VARIABLE) or Path.home() / ".cache" / "raysweep").expanduser()


@lru_cache(maxsize=4)
def load(name: str, size: int | None = None) -> Data:
    """A data set by its name.

    `size`: use only so many of its training images (those for validation included), and a sixth as
    many test images. DataError if the name is unknown, or the files are missing and cannot be
    downloaded.
    """
    (images, labels), (test_images, test_labels) = _read(name)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))[:size]
    validation_size = round(len(order) * VALIDATION_FRACTION)
    validation, train = order[:validation_size], order[validation_size:]
    test = np.arange(len(test_labels))
    if size:
        test = test[: max(1, size // 6)]
    standardization = _Standardization.of(images[train])
    return Data(
        train=standardization.split(images[train], labels[train]),
        validation=standardization.split(images[validation], labels[validation]),
        test=standardization.split(test_images[test], test_labels[test]),
        classes=int(labels.max()) + 1,
    )


def fetch(config: dict[str, Any]) -> None:
    """Download the data set that a configuration names as `data`, unless it is on this machine.

    Does nothing if the configuration names none. It raises DataError as `load` does.
    """
    if "data" in config:
        _read(config["data"])


def _read(name: str) -> tuple[Arrays, Arrays]:
    if name not in READERS:
        raise DataError(f"unknown data set '{name}'; expected one of {', '.join(READERS)}")
    return READERS[name]()


@dataclass(frozen=True)
class _Standardization:
    """Mean and deviation of the training images by channel, both of shape (1, channels, 1, 1)."""

    mean: Tensor
    deviation: Tensor

    @staticmethod
    def of(images: np.ndarray[Any, Any]) -> _Standardization:
        pixels = torch.from_numpy(images).float()
        mean = pixels.mean(dim=(0, 2, 3), keepdim=True)
        deviation = pixels.std(dim=(0, 2, 3), keepdim=True)
        return _Standardization(mean, deviation + 1e-6)  # a channel may be constant

    def split(self, images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> Split:
        standardized = (torch.from_numpy(images).float() - self.mean) / self.deviation
        return Split(standardized, torch.from_numpy(labels).long())


def _digits() -> tuple[Arrays, Arrays]:
    """1,797 images of 8 x 8 from scikit-learn's wheel, a sixth of them for the test.

    The file is read without importing scikit-learn, which would take longer than a short training.
    """
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise DataError("the data set 'digits' comes with scikit-learn, which is not installed")
    with gzip.open(Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz", "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.int64)
    table = table[np.random.default_rng(SPLIT_SEED).permutation(len(table))]
    images, labels = table[:, :64].reshape(-1, 1, 8, 8).astype(np.uint8), table[:, 64]
    test_size = len(labels) // 6
    return (images[test_size:], labels[test_size:]), (images[:test_size], labels[:test_size])


def _idx(folder: str, dataset: str) -> tuple[Arrays, Arrays]:
    """A data set in the MNIST family's idx format: uint8 images of shape (n, 1, 28, 28)."""
    raw = root() / folder / "raw"
    with _downloaded(dataset, raw / "t10k-labels-idx1-ubyte"):
        return _idx_part(raw, "train"), _idx_part(raw, "t10k")


def _idx_part(raw: Path, part: str) -> Arrays:
    images = _read_idx(raw / f"{part}-images-idx3-ubyte")
    labels = _read_idx(raw / f"{part}-labels-idx1-ubyte")
    return images[:, None], labels.astype(np.int64)


def _read_idx(path: Path) -> np.ndarray[Any, Any]:
    """The array in an idx file (http://yann.lecun.com/exdb/mnist).

    The file has two zero bytes, the type (8: uint8), the number of dimensions, their sizes
    (big-endian int32), then the values.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    is_uint8 = content[:3] == b"\0\0\x08"
    dimensions = 0
    if is_uint8:
        dimensions = content[3]
    sizes = np.frombuffer(content, ">i4", dimensions, 4)
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions)
    if not dimensions or values.size != sizes.prod():
        raise DataError(f"{path} is damaged: remove it, and it is downloaded again")
    return values.reshape(sizes)


def _cifar10() -> tuple[Arrays, Arrays]:
    """50,000 + 10,000 colour images of 32 x 32."""
    with _downloaded("CIFAR10", root() / "cifar-10-batches-py" / "test_batch"):
        from torchvision.datasets import CIFAR10

        train = CIFAR10(root(), train=True, download=False)
        test = CIFAR10(root(), train=False, download=False)
    return _cifar10_arrays(train), _cifar10_arrays(test)


def _cifar10_arrays(part: Any) -> Arrays:
    channels_first = np.ascontiguousarray(part.data.transpose(0, 3, 1, 2))
    return channels_first, np.array(part.targets, dtype=np.int64)


@contextmanager
def _downloaded(dataset: str, last: Path) -> Iterator[None]:
    """Download a torchvision data set to the data root, unless it is there.

    `last` is the file that torchvision writes last.
    """
    if not last.exists():
        # The trials of a machine begin at once, and would all download the same files.
        with _locked(root() / f".{dataset}.lock"):
            if not last.exists():  # another process may have downloaded it meanwhile
                _download(dataset)
    yield


def _download(dataset: str) -> None:
    import torchvision.datasets

    try:
        getattr(torchvision.datasets, dataset)(root(), download=True)
    except Exception as error:
        reason = first_line(error) or type(error).__name__
        raise DataError(
            f"{dataset} is not under {root()} and cannot be downloaded ({reason}); "
            "name its folder with --data-root"
        ) from None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock on a file, which one process of a machine can hold at a time.

    DataError if the data root cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "w")  # noqa: SIM115  # only opening it may fail for this reason
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
