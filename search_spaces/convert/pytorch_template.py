"""The `config.json` of a victoresque/pytorch-template project, with ranges as in `space:`.

`{"optimizer": {"args": {"lr": {"float": [1e-4, 1e-1], "log": true}}}}` makes the parameter
`optimizer.args.lr`. All other values stay in that file, which the train script reads: the constant
`config` names it.
"""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Any

from raysweep.search_spaces.convert.draft import Draft
from raysweep.search_spaces.file.document import Path

KINDS = ("float", "int", "ordinal", "choice", "expr")
NAME = "a pytorch-template config"


def recognize(data: dict[str, Any]) -> bool:
    return all(
        isinstance(data.get(key), dict) for key in ("arch", "data_loader", "optimizer", "trainer")
    )


def read(draft: Draft) -> None:
    """Take the ranges, the monitored metric and the epochs."""
    data = draft.source.data
    draft.put(("trainable",), "train.py", ())
    draft.put(
        ("space", "config"), str(FilePath(draft.source.name).resolve()), ()
    )  # the script runs in its own folder
    _ranges(draft, (), data)
    if len(draft.data["space"]) == 1:
        raise draft.error(
            (), 'no value is a range; write one as {"float": [1e-4, 1e-1], "log": true}'
        )
    trainer = data["trainer"]
    if "monitor" in trainer:
        _monitor(draft, ("trainer", "monitor"), trainer["monitor"])
    if "epochs" in trainer:
        draft.put(
            ("budget", "epochs"),
            draft.whole(("trainer", "epochs"), trainer["epochs"]),
            ("trainer", "epochs"),
        )
    if "n_gpu" in data:
        draft.put(("resources", "gpu"), draft.whole(("n_gpu",), data["n_gpu"]), ("n_gpu",))
    draft.note((), "every other value stays in that file, which train.py reads")
    ranges = [name for name in draft.data["space"] if name != "config"]
    draft.note(
        (),
        f"train.py gets options such as --{ranges[0]}; script.names says what else it calls them",
    )


def _ranges(draft: Draft, path: Path, value: Any) -> None:
    if isinstance(value, dict) and any(kind in value for kind in KINDS):
        draft.put(("space", ".".join(str(part) for part in path)), value, path)
    elif isinstance(value, dict):
        for key, inner in value.items():
            _ranges(draft, (*path, key), inner)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            if isinstance(inner, dict) and any(kind in inner for kind in KINDS):
                raise draft.error((*path, i), "a range inside a list has no equal here")


def _monitor(draft: Draft, path: Path, value: Any) -> None:
    """`min val_loss`, or off."""
    words = str(value).split()
    if words == ["off"]:
        return
    if len(words) != 2 or words[0] not in ("min", "max"):
        raise draft.error(path, f"expected 'min metric' or 'max metric', got '{value}'")
    draft.put(
        ("metric",),
        {"name": words[1], "goal": {"min": "minimize", "max": "maximize"}[words[0]]},
        path,
    )
