"""The sections of Hydra's sweepers for Ax and Nevergrad (hydra.cc, "Ax Sweeper plugin")."""

from __future__ import annotations

from typing import Any

from raysweep.search_spaces.convert import hydra_params, ranges
from raysweep.search_spaces.convert.draft import Draft, Handler, noted, refused, taken
from raysweep.search_spaces.convert.hydra_sweepers import FAILURES, STORED, count, default_trials
from raysweep.search_spaces.convert.hydra_sweeps import Interval
from raysweep.search_spaces.file.document import Path

AX_TRIALS, NEVERGRAD_TRIALS = 10, 80
"""What the sweepers take where the file says nothing."""
AX_BATCHES = 10
"""The batches without a better trial after which Ax's sweeper ends, if the file does not say."""


def ax(draft: Draft, path: Path, section: dict[str, Any], sampler: str | None) -> None:
    """Ax's sweeper."""
    draft.put(("searcher",), "auto", path)
    draft.put(("metric", "goal"), "minimize", path)
    draft.note(path, "Ax asks a Gaussian process of its own; auto is one here")
    inner: dict[str, Handler] = {
        "params": _ax_params,
        "max_trials": count("budget", "trials"),
        "experiment": _ax_experiment,
        "early_stop": _ax_early_stop,
        "client": lambda draft, path, value: draft.each(
            path, value, {"verbose_logging": taken, "random_seed": count("seed")}
        ),
        "is_noisy": noted("what Ax believes of noise"),
    }
    handlers: dict[str, Handler] = {
        "ax_config": lambda draft, path, value: draft.each(path, value, inner),
        "max_batch_size": count("parallel"),
        "_target_": taken,
    }
    draft.each(path, section, handlers)
    config = section.get("ax_config") or {}
    default_trials(draft, (*path, "ax_config"), "max_trials", config, AX_TRIALS)
    if "early_stop" not in config:
        _ax_early_stop(draft, path, {})


def _ax_params(draft: Draft, path: Path, value: Any) -> None:
    for name, inner in draft.mapping(path, value).items():
        place = (*path, name)
        draft.param(name, _ax_entry(draft, place, draft.mapping(place, inner)), place)


def _ax_entry(draft: Draft, path: Path, rule: dict[str, Any]) -> Any:
    kind = draft.word((*path, "type"), rule.get("type"), ("range", "choice", "fixed"))
    if kind == "fixed":
        draft.each(path, rule, {"type": taken, "value": taken})
        return ranges.constant(hydra_params.shown(rule.get("value")))
    if kind == "choice":
        draft.each(path, rule, dict.fromkeys(("type", "values", "is_ordered", "value_type"), taken))
        values = draft.items((*path, "values"), rule.get("values"))
        numbers = all(isinstance(one, int | float) for one in values)
        return hydra_params.listed(draft, path, values, kind="ordinal" if numbers else "choice")
    keys = ("type", "bounds", "log_scale", "value_type", "digits")
    draft.each(path, rule, dict.fromkeys(keys, taken))
    bounds = draft.items((*path, "bounds"), rule.get("bounds"))
    if len(bounds) != 2:
        raise draft.error((*path, "bounds"), f"expected two bounds, got {len(bounds)}")
    low, high = (draft.number((*path, "bounds", i), one) for i, one in enumerate(bounds))
    log = frozenset({"log"} if rule.get("log_scale") else ())
    if isinstance(low, int) and isinstance(high, int) and rule.get("value_type") != "float":
        return hydra_params.ax(draft, path, Interval(low, high, log))
    return hydra_params.ax(draft, path, Interval(float(low), float(high), log))


def _ax_experiment(draft: Draft, path: Path, value: Any) -> None:
    handlers: dict[str, Handler] = {
        "name": STORED,
        "objective_name": lambda draft, path, value: draft.put(
            ("metric", "name"), draft.word(path, value), path
        ),
        "minimize": lambda draft, path, value: draft.put(
            ("metric", "goal"), "minimize" if value else "maximize", path
        ),
        "parameter_constraints": refused("it is not read; constraints says it here"),
        "outcome_constraints": refused("one metric is optimized"),
        "status_quo": noted("no trial is given beforehand here"),
    }
    draft.each(path, value, handlers)


def _ax_early_stop(draft: Draft, path: Path, value: Any) -> None:
    keys = ("minimize", "max_epochs_without_improvement", "epsilon")
    draft.each(path, value, dict.fromkeys(keys, taken))
    batches = value.get("max_epochs_without_improvement", AX_BATCHES)
    text = f"a sweep there ends after {batches} batches without a better trial"
    draft.note(path, f"{text}; plateau says so here, in trials")


def nevergrad(draft: Draft, path: Path, section: dict[str, Any], sampler: str | None) -> None:
    """Nevergrad's sweeper."""
    draft.put(("searcher",), "auto", path)
    draft.put(("metric", "goal"), "minimize", path)
    draft.note(path, "an optimizer of Nevergrad searches there; a Gaussian process here")
    options: dict[str, Handler] = {
        "optimizer": taken,
        "budget": count("budget", "trials"),
        "num_workers": count("parallel"),
        "maximize": lambda draft, path, value: draft.put(
            ("metric", "goal"), "maximize" if value else "minimize", path
        ),
        "seed": count("seed"),
        "noisy": noted("what Nevergrad believes of noise"),
        "max_failure_rate": FAILURES,
    }
    handlers: dict[str, Handler] = {
        "optim": lambda draft, path, value: draft.each(path, value, options),
        "params": _nevergrad_params,
        "parametrization": _nevergrad_params,
        "_target_": taken,
    }
    draft.each(path, section, handlers)
    optim = section.get("optim") or {}
    default_trials(draft, (*path, "optim"), "budget", optim, NEVERGRAD_TRIALS)


def _nevergrad_params(draft: Draft, path: Path, value: Any) -> None:
    mapping = draft.mapping(path, value)
    rest = {}
    for name, inner in mapping.items():
        place = (*path, name)
        if isinstance(inner, dict):
            draft.param(name, _scalar(draft, place, inner), place)
        elif isinstance(inner, list):
            values = [hydra_params.shown(one) for one in draft.items(place, inner)]
            draft.param(name, hydra_params.listed(draft, place, values), place)
        else:
            rest[name] = inner
    hydra_params.take(draft, path, rest, hydra_params.nevergrad)


def _scalar(draft: Draft, path: Path, rule: dict[str, Any]) -> Any:
    where = noted("where the optimizer begins there")
    keys: dict[str, Handler] = dict.fromkeys(("lower", "upper", "integer", "log"), taken)
    draft.each(path, rule, keys | {"init": where, "step": where})
    whole = bool(rule.get("integer"))
    low, high = (
        draft.whole((*path, key), rule.get(key))
        if whole
        else float(draft.number((*path, key), rule.get(key)))
        for key in ("lower", "upper")
    )
    log = frozenset({"log"} if rule.get("log") else ())
    return hydra_params.nevergrad(draft, path, Interval(low, high, log))
