"""The sections of Hydra's own sweeper and of Optuna's (hydra.cc, "Optuna Sweeper plugin")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from raysweep.search_spaces.convert import hydra_params, ranges
from raysweep.search_spaces.convert.draft import Draft, Handler, noted, only, refused, taken
from raysweep.search_spaces.convert.hydra_sweeps import Drawn, Interval, Steps
from raysweep.search_spaces.file.document import Path

STORED = noted("where trials are stored there")
FAILURES = noted("the first three trials that fail alike end a sweep here")
TRIALS, STARTUP = 20, 10
"""The trials of Optuna's sweeper, and those that TPE draws at random, if the file does not say."""


@dataclass(frozen=True)
class Sampler:
    """A sampler of Optuna, as a searcher here. `note`: how that differs."""

    searcher: str
    note: str = ""


SAMPLERS = {
    "TPESampler": Sampler("tpe"),
    "RandomSampler": Sampler("random"),
    "GridSampler": Sampler("grid"),
    "BruteForceSampler": Sampler("grid"),
    "GPSampler": Sampler("auto", "a Gaussian process of its own there; auto is one here"),
    "CmaEsSampler": Sampler("auto", "CMA-ES there; a Gaussian process here"),
    "NSGAIISampler": Sampler("auto", "an evolutionary search there; a Gaussian process here"),
    "QMCSampler": Sampler("random", "low-discrepancy draws there; random ones here"),
}
SAMPLER_OPTIONS = {
    "tpe": "TPESampler",
    "random": "RandomSampler",
    "grid": "GridSampler",
    "cmaes": "CmaEsSampler",
    "nsgaii": "NSGAIISampler",
    "gp": "GPSampler",
    "qmc": "QMCSampler",
}
"""The names of the group hydra/sweeper/sampler."""
_INNER = """
    consider_prior prior_weight consider_magic_clip consider_endpoints multivariate group
    warn_independent_sampling constant_liar gamma weights x0 sigma0 independent_sampler
    consider_pruned_trials restart_strategy inc_popsize use_separable_cma source_trials
    with_margin lr_adapt population_size mutation_prob crossover crossover_prob swapping_prob
    deterministic_objective qmc_type scramble warn_asynchronous_seeding categorical_distance_func
"""
"""The options of Optuna's samplers that say how they search, not what."""


def basic(draft: Draft, path: Path, section: dict[str, Any], sampler: str | None) -> None:
    """Hydra's own sweeper: every combination of the values."""
    draft.put(("searcher",), "grid", path)
    handlers: dict[str, Handler] = {
        "params": lambda draft, path, value: hydra_params.take(
            draft, path, value, hydra_params.every
        ),
        "max_batch_size": noted("how many jobs its launcher gets at once"),
        "_target_": taken,
    }
    draft.each(path, section, handlers)
    ranges.every_value(draft, "")
    ranges.every_cell(draft)


def elsewhere(draft: Draft, path: Path, section: dict[str, Any], entry: hydra_params.Entry) -> None:
    """A sweeper of which the file has the parameters only; the rest is said elsewhere."""
    handlers: dict[str, Handler] = {
        "params": lambda draft, path, value: hydra_params.take(draft, path, value, entry)
    }
    draft.each(path, section, handlers)
    draft.ask(("budget", "trials"), "the file does not say how many trials there are", path)
    draft.ask(("metric", "goal"), "the file gives no direction", path)


def optuna(draft: Draft, path: Path, section: dict[str, Any], sampler: str | None) -> None:
    """Optuna's sweeper, with `params`, or with `search_space` as Hydra 1.1 has it."""
    name = _sampler(draft, path, section, sampler)
    draft.put(("metric", "goal"), "minimize", path)
    entry = hydra_params.optuna_grid if name == "GridSampler" else hydra_params.optuna
    handlers: dict[str, Handler] = {
        "params": lambda draft, path, value: hydra_params.take(draft, path, value, entry),
        "search_space": _space(name, "params" in section),
        "sampler": taken,
        "direction": _direction,
        "n_trials": count("budget", "trials"),
        "n_jobs": count("parallel"),
        "storage": STORED,
        "study_name": STORED,
        "max_failure_rate": FAILURES,
        "custom_search_space": refused("parameters are added by a function of one's own there"),
        "_target_": taken,
    }
    draft.each(path, section, handlers)
    default_trials(draft, path, "n_trials", section, TRIALS)
    if draft.data.get("searcher") == {"name": "grid"}:
        _grid(draft, path)


def _sampler(draft: Draft, path: Path, section: dict[str, Any], option: str | None) -> str:
    """The class of the sampler: in the section, in the defaults, or TPE."""
    rule = section.get("sampler") or {}
    place = (*path, "sampler")
    if isinstance(rule, str):
        option, rule = rule, {}
    target = draft.mapping(place, rule).get("_target_")
    if target is None:
        target = SAMPLER_OPTIONS[draft.word(place, option or "tpe", SAMPLER_OPTIONS)]
    full = draft.word((*place, "_target_"), target)
    name = draft.word((*place, "_target_"), full.rpartition(".")[2], SAMPLERS)
    sampler = SAMPLERS[name]
    origin = (*place, "_target_") if "_target_" in rule else path
    if sampler.note:
        draft.note(origin, f"{name} is {sampler.note}")
    draft.put(("searcher",), {"name": sampler.searcher}, origin)
    draft.each(place, rule, _sampler_keys(name))
    inner = [key for key in rule if key in _INNER.split()]
    if inner:
        draft.note(place, f"{', '.join(inner)}: how the sampler there works, which is another here")
    if name == "TPESampler":
        draft.data["searcher"].setdefault("startup", STARTUP)
    return name


def _sampler_keys(name: str) -> dict[str, Handler]:
    keys: dict[str, Handler] = dict.fromkeys(_INNER.split(), taken)
    keys |= {"_target_": taken, "seed": count("seed"), "_partial_": only(True, False)}
    keys |= {"search_space": noted("its sweeper makes the grid of the parameters")}
    if name == "TPESampler":
        keys |= {
            "n_startup_trials": count("searcher", "startup"),
            "n_ei_candidates": count("searcher", "candidates"),
        }
    return keys


def count(*target: str) -> Handler:
    """Takes a whole number; one that Hydra fills in is asked for, or, of a seed, noted."""

    def take(draft: Draft, path: Path, value: Any) -> None:
        if isinstance(value, str) and "${" in value:
            text = f"{path[-1]} is {value} there, which Hydra fills in"
            if target == ("budget", "trials"):
                draft.ask(target, text, path)
            else:
                draft.note(path, text)
        else:
            draft.put(target, draft.whole(path, value), path)

    return take


def _direction(draft: Draft, path: Path, value: Any) -> None:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, list):
        raise draft.error(path, "several directions have no equal here: one metric is optimized")
    goal = draft.word(path, value).lower()
    draft.put(("metric", "goal"), draft.word(path, goal, ("minimize", "maximize")), path)


def default_trials(
    draft: Draft, path: Path, key: str, section: dict[str, Any], trials: int
) -> None:
    """The trials that a sweeper runs if its file does not say how many."""
    if section.get(key) is None:
        draft.put(("budget", "trials"), trials, path)
        draft.note(path, f"without {key}, its sweeper runs {trials} trials")


def _grid(draft: Draft, path: Path) -> None:
    """A grid there ends with its last cell."""
    ranges.every_value(draft, "a grid needs choice(...) or range(...)")
    trials = draft.data["budget"].get("trials")
    ranges.every_cell(draft)
    if trials is not None:
        draft.put(("budget", "trials"), min(trials, draft.data["budget"]["trials"]), path)


def _space(sampler: str, overruled: bool) -> Handler:
    """Takes a `search_space`, unless `params` overrules it."""

    def take(draft: Draft, path: Path, value: Any) -> None:
        if overruled:
            draft.note(path, "search_space is overruled by params there")
            return
        for name, inner in draft.mapping(path, value).items():
            place = (*path, name)
            rule = draft.mapping(place, inner)
            draft.param(name, _distribution(draft, place, rule, sampler == "GridSampler"), place)

    return take


def _distribution(draft: Draft, path: Path, rule: dict[str, Any], grid: bool) -> Any:
    keys = ("type", "choices", "low", "high", "step", "log")
    draft.each(path, rule, dict.fromkeys(keys, taken))
    kind = draft.word((*path, "type"), rule.get("type"), ("categorical", "int", "float"))
    if kind == "categorical":
        choices = draft.items((*path, "choices"), rule.get("choices"))
        return hydra_params.listed(draft, path, [hydra_params.shown(one) for one in choices])
    low, high = (draft.number((*path, key), rule.get(key), True) for key in ("low", "high"))
    number: Callable[[Any], Any] = int if kind == "int" else float
    low, high = number(low), number(high)
    step = None if rule.get("step") is None else draft.number((*path, "step"), rule["step"], True)
    if rule.get("log"):
        if step is not None:
            draft.note((*path, "step"), "step is left out of a log range, there too")
        swept: Drawn = Interval(low, high, frozenset({"log"}))
    elif step is None and kind == "float":
        swept = Interval(low, high)
    else:
        swept = Steps(low, high, number(1 if step is None else step))
    entry = hydra_params.optuna_grid if grid else hydra_params.optuna
    return entry(draft, path, swept)
