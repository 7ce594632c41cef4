"""Data sets: what is loaded, how it is split, and what is said where it is missing."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from raysweep.trainables.common import datasets
from raysweep.trainables.common.datasets import load, root
from raysweep.trainables.runtime.run import DataError

ROOT = Path(__file__).resolve().parent.parent
KNOWN = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}


def rows(split: datasets.Split) -> set[bytes]:
    return {image.numpy().tobytes() for image in split.images}


def write_idx(path: Path, values: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sizes = np.array(values.shape, ">i4").tobytes()
    path.write_bytes(bytes([0, 0, 8, values.ndim]) + sizes + values.tobytes())


def write_mnist(folder: Path, count: int = 60) -> None:
    """A made-up MNIST in the idx format, an eighth of it for the test."""
    rng = np.random.default_rng(0)
    for part, n in (("train", count), ("t10k", count // 8)):
        write_idx(
            folder / f"MNIST/raw/{part}-images-idx3-ubyte",
            rng.integers(0, 256, (n, 28, 28), np.uint8),
        )
        write_idx(
            folder / f"MNIST/raw/{part}-labels-idx1-ubyte", (np.arange(n) % 10).astype(np.uint8)
        )


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data root, and a network that is not there."""
    monkeypatch.setenv(datasets.ROOT_VARIABLE, str(tmp_path))
    monkeypatch.setattr("torchvision.datasets.utils.urllib.request.urlopen", no_network)
    load.cache_clear()
    return tmp_path


def no_network(*_: object, **__: object) -> None:
    raise OSError("Network is unreachable")


def test_digits_in_three_parts_that_do_not_overlap() -> None:
    digits = load("digits")
    sizes = [len(digits.train), len(digits.validation), len(digits.test)]
    assert sizes == [1248, 250, 299]
    assert (digits.classes, digits.shape) == (10, (1, 8, 8))
    parts = [rows(split) for split in (digits.train, digits.validation, digits.test)]
    assert sum(len(part) for part in parts) == len(set.union(*parts)) == 1797
    assert digits.split("test") is digits.test


def test_images_are_standardized_by_the_training_part_alone() -> None:
    digits = load("digits")
    assert abs(float(digits.train.images.mean())) < 1e-5
    assert float(digits.train.images.std()) == pytest.approx(1, abs=1e-3)
    assert float(digits.validation.images.mean()) != 0
    assert digits.train.images.dtype == torch.float32
    assert digits.train.labels.dtype == torch.int64


def test_the_split_is_the_same_in_another_process() -> None:
    code = (
        "from raysweep.trainables.common.datasets import load; d = load('digits'); "
        "print(d.train.labels.tolist() + d.validation.labels.tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    digits = load("digits")
    assert done.stdout.strip() == str(
        digits.train.labels.tolist() + digits.validation.labels.tolist()
    )


def test_a_smaller_data_set_keeps_its_proportions() -> None:
    small = load("digits", 120)
    assert [len(small.train), len(small.validation), len(small.test)] == [100, 20, 20]
    whole = load("digits")
    labels = torch.cat([whole.validation.labels, whole.train.labels])[:120]
    assert torch.equal(torch.cat([small.validation.labels, small.train.labels]), labels)


def test_the_global_generators_are_untouched() -> None:
    load.cache_clear()
    torch.manual_seed(5)
    np.random.seed(5)
    before, expected = torch.get_rng_state(), np.random.RandomState(5).rand()
    load("digits")
    assert torch.equal(torch.get_rng_state(), before)
    assert np.random.rand() == expected


def test_an_idx_file_is_read_as_it_is(place: Path) -> None:
    write_mnist(place)
    made_up = load("mnist")
    assert (made_up.shape, made_up.classes) == ((1, 28, 28), 10)
    assert [len(made_up.train), len(made_up.validation), len(made_up.test)] == [50, 10, 7]
    assert made_up.test.labels.tolist() == list(range(7))


def test_a_damaged_file_is_one_line(place: Path) -> None:
    write_mnist(place)
    images = place / "MNIST/raw/train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-1])
    with pytest.raises(
        DataError,
        match=r"train-images-idx3-ubyte is damaged: remove it, and it is downloaded again",
    ):
        load("mnist")


def test_a_missing_file_is_one_line(place: Path) -> None:
    write_mnist(place)
    (place / "MNIST/raw/train-labels-idx1-ubyte").unlink()
    with pytest.raises(
        DataError, match=r"train-labels-idx1-ubyte cannot be read: No such file or directory"
    ):
        load("mnist")


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_no_data_and_no_network_is_one_line(place: Path, name: str) -> None:
    with pytest.raises(DataError) as caught:
        load(name)
    text = str(caught.value)
    assert f"is not under {place} and cannot be downloaded (" in text
    assert text.endswith("name its folder with --data-root")
    assert "\n" not in text


def test_a_data_root_that_cannot_be_written_is_one_line(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "file").write_text("")
    monkeypatch.setenv(datasets.ROOT_VARIABLE, str(place / "file"))
    with pytest.raises(
        DataError, match=r"the data are not under .*/file, and it cannot be written: "
    ):
        load("mnist")


def test_an_unknown_name_is_one_line() -> None:
    with pytest.raises(
        DataError,
        match="unknown data set 'mnits'; expected one of digits, mnist, fashion_mnist, cifar10",
    ):
        load("mnits")


def test_only_one_process_downloads(place: Path) -> None:
    """Another process holds the lock and downloads the data: ours waits, and downloads nothing."""
    with open(place / ".MNIST.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code = (
            "from raysweep.trainables.common.datasets import load; print(len(load('mnist').train))"
        )
        environment = os.environ | {datasets.ROOT_VARIABLE: str(place), "PYTHONPATH": str(ROOT)}
        other = subprocess.Popen(
            [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True
        )
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(4)
        write_mnist(place)
    assert other.communicate(timeout=60)[0] == "50\n"


def test_the_data_root_is_the_variable_or_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(datasets.ROOT_VARIABLE, "~/somewhere")
    assert root() == Path.home() / "somewhere"
    monkeypatch.delenv(datasets.ROOT_VARIABLE)
    assert root() == Path.home() / ".cache" / "raysweep"


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_the_real_files(name: str) -> None:
    if not os.environ.get(datasets.ROOT_VARIABLE) or not (root() / KNOWN[name] / "raw").is_dir():
        pytest.skip(
            f"{KNOWN[name]} is not here: set {datasets.ROOT_VARIABLE} to a folder that has it"
        )
    load.cache_clear()
    real = load(name)
    assert [len(real.train), len(real.validation), len(real.test)] == [50_000, 10_000, 10_000]
    assert torch.bincount(torch.cat([real.train.labels, real.validation.labels])).min() > 5_000
    assert torch.equal(torch.bincount(real.test.labels) > 850, torch.ones(10, dtype=torch.bool))
    load.cache_clear()
