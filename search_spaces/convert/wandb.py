"""Weights & Biases sweep files (docs.wandb.ai, "Sweep configuration options"; distributions as its own code draws them).

A number of ours means a value, always; there `log_uniform` takes natural exponents and `log_uniform_values` values.
"""

from __future__ import annotations

from typing import Any

from search_spaces.convert import command, ranges
from search_spaces.convert.draft import Draft, Handler, moved, noted, only, taken
from search_spaces.document import Path

NAME = "a W&B sweep"
METHODS = {"grid": "grid", "random": "random", "bayes": "auto"}
_PROGRAM, _ARGS = (
    ("${interpreter}", "${program}"),
    ("${args}", "${args_no_hyphens}", "${args_no_boolean_flags}"),
)


def recognize(data: dict[str, Any]) -> bool:
    return "method" in data and "parameters" in data


def read(draft: Draft) -> None:
    """Take the whole file."""
    data = draft.source.data
    draft.each((), data, KEYS)
    if "metric" not in data and data["method"] != "bayes":
        draft.note((), "no metric is named; --set metric={name: ..., goal: ...}")
    if "early_terminate" not in data:
        draft.put(("scheduler",), "none", ())
    if draft.data.get("searcher") == "grid":
        ranges.every_value(draft)
        if "run_cap" not in data:
            ranges.every_cell(draft)


def _method(draft: Draft, path: Path, value: Any) -> None:
    searcher = METHODS[draft.word(path, value, METHODS)]
    if value == "bayes":
        draft.note(path, "bayes is a Gaussian process of its own there; auto is one here")
    draft.put(("searcher",), searcher, path)


def _metric(draft: Draft, path: Path, value: Any) -> None:
    goals: dict[str, Handler] = {
        "name": moved("metric", "name"),
        "goal": moved("metric", "goal"),
        "target": moved("metric", "target"),
        "impute": only("worst"),
    }
    draft.put(("metric", "goal"), "minimize", path)
    draft.each(path, value, goals)


def _program(draft: Draft, path: Path, value: Any) -> None:
    draft.put(("trainable",), draft.word(path, value), path)


def _command(draft: Draft, path: Path, value: Any) -> None:
    """The default command, perhaps with fixed arguments, or one that names the script itself."""
    words = [
        str(one)
        for one in draft.items(path, value)
        if one not in ("${env}", "/usr/bin/env", *_ARGS)
    ]
    if tuple(words[:2]) == _PROGRAM or (len(words) > 1 and words[1] == "${program}"):
        command.arguments(draft, path, words[2:])
    else:
        command.script(draft, path, words)


def _early(draft: Draft, path: Path, value: Any) -> None:
    """Hyperband's brackets: min_iter, min_iter * eta, ...; or max_iter / eta, max_iter / eta**2, ... `s` of them."""
    rule = draft.mapping(path, value)
    handlers: dict[str, Handler] = {
        "type": only("hyperband"),
        "eta": moved("scheduler", "eta"),
        "min_iter": moved("scheduler", "grace"),
        "max_iter": moved("budget", "epochs"),
        "s": lambda draft, path, value: None,
        "strict": only(False),
    }
    draft.put(("scheduler", "name"), "asha", path)
    draft.each(path, rule, handlers)
    draft.note(path, "an iteration there is one logged step; an epoch here")
    if "max_iter" in rule:
        longest = draft.whole((*path, "max_iter"), rule["max_iter"])
        eta, brackets = (
            draft.number((*path, "eta"), rule.get("eta", 3)),
            draft.whole((*path, "s"), rule.get("s", 1)),
        )
        if eta <= 1 or not 0 <= brackets <= 64:
            raise draft.error(path, f"{brackets} brackets of eta {eta:g} are none")
        draft.put(("scheduler", "grace"), max(1, int(longest / eta**brackets)), (*path, "max_iter"))
    elif "s" in rule:
        draft.note((*path, "s"), "the number of brackets follows from the epochs here")


def _parameters(draft: Draft, path: Path, value: Any) -> None:
    _nested(draft, path, value, "")


def _nested(draft: Draft, path: Path, value: Any, prefix: str) -> None:
    for name, inner in draft.mapping(path, value).items():
        place = (*path, name)
        rule = draft.mapping(place, inner)
        if "parameters" in rule:
            draft.each(place, {key: one for key, one in rule.items() if key != "parameters"}, {})
            _nested(draft, (*place, "parameters"), rule["parameters"], f"{prefix}{name}.")
        else:
            draft.put(("space", f"{prefix}{name}"), _entry(draft, place, rule), place)


def _entry(draft: Draft, path: Path, rule: dict[str, Any]) -> Any:
    kind = rule.get("distribution") or _inferred(draft, path, rule)
    kind = draft.word((*path, "distribution"), kind, [*RANGES, *LISTS])
    known = LISTS.get(kind, ("min", "max", "q") if kind.startswith("q_") else ("min", "max"))
    draft.each(path, rule, dict.fromkeys((*known, "distribution"), taken))
    if kind == "constant":
        return _constant(draft, (*path, "value"), rule.get("value"))
    if kind.startswith("categorical"):
        return _choice(draft, path, rule)
    missing = [
        key
        for key in ("min", "max", *(["q"] if kind.startswith("q_") else []))
        if rule.get(key) is None
    ]
    if missing:
        raise draft.error(path, f"the distribution {kind} needs {' and '.join(missing)}")
    return RANGES[kind](
        draft,
        path,
        *(draft.number((*path, key), rule[key]) for key in known if rule.get(key) is not None),
    )


def _inferred(draft: Draft, path: Path, rule: dict[str, Any]) -> str:
    if "value" in rule:
        return "constant"
    if "values" in rule:
        return "categorical"
    if "min" in rule and "max" in rule:
        return (
            "int_uniform"
            if all(isinstance(rule[key], int) for key in ("min", "max"))
            else "uniform"
        )
    raise draft.error(path, "expected value, values, or min and max")


def _constant(draft: Draft, path: Path, value: Any) -> Any:
    if not isinstance(value, bool | int | float | str):
        raise draft.error(path, "a constant that is a list, a mapping or nothing has no equal here")
    return value


def _choice(draft: Draft, path: Path, rule: dict[str, Any]) -> Any:
    values = draft.scalars((*path, "values"), rule.get("values"))
    if rule.get("probabilities") is None:
        return {"choice": values}
    place = (*path, "probabilities")
    weights = [
        draft.number((*place, i), one)
        for i, one in enumerate(draft.items(place, rule["probabilities"]))
    ]
    if len(weights) != len(values):
        raise draft.error(
            place, f"expected one for each of the {len(values)} values, got {len(weights)}"
        )
    drawn = [(value, weight) for value, weight in zip(values, weights, strict=True) if weight != 0]
    if len(drawn) < len(values):
        draft.note(place, "a value with the probability 0 is left out")
    return {"choice": [value for value, _ in drawn], "weights": [weight for _, weight in drawn]}


def _uniform(draft: Draft, path: Path, low: float, high: float) -> Any:
    return ranges.continuous(draft, path, low, high)


def _int_uniform(draft: Draft, path: Path, low: float, high: float) -> Any:
    return ranges.integers(
        draft, path, draft.whole((*path, "min"), low), draft.whole((*path, "max"), high)
    )


def _log_uniform(draft: Draft, path: Path, low: float, high: float) -> Any:
    bottom, top = ranges.exponents(draft, path, low, high)
    draft.note(
        path,
        f"log_uniform takes exponents, so the range is [{bottom:g}, {top:g}]; log_uniform_values would take values",
    )
    return ranges.continuous(draft, path, bottom, top, log=True)


def _inverse_log_uniform(draft: Draft, path: Path, low: float, high: float) -> Any:
    return _log_uniform(draft, path, -high, -low)


def _log_uniform_values(draft: Draft, path: Path, low: float, high: float) -> Any:
    return ranges.continuous(draft, path, low, high, log=True)


def _q_uniform(draft: Draft, path: Path, low: float, high: float, q: float = 1) -> Any:
    return ranges.quantized(draft, path, (low, high), q)


def _q_log_uniform_values(draft: Draft, path: Path, low: float, high: float, q: float = 1) -> Any:
    return ranges.quantized(draft, path, (low, high), q, log=True)


def _q_log_uniform(draft: Draft, path: Path, low: float, high: float, q: float = 1) -> Any:
    bottom, top = ranges.exponents(draft, path, low, high)
    draft.note(path, f"q_log_uniform takes exponents, so the range is [{bottom:g}, {top:g}]")
    return ranges.quantized(draft, path, (bottom, top), q, log=True)


RANGES: dict[str, Any] = {
    "uniform": _uniform,
    "int_uniform": _int_uniform,
    "q_uniform": _q_uniform,
    "log_uniform": _log_uniform,
    "log_uniform_values": _log_uniform_values,
    "q_log_uniform": _q_log_uniform,
    "q_log_uniform_values": _q_log_uniform_values,
    "inv_log_uniform": _inverse_log_uniform,
    "inv_log_uniform_values": _log_uniform_values,
}
LISTS = {
    "constant": ("value",),
    "categorical": ("values", "probabilities"),
    "categorical_w_probabilities": ("values", "probabilities"),
}
_ELSEWHERE = noted("where a sweep is shown there")
KEYS: dict[str, Handler] = {
    "program": _program,
    "command": _command,
    "method": _method,
    "metric": _metric,
    "parameters": _parameters,
    "early_terminate": _early,
    "run_cap": moved("budget", "trials"),
    "name": _ELSEWHERE,
    "description": _ELSEWHERE,
    "project": _ELSEWHERE,
    "entity": _ELSEWHERE,
    "controller": only({"type": "cloud"}, {"type": "local"}),
}
