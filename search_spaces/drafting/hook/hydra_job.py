"""Composes the configuration that `@hydra.main` would give to a program's function."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from raysweep.search_spaces.drafting.hook.answer import finish


def patch(module: ModuleType) -> None:
    """Put a decorator in the place of `hydra.main` whose function answers when it is called."""

    def main(config_path: Any = None, config_name: Any = None, version_base: Any = None) -> Any:
        def decorate(task: Callable[..., Any]) -> Callable[..., Any]:
            def call(*_: Any, **__: Any) -> None:
                folder = _folder(task, config_path)
                finish(_compose(folder, config_path, config_name, sys.argv[1:]))

            return call

        return decorate

    module.main = main  # type: ignore[attr-defined]


def _folder(task: Callable[..., Any], config_path: Any) -> Path | None:
    """The folder of the configuration; None if it is in a package, or there is none."""
    if config_path is None or str(config_path).startswith("pkg://"):
        return None
    source = inspect.getsourcefile(inspect.unwrap(task))
    return (Path(source or sys.argv[0]).resolve().parent / str(config_path)).resolve()


def _compose(
    folder: Path | None, config_path: Any, config_name: Any, words: list[str]
) -> dict[str, Any]:
    """The configuration as plain data, without resolving what only a run can resolve."""
    from hydra import compose, initialize, initialize_config_dir, initialize_config_module
    from omegaconf import OmegaConf

    if folder is not None:
        start: Any = initialize_config_dir(str(folder), version_base=None)
    elif config_path is not None:
        module = str(config_path).removeprefix("pkg://").replace("/", ".")
        start = initialize_config_module(module, version_base=None)
    else:
        start = initialize(config_path=None, version_base=None)
    overrides = [word for word in words if "=" in word]
    with start:
        whole = compose(str(config_name), overrides, return_hydra_config=True)
        choices: Any = OmegaConf.to_container(whole.hydra.runtime.choices)
        config = compose(str(config_name), overrides)
        data = OmegaConf.to_container(config, resolve=False)
    return {
        "library": "hydra",
        "command": [],
        "commands": [],
        "options": [],
        "config": data,
        "choices": {key: value for key, value in choices.items() if "hydra/" not in key},
        "folder": str(folder or ""),
        "name": str(config_name),
    }
