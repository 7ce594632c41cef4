"""The Python form of a file: parameters as objects, and plain data as a `Document` without lines.

`{"lr": Float(1e-4, 1.0, log=True)}` in Python is `lr: {float: [1e-4, 1.0], log: true}` in YAML.
Nothing is checked here: `plain` turns Python values into what YAML text would have given, so that
the models of `sweep_spec` check both and say the same about both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from os import PathLike, fspath
from typing import Any, ClassVar, Literal

import numpy as np

from raysweep.search_spaces.file.document import Document, Path, SpecificationError
from raysweep.search_spaces.file.param_specs import KINDS, When

METRIC_WORDS: Mapping[str, Literal["minimize", "maximize"]] = {
    "acc": "maximize",
    "accuracy": "maximize",
    "auc": "maximize",
    "auroc": "maximize",
    "bleu": "maximize",
    "dice": "maximize",
    "f1": "maximize",
    "iou": "maximize",
    "map": "maximize",
    "miou": "maximize",
    "precision": "maximize",
    "psnr": "maximize",
    "r2": "maximize",
    "recall": "maximize",
    "return": "maximize",
    "reward": "maximize",
    "rouge": "maximize",
    "score": "maximize",
    "ssim": "maximize",
    "bpb": "minimize",
    "bpc": "minimize",
    "cer": "minimize",
    "err": "minimize",
    "error": "minimize",
    "fid": "minimize",
    "loss": "minimize",
    "mae": "minimize",
    "mse": "minimize",
    "nll": "minimize",
    "perplexity": "minimize",
    "ppl": "minimize",
    "rmse": "minimize",
    "wer": "minimize",
}
"""Parts of a metric's name, between underscores and the like, that say which way is better."""


@dataclass(frozen=True)
class PythonDocument(Document):
    """What Python code says of a sweep. Its errors name the key; there is no line to name."""

    def error(self, path: Path, message: str) -> SpecificationError:
        return SpecificationError(message)


@dataclass(frozen=True)
class Parameter:
    """A parameter of a space in Python. Its subclasses are the kinds of parameter."""

    kind: ClassVar[str]
    said_by_kind: ClassVar[tuple[str, ...]]
    """The fields whose values YAML writes under the kind's own key."""

    def entry(self) -> dict[str, Any]:
        """The entry as YAML has it, without what is left at its default."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        values = [said.pop(name) for name in self.said_by_kind]
        options = {
            field.name.rstrip("_"): plain(said[field.name])
            for field in fields(self)
            if field.name in said and said[field.name] != field.default
        }
        return {self.kind: plain(values[0] if len(values) == 1 else values)} | options


@dataclass(frozen=True)
class Float(Parameter):
    """A real number between two bounds, both included.

    `log=True` spreads it evenly over orders of magnitude; `log="reverse"` spreads the orders of
    magnitude of its distance to 1, as for a momentum. `step` keeps `low, low + step, ..., high`.
    `around` says where good values are believed to lie, `or_` adds values outside of the range,
    `points` is the number of values in a grid, and `when` is the condition under which the
    parameter is active. With `ends="half"` the outermost stepped values are drawn half as often.

        space = {"lr": Float(1e-4, 1.0, log=True), "dropout": Float(0.1, 0.6, or_=[0.0])}
    """

    kind = "float"
    said_by_kind = ("low", "high")
    low: float
    high: float
    log: bool | Literal["reverse"] = False
    step: float | None = None
    points: int | None = None
    around: float | None = None
    or_: Sequence[Any] = ()
    ends: Literal["full", "half"] = "full"
    when: When | None = None


@dataclass(frozen=True)
class Int(Parameter):
    """A whole number between two bounds, both included. The options are those of `Float`.

    space = {"width": Int(16, 256, log=True), "layers": Int(1, 4)}
    """

    kind = "int"
    said_by_kind = ("low", "high")
    low: int
    high: int
    log: bool = False
    step: int = 1
    points: int | None = None
    around: int | None = None
    or_: Sequence[Any] = ()
    ends: Literal["full", "half"] = "full"
    when: When | None = None


@dataclass(frozen=True)
class Ordinal(Parameter):
    """One of several values whose order means something, such as batch sizes.

    `around` names the value that is believed to be good, `weights` says how often each value is
    drawn, `points` is the number of values in a grid (all by default), and `when` is the condition
    under which the parameter is active.

        space = {"batch_size": Ordinal([16, 32, 64, 128], around=32)}
    """

    kind = "ordinal"
    said_by_kind = ("values",)
    values: Sequence[Any]
    points: int | None = None
    around: Any = None
    weights: Sequence[float] | None = None
    when: When | None = None


@dataclass(frozen=True)
class Choice(Parameter):
    """One of several values without an order. `weights` says how often each value is drawn.

    space = {"opt": Choice(["sgd", "adam"]), "momentum": Float(0.0, 0.99, when="opt == 'sgd'")}
    """

    kind = "choice"
    said_by_kind = ("values",)
    values: Sequence[Any]
    weights: Sequence[float] | None = None
    when: When | None = None


def plain(value: Any) -> Any:
    """A Python value as reading it from YAML would give it.

    Tuples become lists, paths become words, and numpy values become Python's. A value that YAML
    cannot express is returned as it is; the models refuse it.
    """
    if isinstance(value, Parameter):
        return value.entry()
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(inner) for inner in value]
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, PathLike):
        return fspath(value)
    return value


def space_entries(space: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The entries of a space by their dotted names: `{"opt": {"lr": ...}}` has the name `opt.lr`.

    A mapping that names a kind of parameter (`{"float": [0, 1]}`) is an entry, as in YAML; every
    other mapping holds entries.
    """
    entries: dict[str, Any] = {}
    for name, value in space.items():
        if isinstance(value, Mapping) and value and not KINDS.keys() & value.keys():
            entries |= space_entries(value, f"{prefix}{name}.")
        else:
            entries[f"{prefix}{name}"] = plain(value)
    return entries


def metric_entry(metric: Any) -> Any:
    """The `metric` section. The goal of a metric that is given by its name alone is read off it.

    Raises SpecificationError if the name does not say which way is better.
    """
    if not isinstance(metric, str):
        return plain(metric)
    goal = goal_of(metric)
    if goal is None:
        raise SpecificationError(
            f"metric: '{metric}' does not say which way is better; "
            f'write {{"name": "{metric}", "goal": "minimize"}} or "maximize"'
        )
    return {"name": metric, "goal": goal}


def goal_of(metric: str) -> Literal["minimize", "maximize"] | None:
    """Which way is better, by the words in a metric's name; None if they do not say it.

    `val/acc1` and `Acc@1` are accuracies: the digits at the end of a word do not count.
    """
    words = "".join(letter if letter.isalnum() else " " for letter in metric.lower()).split()
    known = [word if word in METRIC_WORDS else word.rstrip("0123456789") for word in words]
    goals = {METRIC_WORDS[word] for word in known if word in METRIC_WORDS}
    return goals.pop() if len(goals) == 1 else None


def python_document(data: Mapping[str, Any]) -> PythonDocument:
    """A document of what Python code says: plain data without places."""
    return PythonDocument("the sweep", dict(data), {(): "the sweep"})
