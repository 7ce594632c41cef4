"""The metric of a program: what it prints or logs, of all that the best guess, with its goal."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from raysweep.search_spaces.drafting.csv_metrics import csv_metrics
from raysweep.search_spaces.drafting.formats import lines
from raysweep.search_spaces.drafting.interface import Interface
from raysweep.search_spaces.drafting.literals import calls, literal
from raysweep.search_spaces.drafting.logged_metrics import Way, logged_metrics
from raysweep.search_spaces.drafting.printed_metrics import (
    NUMBER,
    group_name,
    printed_metrics,
)
from raysweep.search_spaces.drafting.program import Program, Source
from raysweep.search_spaces.file.python_form import goal_of

VALIDATION = ("val", "valid", "validation", "dev", "eval", "evaluation", "heldout")
_SELECTED, _VALIDATION, _TEST, _PLAIN, _TRAIN = 60, 40, 30, 20, 0
"""How much a metric's phase speaks for it. What selects models is the metric; training is not."""
_WAYS: dict[Way, int] = {
    "json": 5,
    "csv": 5,
    "tensorboard": 4,
    "lightning": 4,
    "transformers": 4,
    "print": 2,
    "mlflow": 0,
    "wandb": 0,
}
"""How sure it is that a metric is told in this way: trackers are often switched off."""
_BEST_SO_FAR = -15
"""A running best hides how a trial goes on."""
_SCORED = 3
"""Of a loss and a score of the same phase, the score is what the training is for."""
_BATCH = -12
"""What is printed for each batch, which is seldom what is tuned."""
_RIVAL = -60
"""The loss of one of two networks that compete says nothing of what they make."""
_DISCRIMINATOR = {"d", "disc", "discriminator", "critic"}
_GENERATOR = {"g", "gen", "generator"}


@dataclass(frozen=True)
class Guess:
    """A metric. way: how the program tells it. pattern: for one that it prints, else "".

    position: `epoch` or `step` if the pattern has it. why: where it is from.
    file: the name of the CSV file that has it, for one that is read there. of_batch: it is printed
    for single batches. of_gan: it is the loss of one of two networks that compete.
    """

    name: str
    goal: str
    way: Way
    pattern: str = ""
    position: str = ""
    why: str = ""
    score: int = 0
    file: str = ""
    of_batch: bool = False
    of_gan: bool = False


def guesses(program: Program, interface: Interface) -> list[Guess]:
    """All metrics that were found, the most likely first."""
    found = list(_monitored(interface.config))
    for source in program.sources:
        found += _printed(program, source)
        found += _logged(program, source)
        found += _in_csv(program, source, interface)
        found += _meters(program, source)
    # The first of several is taken: a stable order, in which the program's own file comes first.
    return sorted(_with_rivals(found), key=lambda guess: -guess.score)


def _with_rivals(found: list[Guess]) -> list[Guess]:
    """The same with the losses of a discriminator and a generator behind the rest, if both are."""
    words = [set(re.findall("[a-z]+", guess.name.lower())) for guess in found]
    if not all(any(own & kind for own in words) for kind in (_DISCRIMINATOR, _GENERATOR)):
        return found
    return [
        replace(guess, score=guess.score + _RIVAL, of_gan=True)
        if own & (_DISCRIMINATOR | _GENERATOR)
        else guess
        for guess, own in zip(found, words, strict=True)
    ]


def named(found: list[Guess], name: str) -> Guess | None:
    """The best guess for a metric that the user has named; None if nothing has that name.

    `val_acc` finds `val/acc` and `Val Acc`, but no other metric.
    """
    for guess in found:
        if guess.name == name:
            return guess
    for guess in found:
        if group_name(guess.name).lower() == group_name(name).lower():
            return guess
    return None


def _printed(program: Program, source: Source) -> Iterator[Guess]:
    phase_word = _phase_word(source.tree)
    for line in lines(source.tree):
        for printed in printed_metrics(line, phase_word):
            if printed.is_unsettled:
                continue
            text = " ".join(piece for piece in line.pieces if isinstance(piece, str))
            words = f"{text} {printed.name}"
            score = _score(words, printed.name, line.function) + _WAYS["print"]
            score += printed.is_percent + 2 * printed.is_fraction
            of_batch = line.of_batch or bool(re.search(r"batch|\bit(er)?s?\b", text.lower()))
            if of_batch:
                score += _BATCH
            yield Guess(
                name=printed.name,
                goal=goal_of(printed.name) or "minimize",
                way="print",
                pattern=printed.pattern,
                position=printed.position,
                why=f"printed in {program.shown_place(source, line.number)}",
                score=score,
                of_batch=line.of_batch,
            )


def unsettled(program: Program) -> list[str]:
    """The metrics that are printed for every few batches only, each with its place."""
    return [
        f"{printed.name} ({program.shown_place(source, line.number)})"
        for source in program.sources
        for line in lines(source.tree)
        for printed in printed_metrics(line, _phase_word(source.tree))
        if printed.is_unsettled
    ]


def _phase_word(tree: ast.Module) -> str:
    """What the program itself calls its validation, as a text; "" if it has no such word."""
    words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    found = [word for word in ("val", "valid", "Val", "test", "Test", "eval") if word in words]
    if found:
        return found[0]
    return ""


def _logged(program: Program, source: Source) -> Iterator[Guess]:
    for logged in logged_metrics(program, source):
        goal = logged.goal or goal_of(logged.name)
        if goal is None:
            continue
        place = program.shown_place(source, logged.line)
        what, score = "logged", _score(logged.name, logged.name, "") + _WAYS[logged.way]
        if logged.sure:
            what, score = "what the program selects models by", _SELECTED
        guess = Guess(logged.name, goal, logged.way, why=f"{what} in {place}", score=score)
        if logged.way == "transformers":
            guess = replace(guess, pattern=_trainer_pattern(logged.name), position="epoch")
        yield guess


def _in_csv(program: Program, source: Source, interface: Interface) -> Iterator[Guess]:
    """The columns of a CSV file; the one that an option such as `--eval-metric` names first."""
    option = interface.option("eval_metric")
    selected = ""
    if option is not None:
        selected = str(interface.given.get(option.name, option.default))
    for column in csv_metrics(source):
        is_selected = bool(selected) and column.name == f"eval_{selected}"
        goal = goal_of(column.name)
        if is_selected:
            goal = goal or "maximize"
        if goal is None:
            continue
        score = _score(column.name, column.name, "") + _WAYS["csv"]
        if is_selected:
            score = _SELECTED - 1  # the goal is not said
        why = f"in {column.file}, written in {program.shown_place(source, column.line)}"
        yield Guess(column.name, goal, "csv", why=why, score=score, file=column.file)


def _trainer_pattern(name: str) -> str:
    """A metric in the dict that the HF Trainer prints after an evaluation."""
    group = group_name(name)
    return rf"'{re.escape(name)}': '?(?P<{group}>{NUMBER})\b.*'epoch': '?(?P<epoch>[\d.]+)"


def _monitored(config: Mapping[str, Any]) -> Iterator[Guess]:
    """What the callbacks of a configuration monitor, such as Lightning's ModelCheckpoint."""
    for value in config.values():
        if not isinstance(value, Mapping):
            continue
        name = value.get("monitor")
        if isinstance(name, str) and "${" not in name:
            goal = {"min": "minimize", "max": "maximize"}.get(str(value.get("mode")))
            goal = goal or goal_of(name) or "minimize"
            why = "what the configuration monitors"
            yield Guess(name, goal, "lightning", why=why, score=_SELECTED)
        yield from _monitored(value)


def _meters(program: Program, source: Source) -> Iterator[Guess]:
    """The meters of the ImageNet example, which are printed behind a star after an epoch."""
    stars = any(
        isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value == " *"
        for node in ast.walk(source.tree)
    )
    for call in calls(source.tree, "AverageMeter") if stars else ():
        label = None
        if call.args:
            label = literal(call.args[0])
        name = ""
        if isinstance(label, str):
            name = re.sub(r"\W+", "", label).lower()
        if name and isinstance(label, str) and goal_of(name) is not None:
            yield Guess(
                name,
                goal_of(name) or "maximize",
                "print",
                rf"^ \*.*?{re.escape(label)} (?P<{group_name(name)}>{NUMBER})",
                why=f"a meter of {program.shown_place(source, call.lineno)}",
                score=_score(name, name, "validate") + name.endswith("1"),
            )


def _score(text: str, name: str, function: str) -> int:
    """How likely a metric is what is tuned, by the words of its line and of its function."""
    words = set(re.findall(r"[a-z]+", text.lower()))
    own = set(re.findall(r"[a-z]+", name.lower()))
    inside = set(re.findall(r"[a-z]+", function.lower()))
    score = _PLAIN
    if "train" in own or "training" in own:
        score = _TRAIN
    elif own & set(VALIDATION):
        score = _VALIDATION
    elif "test" in own:
        score = _TEST
    elif words & set(VALIDATION) or inside & {*VALIDATION, "validate", "evaluate"}:
        score = _VALIDATION - 2
    elif "test" in words or "test" in inside:
        score = _TEST - 2
    elif "train" in words or "train" in inside:
        score = _TRAIN
    if "best" in words:
        score += _BEST_SO_FAR
    if goal_of(name) == "maximize":
        score += _SCORED
    return score
