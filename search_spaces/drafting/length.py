"""How long a trial trains: the epochs or steps that a program is told, or counts by itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from raysweep.search_spaces.convert.command import LENGTHS
from raysweep.search_spaces.drafting.default_ranges import number
from raysweep.search_spaces.drafting.interface import Interface, Option, plain_name
from raysweep.search_spaces.drafting.literals import calls, literal
from raysweep.search_spaces.drafting.program import Program

STEPS = {
    "iterations",
    "iters",
    "maxiterations",
    "maxiters",
    "maxsteps",
    "maxtrainsteps",
    "niters",
    "nsteps",
    "numiterations",
    "numiters",
    "numsteps",
    "numtrainsteps",
    "numupdates",
    "steps",
    "totaliterations",
    "totaliters",
    "totalsteps",
    "totaltimesteps",
    "timesteps",
    "trainiters",
    "trainsteps",
}
"""What programs call their number of steps, without `_` and `-`."""
EVERY = re.compile(
    r"(eval|val|valid|validation|evaluation|test)_?(interval|every|freq|frequency|steps|period"
    r"|check_interval)|(interval|every)_(eval|val)"
)
"""What programs call the number of steps between two evaluations."""
REPORTS = 20
"""Reports of a trial, if the program does not say how often it evaluates: one for each 5 %."""
FALLBACK_EPOCHS = 10


@dataclass(frozen=True)
class Length:
    """The length of a trial. option: what tells it to the program; None if nothing does.

    every: the epochs or steps from one report to the next. why: the comment beside it.
    """

    count: int
    unit: Literal["epochs", "steps"] = "epochs"
    every: int = 1
    option: Option | None = None
    why: str = ""
    is_known: bool = True


def length_of(program: Program, interface: Interface) -> Length:
    """The length that the program has by default, or that its words give."""
    epochs = list(_lengths(interface, LENGTHS))
    if epochs:
        option, count = max(epochs, key=lambda found: found[1])
        every = _every_epochs(program, interface, count)
        return Length(count, "epochs", every, option, _told(option, interface))
    steps = list(_lengths(interface, STEPS))
    if steps:
        option, count = max(steps, key=lambda found: found[1])
        every = _every(interface, count)
        return Length(count, "steps", every, option, _told(option, interface))
    looped = _looped(program, interface)
    if looped is not None:
        return looped
    unset = [option for option in interface.options if is_called(option.name, LENGTHS)]
    if unset:
        why = f"the program has no default for {unset[0].name}: say how many are enough"
        return Length(FALLBACK_EPOCHS, "epochs", 1, unset[0], why)
    return _asked(program) or _counted(program)


def _told(option: Option, interface: Interface) -> str:
    if option.name in interface.given:
        return "as in the words behind --"
    return f"the default of {option.label}"


def _as_given(option: Option, interface: Interface) -> Option:
    """The option with the value among the program's words, if it is there, as its default."""
    return replace(option, default=interface.given.get(option.name, option.default))


def is_called(name: str, known: set[str]) -> bool:
    return re.sub("[_-]", "", name.rpartition(".")[2]).lower() in known


def _lengths(interface: Interface, known: set[str]) -> Iterator[tuple[Option, int]]:
    for option in interface.options:
        value = number(_as_given(option, interface))
        if is_called(option.name, known) and value is not None and value >= 1:
            yield option, int(value)


def _every(interface: Interface, steps: int) -> int:
    """The steps between two reports: those between the program's evaluations, if it says them."""
    for option in interface.options:
        value = number(_as_given(option, interface))
        if value is None or not EVERY.fullmatch(plain_name(option.name).rpartition(".")[2]):
            continue
        if 1 <= value <= steps:
            return int(value)
    return max(1, steps // REPORTS)


def unreached(interface: Interface, length: Length) -> str:
    """A note if the program first evaluates after the end of a trial; else ""."""
    for option in interface.options:
        value = number(_as_given(option, interface))
        name = plain_name(option.name).rpartition(".")[2]
        is_interval = bool(EVERY.fullmatch(name)) and length.unit == "steps"
        if is_interval and value is not None and value > length.count:
            return (
                f"{option.label} is {int(value)}, which is more than the {length.count} steps of "
                "a trial: give a smaller one behind --, or a longer trial"
            )
    return ""


def _every_epochs(program: Program, interface: Interface, epochs: int) -> int:
    """The epochs between two evaluations, if an option says them and is about epochs."""
    for option in interface.options:
        value = number(_as_given(option, interface))
        name = plain_name(option.name).rpartition(".")[2]
        if value is None or not 1 <= value <= epochs:
            continue
        if name in ("check_val_every_n_epoch", "eval_every_n_epochs", "val_every_n_epochs"):
            return int(value)
        if EVERY.fullmatch(name) and ("epoch" in option.help.lower() or _counts(program, name)):
            return int(value)
    return 1


def _counts(program: Program, name: str) -> bool:
    """True if the program has `epoch % name`, with or without an object before the name."""
    pattern = re.compile(rf"epoch\w*( \+ 1\))? % (\w+\.)*{re.escape(name)}\b")
    return any(pattern.search(source.text) for source in program.sources)


def _looped(program: Program, interface: Interface) -> Length | None:
    """The option that ends the loop over epochs, as `n` does in `for epoch in range(args.n)`."""
    for source in program.sources:
        for end in _ends(source.tree):
            name = _last_part(end)
            option = None
            if name:
                option = interface.option(name)
            value = None
            if option is not None:
                value = number(_as_given(option, interface))
            if option is not None and value is not None and value >= 1:
                return Length(int(value), "epochs", 1, option, _told(option, interface))
    return None


def _ends(tree: ast.Module) -> Iterator[ast.expr]:
    """What the loops over epochs count to, and parts of it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.For) and "epoch" in getattr(node.target, "id", "").lower():
            for call in calls(node.iter, "range", "trange"):
                for argument in call.args[:2]:
                    yield from (part for part in ast.walk(argument) if isinstance(part, ast.expr))


def _last_part(node: ast.expr) -> str:
    """`n` for `args.n` and for `config["n"]`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return str(node.slice.value)
    return ""


def _asked(program: Program) -> Length | None:
    """The length of a program that asks raysweep for it, with its own default."""
    for source in program.sources:
        for call in calls(source.tree, "get", "getenv"):
            words = [literal(argument) for argument in call.args]
            if words[:1] == ["RAYSWEEP_EPOCHS"]:
                default = ""
                if len(words) > 1:
                    default = str(words[1])
                count = FALLBACK_EPOCHS
                if default.isdecimal():
                    count = int(default)
                return Length(max(1, count), why="the program asks for it: RAYSWEEP_EPOCHS")
    return None


def _counted(program: Program) -> Length:
    """The length of the first loop over epochs, if its end is written in the program."""
    for source in program.sources:
        constants = dict(_constants(source.tree))
        for node in ast.walk(source.tree):
            count = _loop_length(node, constants)
            if count:
                place = program.shown_place(source, getattr(node, "lineno", 1))
                return Length(count, why=f"as the program counts them ({place})")
    return Length(
        1,
        why="FILL IN how often the program reports the metric in one trial: nothing was found",
        is_known=False,
    )


def _constants(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            for target in node.targets:
                if isinstance(target, ast.Name) and type(node.value.value) is int:
                    yield target.id, node.value.value


def _loop_length(node: ast.AST, constants: dict[str, int]) -> int:
    """The turns of `for epoch in range(...)`; 0 if it is no such loop, or its end is not known."""
    if not isinstance(node, ast.For) or not isinstance(node.target, ast.Name):
        return 0
    if "epoch" not in node.target.id.lower():
        return 0
    for call in ast.walk(node.iter):
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") in ("range", "trange"):
            ends = [_whole(argument, constants) for argument in call.args[:2]]
            if ends and all(end is not None for end in ends):
                return max(0, (ends[-1] or 0) - (ends[0] or 0 if len(ends) > 1 else 0))
    return 0


def _whole(node: ast.expr, constants: dict[str, int]) -> int | None:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.Name):
        return constants.get(node.id)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _whole(node.left, constants), _whole(node.right, constants)
        if left is None or right is None:
            return None
        return left + right
    return None
