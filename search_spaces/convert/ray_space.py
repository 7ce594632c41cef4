"""Values of Ray Tune's search spaces: `tune.loguniform(1e-4, 1e-1)` and `{grid_search: [1, 2]}`.

`randint` and `lograndint` leave their upper bound out, `uniform` and its like include it. Calls are
read as text, and nothing is evaluated.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any

from raysweep.search_spaces.convert import ranges
from raysweep.search_spaces.convert.draft import Draft
from raysweep.search_spaces.convert.python_call import CallError, PythonCall, parse
from raysweep.search_spaces.file.document import Path

GRID = "grid_search"
_CALL = re.compile(r"\s*(?:ray\.)?tune\.(?:search\.)?(?:sample\.)?\w+\s*\(")
_FUNCTIONS = {"eval", "lambda", "sample_from"}


def is_call(value: Any) -> bool:
    """Whether a value is a text such as `tune.choice([1, 2])`."""
    return isinstance(value, str) and _CALL.match(value) is not None


def is_target(value: Any) -> bool:
    """Whether a value is a mapping that Hydra makes such a call of."""
    target = value.get("_target_") if isinstance(value, dict) else None
    return isinstance(target, str) and _CALL.match(f"{target}(") is not None


def is_grid(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {GRID}


def holds_range(value: Any) -> bool:
    """Whether a range lies anywhere in a value."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    found = is_call(value) or is_grid(value) or is_target(value)
    return found or any(holds_range(one) for one in inner)


def take(draft: Draft, path: Path, value: Any, name: str) -> list[tuple[str, bool]]:
    """Take a value, or what it holds. Returns the names that vary, and whether in a grid."""
    if is_grid(value):
        values = draft.items((*path, GRID), value[GRID])
        if any(holds_range(one) for one in values):
            raise draft.error(path, "a range inside of another has no equal here")
        draft.param(name, ranges.listed(values), path)
        return [(name, True)]
    if is_call(value) or is_target(value):
        return _called(draft, path, value, name)
    if isinstance(value, dict) and not _FUNCTIONS.isdisjoint(value):
        raise draft.error(path, "what a function computes has no equal here")
    if isinstance(value, dict) and value:
        dot = f"{name}." if name else ""
        several = (take(draft, (*path, key), one, f"{dot}{key}") for key, one in value.items())
        return [one for found in several for one in found]
    if isinstance(value, list) and holds_range(value):
        raise draft.error(path, "a range inside a list has no equal here")
    draft.param(name, ranges.constant(value), path)
    return []


def _read(value: Any) -> PythonCall:
    """The call that a text or a mapping is."""
    if isinstance(value, str):
        return parse(value)
    named = {key: one for key, one in value.items() if not key.startswith("_")}
    return PythonCall(value["_target_"], list(value.get("_args_") or []), named)


def _called(draft: Draft, path: Path, value: Any, name: str) -> list[tuple[str, bool]]:
    try:
        call = _read(value)
        kind = call.name.rpartition(".")[2]
        if kind == GRID:
            values = draft.items(path, call.bound(("values",))["values"])
            draft.param(name, ranges.listed(values), path)
            return [(name, True)]
        if kind not in KINDS:
            known = ", ".join(KINDS)
            raise draft.error(path, f"'{call.name}' has no equal here; expected one of {known}")
        draft.param(name, KINDS[kind](draft, path, call), path)
    except CallError as error:
        raise draft.error(path, f"'{str(value)[:60]}' is no range: {error}") from None
    return [(name, False)]


def _numbers(
    draft: Draft, path: Path, call: PythonCall, *extra: str
) -> tuple[int | float, int | float, int | float]:
    """The bounds, and the quantum if there is one. `base` changes nothing in a distribution."""
    given = call.bound(("lower", "upper", *extra), ("base",))
    keys = ("lower", "upper", *extra)
    low, high, *rest = (draft.number(path, given[key]) for key in keys)
    return low, high, rest[0] if rest else 1


def _choice(draft: Draft, path: Path, call: PythonCall) -> Any:
    return ranges.listed(draft.items(path, call.bound(("categories",))["categories"]))


def _uniform(draft: Draft, path: Path, call: PythonCall) -> Any:
    low, high, _ = _numbers(draft, path, call)
    return ranges.continuous(draft, path, low, high)


def _loguniform(draft: Draft, path: Path, call: PythonCall) -> Any:
    low, high, _ = _numbers(draft, path, call)
    return ranges.continuous(draft, path, low, high, log=True)


def _quniform(draft: Draft, path: Path, call: PythonCall) -> Any:
    return ranges.quantized(draft, path, *_inside(draft, path, call))


def _qloguniform(draft: Draft, path: Path, call: PythonCall) -> Any:
    return ranges.quantized(draft, path, *_inside(draft, path, call), log=True)


def _inside(draft: Draft, path: Path, call: PythonCall) -> tuple[tuple[float, float], float]:
    """The outermost multiples of the quantum that lie in the bounds, and the quantum as a float."""
    low, high, step = (Decimal(str(one)) for one in _numbers(draft, path, call, "q"))
    if step <= 0:
        raise draft.error(path, f"q must be above zero, got {step}")
    bottom, top = math.ceil(low / step) * step, math.floor(high / step) * step
    if bottom > top:
        raise draft.error(path, f"no multiple of {step} lies in [{low}, {high}]")
    return (float(bottom), float(top)), float(step)


def _randint(draft: Draft, path: Path, call: PythonCall) -> Any:
    low, high, _ = _numbers(draft, path, call)
    return ranges.integers(draft, path, *_whole(draft, path, low, high, 1))


def _lograndint(draft: Draft, path: Path, call: PythonCall) -> Any:
    low, high, _ = _numbers(draft, path, call)
    draft.note(
        path, "a draw is rounded down there; here to the nearest whole number on a log scale"
    )
    return ranges.integers(draft, path, *_whole(draft, path, low, high, 1), log=True)


def _qrandint(draft: Draft, path: Path, call: PythonCall) -> Any:
    given = call.bound(("lower", "upper"), ("q",))
    step = draft.whole(path, given.get("q", 1))
    low, high = _whole(draft, path, given["lower"], given["upper"], step)
    return ranges.stepped(draft, path, -(-low // step) * step, high // step * step, step, True)


def _whole(draft: Draft, path: Path, low: Any, high: Any, step: int) -> tuple[int, int]:
    """Whole bounds; the upper one is left out there unless there is a quantum."""
    bottom, top = draft.whole(path, low), draft.whole(path, high) - (1 if step == 1 else 0)
    if step <= 0 or bottom > top:
        raise draft.error(path, f"[{bottom}, {high}] has no value: the upper bound is left out")
    return bottom, top


KINDS: dict[str, Any] = {
    "choice": _choice,
    "uniform": _uniform,
    "loguniform": _loguniform,
    "quniform": _quniform,
    "qloguniform": _qloguniform,
    "randint": _randint,
    "lograndint": _lograndint,
    "qrandint": _qrandint,
}
