"""The entries of the `space:` section: a model for each kind of parameter, and its checks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from raysweep.search_spaces.language.params import (
    Choice,
    Ends,
    Float,
    Int,
    Ordinal,
    Param,
    RangeOrValues,
    as_floats,
    is_number,
    of_one_type,
    same,
)

Scalar = bool | int | float | str
STRICT = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
Positive = Annotated[int, Field(ge=1)]
Points = Annotated[int, Field(ge=1, le=100_000)]


def check_value(value: Any) -> Any:
    """Raise ValueError if a number in the value is not finite: JSON has no such number."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"expected a finite number, got {value}")
    for part in _parts(value):
        check_value(part)
    return value


def _parts(value: Any) -> list[Any]:
    """What a list or a mapping holds; nothing for a scalar."""
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, list) else []


Value = Annotated[Any, AfterValidator(check_value)]
"""A scalar, null, or a list or mapping of such, as YAML has them."""
When = str | dict[str, Scalar | list[Scalar]]
"""When a parameter is active: an expression, or the values that other parameters must have."""


class FloatSpec(BaseModel):
    """A real number between two bounds, both included."""

    model_config = STRICT
    bounds: Annotated[
        tuple[float, float],
        Field(alias="float", strict=False, description="[low, high], both included"),
    ]
    log: Annotated[
        bool | Literal["reverse"],
        Field(description="even over orders of magnitude; reverse: of the distance to 1"),
    ] = False
    step: Annotated[float | None, Field(description="keeps low, low + step, ..., high")] = None
    points: Annotated[Points | None, Field(description="how many values the grid takes")] = None
    or_: Annotated[
        list[Value], Field(alias="or", description="values outside of the range, such as [0]")
    ] = []
    around: Annotated[float | None, Field(description="where good values are believed to lie")] = (
        None
    )
    ends: Annotated[
        Ends,
        Field(
            description="half: the outermost of stepped values are drawn half as often, "
            "as rounding does"
        ),
    ] = "full"
    when: Annotated[When | None, Field(description="active only then")] = None

    @model_validator(mode="after")
    def _sound(self) -> FloatSpec:
        check_bounds(*self.bounds, self.log, self.step)
        check_or(self.or_, *self.bounds)
        check_around(self.around, self.param())
        if self.ends == "half" and self.step is None:
            raise ValueError("ends: half is for a range with a step")
        return self

    def param(self) -> Float | RangeOrValues:
        inner = Float(*self.bounds, self.log, self.step, self.points, self.around, self.ends)
        return RangeOrValues(tuple(as_floats(self.or_)), inner) if self.or_ else inner


class IntSpec(BaseModel):
    """A whole number between two bounds, both included."""

    model_config = STRICT
    bounds: Annotated[
        tuple[int, int], Field(alias="int", strict=False, description="[low, high], both included")
    ]
    log: Annotated[bool, Field(description="even over orders of magnitude")] = False
    step: Annotated[int, Field(description="keeps low, low + step, ..., high")] = 1
    points: Annotated[Points | None, Field(description="how many values the grid takes")] = None
    or_: Annotated[
        list[Value], Field(alias="or", description="values outside of the range, such as [0]")
    ] = []
    around: Annotated[int | None, Field(description="where good values are believed to lie")] = None
    ends: Annotated[
        Ends,
        Field(description="half: the outermost values are drawn half as often, as rounding does"),
    ] = "full"
    when: Annotated[When | None, Field(description="active only then")] = None

    @model_validator(mode="after")
    def _sound(self) -> IntSpec:
        check_bounds(*self.bounds, self.log, self.step)
        check_or(self.or_, *self.bounds)
        check_around(self.around, self.param())
        return self

    def param(self) -> Int | RangeOrValues:
        inner = Int(*self.bounds, self.log, self.step, self.points, self.around, self.ends)
        return RangeOrValues(tuple(self.or_), inner) if self.or_ else inner


class OrdinalSpec(BaseModel):
    """One of several values whose order means something."""

    model_config = STRICT
    values: Annotated[
        list[Value], Field(alias="ordinal", min_length=1, description="in their order")
    ]
    points: Annotated[
        Points | None,
        Field(description="how many values the grid takes; all by default"),
    ] = None
    around: Annotated[Scalar | None, Field(description="which value is believed to be good")] = None
    weights: Annotated[list[float] | None, Field(description="how often each value is drawn")] = (
        None
    )
    when: Annotated[When | None, Field(description="active only then")] = None

    @model_validator(mode="after")
    def _sound(self) -> OrdinalSpec:
        check_distinct(self.values)
        check_around(self.around, self.param())
        if self.weights is not None:
            check_weights(self.weights, len(self.values))
        if self.weights is not None and self.around is not None:
            raise ValueError("around and weights exclude each other")
        return self

    def param(self) -> Ordinal:
        return Ordinal(
            tuple(of_one_type(self.values)),
            self.points,
            self.around,
            None if self.weights is None else tuple(self.weights),
        )


class ChoiceSpec(BaseModel):
    """One of several values without an order."""

    model_config = STRICT
    values: Annotated[list[Value], Field(alias="choice", min_length=1)]
    weights: Annotated[list[float] | None, Field(description="how often each value is drawn")] = (
        None
    )
    when: Annotated[When | None, Field(description="active only then")] = None

    @model_validator(mode="after")
    def _sound(self) -> ChoiceSpec:
        check_distinct(self.values)
        if self.weights is not None:
            check_weights(self.weights, len(self.values))
        return self

    def param(self) -> Choice:
        weights = None if self.weights is None else tuple(self.weights)
        return Choice(tuple(of_one_type(self.values)), weights)


class ExprSpec(BaseModel):
    """A value computed from others, such as 4 * channels."""

    model_config = STRICT
    expr: str


class ValueSpec(BaseModel):
    """A constant that is a list, a mapping or null; any other constant is written plainly."""

    model_config = STRICT
    value: Value


ParamSpec = FloatSpec | IntSpec | OrdinalSpec | ChoiceSpec
KINDS: dict[str, type[BaseModel]] = {
    "float": FloatSpec,
    "int": IntSpec,
    "ordinal": OrdinalSpec,
    "choice": ChoiceSpec,
    "expr": ExprSpec,
    "value": ValueSpec,
}


def _kind(value: object) -> str | None:
    if isinstance(value, Mapping):
        return next((f"<{kind}>" for kind in KINDS if kind in value), None)
    for kind, model in KINDS.items():
        if isinstance(value, model):
            return f"<{kind}>"
    return "<constant>" if isinstance(value, bool | int | float | str) else None


Entry = Annotated[
    Annotated[FloatSpec, Tag("<float>")]
    | Annotated[IntSpec, Tag("<int>")]
    | Annotated[OrdinalSpec, Tag("<ordinal>")]
    | Annotated[ChoiceSpec, Tag("<choice>")]
    | Annotated[ExprSpec, Tag("<expr>")]
    | Annotated[ValueSpec, Tag("<value>")]
    | Annotated[Scalar, Tag("<constant>")],
    Discriminator(_kind),
]


LARGEST_BOUND = 10**300
"""A whole number beyond this cannot be converted to a float."""


def check_bounds(low: float, high: float, log: object, step: float | None) -> None:
    """Raise ValueError if a range makes no sense."""
    if isinstance(low, int) and max(abs(low), abs(high)) > LARGEST_BOUND:
        raise ValueError("a bound has more than 300 digits")
    if low > high:
        raise ValueError(
            f"the bounds [{low:g}, {high:g}] are in the wrong order; expected [{high:g}, {low:g}]"
        )
    if low == high:
        raise ValueError(
            f"the bounds [{low:g}, {high:g}] leave one value; write it plainly, without braces"
        )
    if log == "reverse" and not 0 <= low < high < 1:
        raise ValueError(
            f"a reverse log range must lie in 0 to 1, without 1, got [{low:g}, {high:g}]"
        )
    if isinstance(low, float) and not math.isfinite(high - low):
        raise ValueError(f"the range [{low:g}, {high:g}] is wider than the largest number")
    if log is True and low <= 0:
        raise ValueError(f"a log range must lie above zero, got the lower bound {low:g}")
    if step is not None:
        check_step(low, high, step)


def check_step(low: float, high: float, step: float) -> None:
    """Raise ValueError if a step does not lead from the lower bound to the upper one."""
    if step <= 0:
        raise ValueError(f"step must be above zero, got {step:g}")
    if (high - low) > 2**53 * step:
        raise ValueError(f"step {step:g} is too small for the range [{low:g}, {high:g}]")
    steps = (high - low) / step
    if abs(steps - round(steps)) > 1e-9 * max(1.0, steps):
        below, above = low + math.floor(steps) * step, low + math.ceil(steps) * step
        raise ValueError(
            f"step {step:g} from {low:g} misses the upper bound {high:g}; "
            f"{below:g} or {above:g} would do"
        )


def check_distinct(values: Sequence[Value]) -> None:
    """Raise ValueError if two values are the same."""
    for i, value in enumerate(values):
        if any(same(value, one) for one in values[:i]):
            raise ValueError(f"duplicate value {value!r}")


def check_or(values: Sequence[Value], low: float, high: float) -> None:
    """Raise ValueError if a value beside a range lies within it."""
    check_distinct(values)
    for value in values:
        if is_number(value) and low <= value <= high:
            raise ValueError(f"or: {value:g} lies in the range [{low:g}, {high:g}] already")


def check_around(value: Scalar | None, param: Param) -> None:
    """Raise ValueError if the centre of a prior is not a value of the parameter."""
    inner = param.range if isinstance(param, RangeOrValues) else param
    if value is not None and value not in inner:
        raise ValueError(f"around: {value} is none of its values")


def check_weights(weights: Sequence[float], count: int) -> None:
    """Raise ValueError if there is not a positive weight for each value."""
    if len(weights) != count:
        raise ValueError(
            f"weights: expected one for each of the {count} values, got {len(weights)}"
        )
    if min(weights) <= 0 or not sum(weights) < math.inf:
        raise ValueError(
            f"weights: expected numbers above 0, got {list(weights)}; "
            "leave out what is never to be drawn"
        )
