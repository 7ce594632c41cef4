"""Weights & Biases sweep files (docs.wandb.ai, "Sweep configuration options").

The distributions are those that its own code draws. In its files, `log_uniform` takes natural
exponents and `log_uniform_values` takes values; here every number is a value.
"""

from __future__ import annotations

import math
from typing import Any

from raysweep.search_spaces.convert import command, ranges, wandb_command
from raysweep.search_spaces.convert.draft import Draft, Handler, moved, noted, only, refused, taken
from raysweep.search_spaces.file.document import Path

NAME = "a W&B sweep"
METHODS = {"grid": "grid", "random": "random", "bayes": "auto"}


def recognize(data: dict[str, Any]) -> bool:
    return "method" in data and "parameters" in data


def read(draft: Draft) -> None:
    """Take the whole file."""
    data = draft.source.data
    draft.each((), data, KEYS)
    wandb_command.passed(draft)
    command.length(draft)
    _rungs(draft)
    if "metric" not in data and data["method"] != "bayes":
        draft.note((), "no metric is named; --set metric={name: ..., goal: ...}")
    if "early_terminate" not in data:
        draft.put(("scheduler",), "none", ())
    if draft.data.get("searcher") == "grid":
        ranges.every_value(draft, "a grid needs values, or int_uniform or q_uniform")
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
        "impute_while_running": noted("what bayes believes of trials under way"),
    }
    draft.put(("metric", "goal"), "minimize", path)
    draft.each(path, value, goals)


def _program(draft: Draft, path: Path, value: Any) -> None:
    """The script. It works in the folder in which the agent is started, and not in its own."""
    if "command" not in draft.source.data:
        command.take_script(draft, path, draft.word(path, value))


def _early(draft: Draft, path: Path, value: Any) -> None:
    """Hyperband's rungs: `min_iter`, `min_iter * eta`, and so on.

    Or `max_iter / eta`, `max_iter / eta**2`, and so on, `s` of them.
    """
    rule = draft.mapping(path, value)
    handlers: dict[str, Handler] = {
        "type": only("hyperband"),
        "eta": moved("scheduler", "eta"),
        "min_iter": moved("scheduler", "grace"),
        "max_iter": taken,
        "s": taken,
        "strict": only(False),
    }
    draft.put(("scheduler", "name"), "asha", path)
    draft.put(("scheduler", "type"), "stopping", path)
    draft.each(path, rule, handlers)
    draft.note(path, "an iteration there is one logged step; an epoch here")
    if "max_iter" in rule:
        rungs = _last_rungs(draft, path, rule)
        draft.put(("scheduler", "grace"), rungs[0], (*path, "max_iter"))
    elif "s" in rule:
        draft.note((*path, "s"), "the number of rungs follows from the epochs here")


def _last_rungs(draft: Draft, path: Path, rule: dict[str, Any]) -> list[int]:
    """The iterations at which runs are compared, all of them before `max_iter`."""
    longest = draft.whole((*path, "max_iter"), rule["max_iter"])
    eta = draft.number((*path, "eta"), rule.get("eta", 3))
    count = draft.whole((*path, "s"), rule.get("s", 1))
    if eta <= 1 or not 0 < count <= 64 or longest < eta:
        raise draft.error(path, f"{count} rungs of eta {eta:g} up to {longest} are none")
    return sorted({int(longest / eta**i) for i in range(1, count + 1) if longest / eta**i >= 1})


def _rungs(draft: Draft) -> None:
    """Say which rungs are others here, if `max_iter` places them."""
    path = ("early_terminate",)
    rule = draft.source.data.get("early_terminate")
    if not isinstance(rule, dict) or "max_iter" not in rule:
        return
    there = _last_rungs(draft, path, rule)
    eta = draft.number((*path, "eta"), rule.get("eta", 3))
    epochs = draft.data.get("budget", {}).get("epochs")
    here = [there[0]]
    while epochs and round(here[-1] * eta) < epochs:
        here.append(round(here[-1] * eta))
    if epochs is None or there != here:
        text = ", ".join(str(rung) for rung in there)
        ours = (
            f"{', '.join(str(rung) for rung in here)}{'' if epochs else ', ... up to the length'}"
        )
        draft.note((*path, "max_iter"), f"trials are compared at {text} there; at {ours} here")


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
            draft.param(f"{prefix}{name}", _entry(draft, place, rule), place)


def _entry(draft: Draft, path: Path, rule: dict[str, Any]) -> Any:
    kind = rule.get("distribution") or _inferred(draft, path, rule)
    kind = draft.word((*path, "distribution"), kind, [*RANGES, *QUANTIZED, *LISTS])
    known = LISTS.get(kind, ("min", "max", "q") if kind.startswith("q_") else ("min", "max"))
    draft.each(path, rule, dict.fromkeys((*known, "distribution"), taken))
    if kind == "constant":
        return ranges.constant(rule.get("value"))
    if kind.startswith("categorical"):
        return _choice(draft, path, rule)
    missing = [key for key in ("min", "max") if rule.get(key) is None]
    if missing:
        raise draft.error(path, f"the distribution {kind} needs {' and '.join(missing)}")
    low, high = (draft.number((*path, key), rule[key]) for key in ("min", "max"))
    if not kind.startswith("q_"):
        return RANGES[kind](draft, path, low, high)
    step = 1 if rule.get("q") is None else draft.number((*path, "q"), rule["q"])
    step = int(step) if step == int(step) else step
    if draft.source.data["method"] == "grid":
        return _q_grid(draft, path, kind, (low, high), step)
    return QUANTIZED[kind](draft, path, low, high, step)


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


def _choice(draft: Draft, path: Path, rule: dict[str, Any]) -> Any:
    values = draft.items((*path, "values"), rule.get("values"))
    if rule.get("probabilities") is None:
        return ranges.listed(values)
    place = (*path, "probabilities")
    if draft.source.data["method"] == "grid":
        raise draft.error(place, "a grid there takes no probabilities")
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
    return ranges.listed([value for value, _ in drawn], [weight for _, weight in drawn])


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
        f"log_uniform takes exponents, so the range is [{bottom:g}, {top:g}]; "
        "log_uniform_values would take values",
    )
    return ranges.continuous(draft, path, bottom, top, log=True)


def _inverse_log_uniform(draft: Draft, path: Path, low: float, high: float) -> Any:
    return _log_uniform(draft, path, -high, -low)


def _log_uniform_values(draft: Draft, path: Path, low: float, high: float) -> Any:
    return ranges.continuous(draft, path, low, high, log=True)


def _q_uniform(draft: Draft, path: Path, low: float, high: float, q: float) -> Any:
    return ranges.quantized(draft, path, (low, high), q)


def _q_log_uniform_values(draft: Draft, path: Path, low: float, high: float, q: float) -> Any:
    return ranges.quantized(draft, path, (low, high), q, log=True)


def _q_log_uniform(draft: Draft, path: Path, low: float, high: float, q: float) -> Any:
    bottom, top = ranges.exponents(draft, path, low, high)
    draft.note(path, f"q_log_uniform takes exponents, so the range is [{bottom:g}, {top:g}]")
    return ranges.quantized(draft, path, (bottom, top), q, log=True)


def _q_grid(draft: Draft, path: Path, kind: str, bounds: tuple[float, float], step: float) -> Any:
    """The values that a grid takes of a quantized range: in steps, without the upper bound."""
    low, high = bounds
    if kind != "q_uniform":
        raise draft.error(path, f"a grid there takes no {kind}")
    if step <= 0 or not low < high:
        raise draft.error(path, f"[{low:g}, {high:g}] in steps of {step:g} has no value")
    count = math.ceil((high - low) / step)
    if count > ranges.MOST_STEPS:
        raise draft.error(path, f"q {step:g} is too small for the range [{low:g}, {high:g}]")
    draft.note(path, f"a grid there leaves out the upper bound of q_uniform, {high:g}")
    kind, number = ("int", int) if isinstance(step, int) and low == int(low) else ("float", float)
    last = number(ranges.tidy(low + (count - 1) * step))
    return {kind: [number(low), last], "step": step} if count > 1 else number(low)


RANGES: dict[str, Any] = {
    "uniform": _uniform,
    "int_uniform": _int_uniform,
    "log_uniform": _log_uniform,
    "log_uniform_values": _log_uniform_values,
    "inv_log_uniform": _inverse_log_uniform,
    "inv_log_uniform_values": _log_uniform_values,
}
QUANTIZED: dict[str, Any] = {
    "q_uniform": _q_uniform,
    "q_log_uniform": _q_log_uniform,
    "q_log_uniform_values": _q_log_uniform_values,
}
LISTS = {
    "constant": ("value",),
    "categorical": ("values", "probabilities"),
    "categorical_w_probabilities": ("values", "probabilities"),
}
_ELSEWHERE = noted("where a sweep is shown there")
KEYS: dict[str, Handler] = {
    "program": _program,
    "command": wandb_command.take,
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
    "apiVersion": _ELSEWHERE,
    "kind": only("sweep"),
    "job": refused("a W&B job is started by its launcher"),
    "image_uri": refused("a W&B job is started by its launcher"),
    "scheduler": refused("a searcher of one's own"),
    "metrics": refused("one metric is optimized"),
}
