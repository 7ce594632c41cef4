"""Hypothesis strategies for parameters and spaces of every kind."""

from __future__ import annotations

from hypothesis import strategies as st

from raysweep.search_spaces.language.params import Choice, Float, Int, Ordinal, Param, RangeOrValues
from raysweep.search_spaces.language.space import Space

UNIT = st.floats(0, 1)
SCALARS = st.one_of(
    st.booleans(), st.integers(-5, 5), st.floats(-5, 5), st.sampled_from(["sgd", "adam", "1e-4"])
)


@st.composite
def floats(draw: st.DrawFn) -> Float:
    kind = draw(st.sampled_from(["plain", "log", "reverse", "step", "log step"]))
    if kind == "reverse":
        low = draw(st.floats(0, 0.9))
        return Float(low, draw(st.floats(low + 0.01, 0.9999)), log="reverse")
    low = draw(st.floats(1e-6, 10)) if "log" in kind else draw(st.floats(-100, 100))
    if "step" in kind:
        step = draw(st.sampled_from([0.05, 0.1, 0.25, 2.0]))
        low = round(low / step) * step or step
        return Float(
            low, low + step * draw(st.integers(1, 40)), log="log" in kind and low > 0, step=step
        )
    return Float(low, low + draw(st.floats(0.01, 100)), log=kind == "log")


@st.composite
def ints(draw: st.DrawFn) -> Int:
    log, step = draw(st.booleans()), draw(st.integers(1, 9))
    low = draw(st.integers(1, 50)) if log else draw(st.integers(-50, 50))
    return Int(low, low + step * draw(st.integers(1, 60)), log=log, step=step)


def values() -> st.SearchStrategy[tuple[bool | int | float | str, ...]]:
    return st.lists(
        SCALARS, min_size=1, max_size=6, unique_by=lambda value: (type(value), value)
    ).map(tuple)


@st.composite
def eithers(draw: st.DrawFn) -> RangeOrValues:
    inner = draw(st.one_of(floats(), ints()))
    outside = [inner.low - 1, inner.high + 1, "auto", True]
    return RangeOrValues(
        tuple(draw(st.lists(st.sampled_from(outside), min_size=1, max_size=4, unique=True))), inner
    )


def params() -> st.SearchStrategy[Param]:
    return st.one_of(floats(), ints(), values().map(Ordinal), values().map(Choice), eithers())


def spaces() -> st.SearchStrategy[Space]:
    names = st.sampled_from(["lr", "model.width", "model.depth", "optimizer", "dropout"])
    constants = st.dictionaries(st.sampled_from(["data", "net.kind"]), SCALARS)
    return st.builds(Space, st.dictionaries(names, params(), min_size=1), constants)
