"""Build the space of a file, and check that its names, conditions and constraints fit together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from raysweep.errors import did_you_mean
from raysweep.search_spaces.file.check_script import check_script, listed_values
from raysweep.search_spaces.file.document import Document, Path, SpecificationError
from raysweep.search_spaces.file.param_specs import ExprSpec, ParamSpec, Scalar, ValueSpec, When
from raysweep.search_spaces.file.sweep_spec import SweepSpec
from raysweep.search_spaces.language.expressions import (
    Condition,
    Constraint,
    Derived,
    Expression,
    ExpressionError,
    Flat,
    alike,
)
from raysweep.search_spaces.language.params import Choice, Ordinal, Param
from raysweep.search_spaces.language.space import EmptySpace, Space, parents
from raysweep.search_spaces.language.type_check import TRUTH, Kinds, check, check_value, kind, kinds

MAX_NAMED = 8
"""Names of a space that are all listed where none is similar to an unknown one."""


@dataclass(frozen=True)
class Equals:
    """The condition that each of some parameters is active and has one of the given values."""

    wanted: tuple[tuple[str, tuple[Scalar, ...]], ...]

    def __call__(self, flat: Flat) -> bool:
        return all(
            name in flat and any(alike(flat[name], value) for value in values)
            for name, values in self.wanted
        )


def space(content: SweepSpec, document: Document) -> Space:
    """The space of a file.

    Raises SpecificationError if names, expressions or options do not fit together, or the
    constraints leave nothing.
    """
    check_names(content.space, document)
    check_script(content, document)
    return _Builder(content, document).space()


def accelerators(content: SweepSpec, document: Document) -> Mapping[str, Needs]:
    """The kinds of GPU that a file gives trials by their values, each with its condition.

    A condition gets a configuration of the space. Raises SpecificationError if one does not fit to
    the space.
    """
    kinds_of_gpu = content.resources.accelerator
    if not isinstance(kinds_of_gpu, dict):
        return {}
    builder = _Builder(content, document)
    built = builder.space()
    made = {}
    for name, when in kinds_of_gpu.items():
        condition = builder.condition(when, ("resources", "accelerator", name))
        made[name] = Needs(built, condition)
    return made


@dataclass(frozen=True)
class Needs:
    """True of the configurations of a space for which a condition holds."""

    space: Space
    condition: Condition | Equals

    def __call__(self, config: Mapping[str, Any]) -> bool:
        return self.condition(self.space.flat(config))


class _Builder:
    """Builds the space of a file."""

    def __init__(self, content: SweepSpec, document: Document) -> None:
        self._document = document
        self._constraints = content.constraints
        self._constants = {
            name: entry.value if isinstance(entry, ValueSpec) else entry
            for name, entry in content.space.items()
            if not isinstance(entry, ParamSpec | ExprSpec)
        }
        self._entries = {
            name: entry for name, entry in content.space.items() if name not in self._constants
        }
        self._params: dict[str, Param] = {
            name: one.param() for name, one in self._entries.items() if isinstance(one, ParamSpec)
        }
        self._known: dict[str, Kinds] = {
            name: frozenset([kind(value)]) for name, value in self._constants.items()
        }
        self._known |= {name: kinds(param) for name, param in self._params.items()}

    def space(self) -> Space:
        expressions = {
            name: self._parse(entry.expr, ("space", name, "expr"))
            for name, entry in self._derived().items()
        }
        whens = {
            name: entry.when
            for name, entry in self._entries.items()
            if isinstance(entry, ParamSpec) and entry.when is not None
        }
        conditions = {
            name: self._condition(when, ("space", name, "when")) for name, when in whens.items()
        }
        uses = {name: one.names for name, one in expressions.items()} | {
            name: _used(one) for name, one in conditions.items()
        }
        order = self._order(uses)
        for name in order:
            if name in expressions:
                self._known[name] = self._guarded(
                    ("space", name, "expr"), check, expressions[name], self._known, self._params
                )
            elif name in conditions:
                self._check_condition(conditions[name], ("space", name, "when"))
        built = Space(
            params={name: self._params[name] for name in order if name in self._params},
            constants=self._constants,
            conditions=conditions,
            derived={name: Derived(expressions[name]) for name in order if name in expressions},
            constraints=tuple(
                self._constraint(text, ("constraints", i))
                for i, text in enumerate(self._constraints)
            ),
            order=tuple(order),
        )
        return self._reachable(built)

    def condition(self, when: When, path: Path) -> Condition | Equals:
        """A condition on values of the space, once it is built. Raises SpecificationError."""
        condition = self._condition(when, path)
        self._check_condition(condition, path)
        return condition

    def _derived(self) -> dict[str, ExprSpec]:
        return {name: entry for name, entry in self._entries.items() if isinstance(entry, ExprSpec)}

    def _guarded(self, path: Path, make: Callable[..., Any], *arguments: Any) -> Any:
        """Call `make`, and raise its ExpressionError as an error of the file."""
        try:
            return make(*arguments)
        except ExpressionError as error:
            label = ".".join(str(part) for part in path)
            raise self._document.error(path, f"{label}: {error}") from None

    def _parse(self, text: str, path: Path) -> Expression:
        expression: Expression = self._guarded(path, Expression, text)
        self._check_known(expression.names, path, f" in '{text}'")
        return expression

    def _check_known(self, names: tuple[str, ...], path: Path, where: str = "") -> None:
        known = [*self._constants, *self._entries]
        for name in names:
            if name not in known:
                label = ".".join(str(part) for part in path)
                hint = self._hint(name, where) or did_you_mean(name, known) or _named(known)
                raise self._document.error(path, f"{label}: unknown name '{name}'{where}{hint}")

    def _hint(self, name: str, where: str) -> str:
        """What was probably meant by an unknown name; "" if there is no guess.

        It may be a value without quotes, or a part of a name that no expression can hold.
        """
        if any(
            name in param.values
            for param in self._params.values()
            if isinstance(param, Choice | Ordinal)
        ):
            return f"; the word is written '{name}', in quotes"
        odd = next(
            (
                one
                for one in self._entries
                if name in one and one in where and not one.replace(".", "").isidentifier()
            ),
            None,
        )
        return f"; the name '{odd}' cannot stand in an expression" if odd else ""

    def _condition(self, when: When, path: Path) -> Condition | Equals:
        if isinstance(when, str):
            return Condition(self._parse(when, path))
        self._check_known(tuple(when), path)
        return Equals(
            tuple(
                (name, tuple(value) if isinstance(value, list) else (value,))
                for name, value in when.items()
            )
        )

    def _check_condition(self, condition: Condition | Equals, path: Path) -> None:
        if isinstance(condition, Condition):
            self._check_truth(condition.expression, path)
            return
        for name, values in condition.wanted:
            for value in values if name in self._params else ():
                self._guarded((*path, name), check_value, name, self._params[name], value)

    def _constraint(self, text: str, path: Path) -> Constraint:
        expression = self._parse(text, path)
        self._check_truth(expression, path)
        return Constraint(expression)

    def _check_truth(self, expression: Expression, path: Path) -> None:
        if not self._guarded(path, check, expression, self._known, self._params) & TRUTH:
            label = ".".join(str(part) for part in path)
            raise self._document.error(
                path,
                f"{label}: '{expression.text}' is neither true nor false; expected a comparison",
            )

    def _order(self, uses: Mapping[str, tuple[str, ...]]) -> list[str]:
        """The entries in the order of the file, but each after those that it reads."""
        order: list[str] = []
        waiting = list(self._entries)
        while waiting:
            ready = next(
                (
                    name
                    for name in waiting
                    if not any(used in waiting for used in uses.get(name, ()))
                ),
                None,
            )
            if ready is None:
                names = ", ".join(waiting)
                raise self._document.error(
                    ("space", waiting[0]),
                    f"space.{waiting[0]}: circular dependency between parameters: {names}",
                )
            order.append(ready)
            waiting.remove(ready)
        return order

    def _reachable(self, built: Space) -> Space:
        """The space itself. Raises SpecificationError if (almost) nothing meets the constraints."""
        try:
            built.sample(np.random.default_rng(0), patience=1)
        except EmptySpace as error:
            raise self._explained(built, error) from None
        return built

    def _explained(self, built: Space, error: EmptySpace) -> SpecificationError:
        """The error with its cause: a constraint or a derived value that alone rules out all."""
        rng = np.random.default_rng(0)
        fractions = built.fractions_by_constraint(rng)
        if 0.0 in fractions:
            never = fractions.index(0.0)
            hint = f"; '{self._constraints[never]}' held in none of 1,000"
            return self._document.error(("constraints", never), f"constraints: {error}{hint}")
        for name, entry in self._derived().items():
            alone = replace(built, constraints=(), derived={name: built.derived[name]})
            if not alone.feasible_fraction(rng):
                path = ("space", name, "expr")
                return self._document.error(
                    path, f"space.{name}.expr: '{entry.expr}' had a value in none of 1,000 draws"
                )
        return self._document.error(("constraints",), f"constraints: {error}")


def _named(names: list[str]) -> str:
    """The end of a message that lists the names of a space, if they are few."""
    return f"; the space has {', '.join(names)}" if 0 < len(names) <= MAX_NAMED else ""


def _used(condition: Condition | Equals) -> tuple[str, ...]:
    return (
        condition.expression.names
        if isinstance(condition, Condition)
        else tuple(name for name, _ in condition.wanted)
    )


def check_names(entries: Mapping[str, Any], document: Document) -> None:
    """Raise SpecificationError for an empty name, or for one that lies in a mapping.

    Dotted names nest. `trainer` may have a value of its own beside `trainer.max_epochs`, as a group
    of Hydra's has, unless it is a mapping: that could hold the same name.
    """
    for name in entries:
        if "" in name.split("."):
            raise document.error(
                ("space", name),
                f"space.{name}: a name must not be empty, nor begin or end with a dot",
            )
        for parent in parents(name):
            if any(isinstance(value, Mapping) for value in listed_values(entries.get(parent))):
                raise document.error(
                    ("space", name),
                    f"space.{name}: '{parent}' is a mapping, so what it holds is said in its value",
                )
