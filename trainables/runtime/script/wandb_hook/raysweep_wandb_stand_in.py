"""Stands in for wandb where it is not installed: parameters come in, numbers go out.

What W&B would show or store (images, tables, artifacts, code) is accepted and dropped.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import raysweep_wandb_patch
from raysweep_wandb_log import Logged

IS_STAND_IN = True
__version__ = "0.0.0"
agent = raysweep_wandb_patch.agent
run: Run | None = None


class Anything:
    """Takes whatever it is given, and has whatever it is asked for."""

    def __init__(self, *args: Any, **options: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything()

    def __call__(self, *args: Any, **options: Any) -> Any:
        return Anything()

    def __getitem__(self, key: Any) -> Any:
        return Anything()

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: Any) -> None:
        pass


class Config:
    """The configuration, by attribute and by key. The parameters of the sweep are locked."""

    def __init__(self, locked: Mapping[str, Any] = {}) -> None:
        self.__dict__["_locked"] = dict(locked)
        self.__dict__["_items"] = dict(locked)

    def __getattr__(self, name: str) -> Any:
        try:
            return self._items[name]
        except KeyError:
            raise AttributeError(f"wandb.config has no '{name}'") from None

    def __getitem__(self, name: str) -> Any:
        return self._items[name]

    def __setitem__(self, name: str, value: Any) -> None:
        if name not in self._locked:
            self._items[name] = value

    __setattr__ = __setitem__

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def keys(self) -> Any:
        return self._items.keys()

    def values(self) -> Any:
        return self._items.values()

    def items(self) -> Any:
        return self._items.items()

    def get(self, name: str, default: Any = None) -> Any:
        return self._items.get(name, default)

    def as_dict(self) -> dict[str, Any]:
        return dict(self._items)

    def update(self, data: Any = None, allow_val_change: Any = None, **more: Any) -> None:
        for name, value in {**mapping(data), **more}.items():
            self[name] = value

    def setdefaults(self, data: Any) -> None:
        for name, value in mapping(data).items():
            self._items.setdefault(name, value)


def mapping(data: Any) -> dict[str, Any]:
    """What W&B takes as a configuration: a mapping, a namespace of argparse, or nothing."""
    if data is None:
        return {}
    if isinstance(data, (Mapping, Config)):
        return dict(data.items())
    return dict(vars(data))


class Run(Anything):
    """A run. `dir` is a folder in the trial's folder."""

    def __init__(self, given: Any, options: Mapping[str, Any]) -> None:
        self.config = Config(raysweep_wandb_patch.parameters())
        self.config.update(given)
        self.summary: dict[str, Any] = {}
        self.step = 0
        self.id = self.name = str(options.get("id") or options.get("name") or "raysweep")
        self.project = str(options.get("project") or "raysweep")
        self.entity = self.url = self.group = ""
        folder = os.environ.get("RAYSWEEP_FOLDER", ".")
        self.dir = os.path.abspath(os.path.join(folder, "wandb", "run", "files"))
        os.makedirs(self.dir, exist_ok=True)
        self._logged = Logged()
        atexit.register(self.finish)

    def log(self, data: Any, step: Any = None, commit: Any = None, sync: Any = None) -> None:
        self._logged.log(data, step)
        if isinstance(data, Mapping):
            self.summary.update(data)
        if step is not None:
            self.step = step
        elif commit is not False:
            self.step += 1

    def finish(self, exit_code: Any = None, quiet: Any = None) -> None:
        self._logged.summary(self.summary)


config: Any = Config()
summary: Any = {}


def init(*args: Any, config: Any = None, **options: Any) -> Run:
    """Start a run, in which the sweep's parameters win over `config`."""
    global run, summary
    run = Run(config, options)
    globals()["config"], summary = run.config, run.summary
    return run


def log(data: Any, step: Any = None, commit: Any = None, sync: Any = None) -> None:
    if run is None:
        raise RuntimeError("You must call wandb.init() before wandb.log()")
    run.log(data, step, commit)


def finish(exit_code: Any = None, quiet: Any = None) -> None:
    if run is not None:
        run.finish()


def login(*args: Any, **options: Any) -> bool:
    return True


def sweep(*args: Any, **options: Any) -> str:
    return str(raysweep_wandb_patch.SWEEP_ID)


def __getattr__(name: str) -> Any:
    """Anything else: a class if its name begins with a capital letter, else a function."""
    if name.startswith("__"):
        raise AttributeError(name)
    if name.endswith(("Error", "Exception")):
        return type(name, (Exception,), {})
    if name[:1].isupper():
        return type(name, (Anything,), {})
    part = sys.modules.get(f"wandb.{name}")
    return part if part is not None else Anything()
