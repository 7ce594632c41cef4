"""Orion's priors, such as `loguniform(1e-5, 1.0)`, as entries of our space."""

from __future__ import annotations

from typing import Any

from raysweep.search_spaces.convert import ranges
from raysweep.search_spaces.convert.draft import Draft
from raysweep.search_spaces.convert.python_call import CallError, PythonCall
from raysweep.search_spaces.file.document import Path


def entry(draft: Draft, path: Path, call: PythonCall) -> Any:
    if call.name not in PRIORS:
        known = ", ".join(PRIORS)
        raise draft.error(path, f"'{call.name}' has no equal here; expected one of {known}")
    if "shape" in call.named:
        raise draft.error(path, "a parameter that is an array has no equal here")
    if "default_value" in call.named:
        draft.note(
            path, f"default_value: {call.named['default_value']!r} (where its search begins)"
        )
    rest = {name: value for name, value in call.named.items() if name != "default_value"}
    return PRIORS[call.name](draft, path, PythonCall(call.name, call.arguments, rest))


def _uniform(draft: Draft, path: Path, call: PythonCall) -> Any:
    bounds, whole = _bounds(draft, path, call)
    if whole:
        low, high = (draft.whole(path, one) for one in bounds)
        return ranges.integers(draft, path, low, high)
    return ranges.continuous(draft, path, *bounds)


def _loguniform(draft: Draft, path: Path, call: PythonCall) -> Any:
    bounds, whole = _bounds(draft, path, call)
    if not whole:
        return ranges.continuous(draft, path, *bounds, log=True)
    draft.note(
        path, "a draw is rounded down there; here to the nearest whole number on a log scale"
    )
    low, high = (draft.whole(path, one) for one in bounds)
    return ranges.integers(draft, path, low, high, log=True)


def _bounds(draft: Draft, path: Path, call: PythonCall) -> tuple[tuple[float, float], bool]:
    given = call.bound(("low", "high"), ("discrete", "precision"))
    low, high = (draft.number(path, given[key]) for key in ("low", "high"))
    whole = bool(given.get("discrete", False))
    return (low, high), whole


def _choices(draft: Draft, path: Path, call: PythonCall) -> Any:
    if call.named:
        raise CallError(f"choices does not take {' and '.join(call.named)} here")
    first = call.arguments[0] if len(call.arguments) == 1 else call.arguments
    if isinstance(first, dict):
        weights = [draft.number(path, one) for one in first.values()]
        return ranges.listed(list(first), weights)
    return ranges.listed(draft.items(path, first))


def _fidelity(draft: Draft, path: Path, call: PythonCall) -> Any:
    """The length of a trial: the longest is a constant here."""
    given = call.bound(("low", "high"), ("base",))
    return draft.whole(path, given["high"])


PRIORS: dict[str, Any] = {
    "uniform": _uniform,
    "loguniform": _loguniform,
    "choices": _choices,
    "fidelity": _fidelity,
}
