"""Metrics that a program logs: JSON, `wandb.log`, TensorBoard, Lightning, MLflow, HF Trainer."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from raysweep.search_spaces.drafting.literals import called, calls, keyword, literal
from raysweep.search_spaces.drafting.program import Program, Source

Way = Literal[
    "print", "json", "csv", "wandb", "tensorboard", "lightning", "transformers", "mlflow", "none"
]


@dataclass(frozen=True)
class Logged:
    """A metric that is logged. way: by what. sure: the program itself selects models by it."""

    name: str
    way: Way
    source: Source
    line: int
    goal: str = ""
    sure: bool = False


_EPOCH = "_epoch"
"""What Lightning appends to the name of the mean over an epoch, if it logs steps, too."""


def logged_metrics(program: Program, source: Source) -> Iterator[Logged]:
    """Every metric that the calls of a file log under a name that is written out."""
    for call in calls(source.tree, "dumps"):
        for argument in call.args[:1]:
            for name in _keys(argument):
                yield Logged(name, "json", source, call.lineno)
    for call in calls(source.tree, "add_scalar"):
        yield from _named(call, "tensorboard", source)
    forked = set(_forked(source.tree))
    for call in calls(source.tree, "log", "log_dict", "log_metrics", "log_metric"):
        way = _way(program, call)
        if way is None or not call.args:
            continue
        ending = ""
        if way == "lightning" and id(call) in forked:
            ending = _EPOCH
        for one in _named(call, way, source):
            yield replace(one, name=one.name + ending)
        for name in _keys(call.args[0]):
            yield Logged(name + ending, way, source, call.lineno)
    yield from _selected(program, source)


def _forked(tree: ast.Module) -> Iterator[int]:
    """The calls of Lightning's `self.log` that log by step and by epoch, by their `id`.

    What these call `x` is written as `x_step` and `x_epoch`.
    """
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef):
            continue
        is_training = node.name == "training_step"
        for call in calls(node, "log", "log_dict"):
            by_step, by_epoch = (
                literal(keyword(call, "on_step")),
                literal(keyword(call, "on_epoch")),
            )
            if by_step is None:
                by_step = is_training
            if by_epoch is None:
                by_epoch = not is_training
            if by_step and by_epoch:
                yield id(call)


def _way(program: Program, call: ast.Call) -> Way | None:
    """What a call of `log` logs to, by its object and by what the program imports."""
    owner = ""
    if isinstance(call.func, ast.Attribute):
        owner = ast.unparse(call.func.value)
    if owner == "self" and program.imports & {"lightning", "pytorch_lightning"}:
        return "lightning"
    if owner == "mlflow":
        return "mlflow"
    if "wandb" in program.imports:
        return "wandb"
    if "accelerate" in program.imports and called(call) == "log":
        return "tensorboard"
    return None


def _named(call: ast.Call, way: Way, source: Source) -> Iterator[Logged]:
    name = None
    if call.args:
        name = literal(call.args[0])
    if isinstance(name, str):
        yield Logged(name, way, source, call.lineno)


def _keys(node: ast.expr) -> Iterator[str]:
    """The keys of a dict that are written out, those of dicts inside of it joined by `/`."""
    if isinstance(node, ast.Call) and called(node) == "dict":
        yield from (argument.arg for argument in node.keywords if argument.arg)
    if not isinstance(node, ast.Dict):
        return
    for key, value in zip(node.keys, node.values, strict=True):
        name = literal(key)
        if not isinstance(name, str):
            continue
        inner = list(_keys(value))
        yield from [f"{name}/{one}" for one in inner] or [name]


def _forked_names(tree: ast.Module) -> set[str]:
    forked = set(_forked(tree))
    found = [call for call in calls(tree, "log") if id(call) in forked and call.args]
    return {name for call in found if isinstance(name := literal(call.args[0]), str)}


def _selected(program: Program, source: Source) -> Iterator[Logged]:
    """Metrics by which the program selects its best model, or stops early."""
    for call in calls(source.tree, "ModelCheckpoint", "EarlyStopping"):
        name, mode = literal(keyword(call, "monitor")), literal(keyword(call, "mode"))
        if isinstance(name, str):
            if name in _forked_names(source.tree):
                name += _EPOCH
            yield Logged(name, "lightning", source, call.lineno, _goal(mode), True)
    if "transformers" not in program.imports:
        return
    for call in calls(source.tree, "TrainingArguments", "Seq2SeqTrainingArguments"):
        name = literal(keyword(call, "metric_for_best_model"))
        if isinstance(name, str):
            better = literal(keyword(call, "greater_is_better"))
            goal = {True: "maximize", False: "minimize"}.get(better, "")
            yield Logged(evaluated(name), "transformers", source, call.lineno, goal, True)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef) and node.name == "compute_metrics":
            for part in ast.walk(node):
                if isinstance(part, ast.Return) and part.value is not None:
                    for name in _keys(part.value):
                        yield Logged(evaluated(name), "transformers", source, part.lineno)
    for call in calls(source.tree, "Trainer", "Seq2SeqTrainer", "SFTTrainer"):
        yield Logged("eval_loss", "transformers", source, call.lineno)


def evaluated(name: str) -> str:
    """A metric as the HF Trainer prints it."""
    if name.startswith("eval_"):
        return name
    return f"eval_{name}"


def _goal(mode: Any) -> str:
    return {"min": "minimize", "max": "maximize"}.get(mode, "")
