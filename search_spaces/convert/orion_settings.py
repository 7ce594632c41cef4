"""Orion's settings: its algorithm and its budget, in the file behind `-c`."""

from __future__ import annotations

from typing import Any

from raysweep.search_spaces.convert.draft import Draft, Handler, moved, noted, refused
from raysweep.search_spaces.convert.orion_command import KEY
from raysweep.search_spaces.convert.python_call import PythonCall
from raysweep.search_spaces.file.document import Path
from raysweep.search_spaces.file.document import parse as parse_yaml

ALGORITHMS = {
    "random": ("random", ""),
    "gridsearch": ("grid", ""),
    "tpe": ("tpe", ""),
    "asha": ("random", "asha there begins a promoted trial anew; here trials are stopped early"),
    "hyperband": ("random", "hyperband's brackets become asha's rungs here"),
    "bohb": ("bohb", ""),
    "bayesianoptimizer": ("auto", "a Gaussian process of its own there; auto is one here"),
    "robo_gp": ("auto", "a Gaussian process of its own there; auto is one here"),
    "robo_gp_mcmc": ("auto", "a Gaussian process of its own there; auto is one here"),
    "hebo": ("auto", "a Gaussian process of its own there; auto is one here"),
    "ax": ("auto", "a Gaussian process of its own there; auto is one here"),
}
HALVING = ("asha", "hyperband", "bohb")


def take(draft: Draft, config: tuple[Path, str] | None, fidelity: PythonCall | None) -> None:
    """The file of settings, if it is there, and the scheduler that a fidelity means."""
    algorithm = "random" if config is None else _config(draft, *config)
    if algorithm is None:
        draft.put(("scheduler",), "none", (KEY,))
        return
    searcher, note = ALGORITHMS[algorithm]
    draft.put(("searcher",), {"name": searcher} | draft.data.pop("searcher", {}), (KEY,))
    if note:
        draft.note((KEY,), f"{algorithm}: {note}")
    if fidelity is None or algorithm not in HALVING:
        draft.put(("scheduler",), "none", (KEY,))
    else:
        given = fidelity.bound(("low", "high"), ("base",))
        scheduler = {"name": "asha", "type": "stopping", "eta": max(2, int(given.get("base", 2)))}
        draft.put(("scheduler",), scheduler | {"grace": draft.whole((KEY,), given["low"])}, (KEY,))
        draft.put(("budget", "epochs"), draft.whole((KEY,), given["high"]), (KEY,))
        draft.note(
            (KEY,),
            "a trial there is begun with few epochs, then anew with more; here it is stopped",
        )


def _config(draft: Draft, path: Path, name: str) -> str | None:
    """Take the file behind `-c`, and return its algorithm; None if there is no such file."""
    try:
        text = (draft.folder / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        draft.note(path, f"the settings in {name} cannot be read; searcher is to be said")
        return None
    document = parse_yaml(text, name, "1.1")
    inner = Draft(document, "")
    data = inner.mapping((), document.data)
    found: list[str] = []
    section = inner.mapping(("experiment",), data.get("experiment", data))
    keys = dict(EXPERIMENT)
    for key in ("algorithm", "algorithms"):
        keys[key] = lambda draft, path, value: found.append(_algorithm(draft, path, value))
    base: Path = ("experiment",) if "experiment" in data else ()
    known = {key: value for key, value in section.items() if key not in OTHER_SECTIONS}
    inner.each(base, known, keys)
    draft.adopt(inner)
    return found[0] if found else "random"


def _algorithm(draft: Draft, path: Path, value: Any) -> str:
    """The name of the algorithm; what it is told of its search is moved, or said."""
    if isinstance(value, str):
        value = {value: {}}
    rule = draft.mapping(path, value)
    if len(rule) != 1:
        raise draft.error(path, f"expected one algorithm, got {len(rule)}")
    (name, options), *_ = rule.items()
    lower = name.lower()
    if lower not in ALGORITHMS:
        raise draft.error(
            (*path, name), f"'{name}' has no equal here; expected one of {', '.join(ALGORITHMS)}"
        )
    inner = noted("how its search works, which is another here")
    keys: dict[str, Handler] = {"seed": moved("seed")}
    if lower == "tpe":
        keys |= {"n_initial_points": moved("searcher", "startup")}
        keys |= {"n_ei_candidates": moved("searcher", "candidates")}
    for key, one in draft.mapping((*path, name), options or {}).items():
        if one is not None:
            keys.get(key, inner)(draft, (*path, name, key), one)
    return lower


def _whole(*target: str) -> Handler:
    return lambda draft, path, value: draft.put(
        target, draft.whole(path, value, strings=True), path
    )


_STORED = noted("where trials are stored there")
_FAILURES = noted("the first three trials that fail alike end a sweep here")
OTHER_SECTIONS = ("storage", "database", "worker", "evc", "debug", "frontends_uri", "metadata")
EXPERIMENT: dict[str, Handler] = {
    "max_trials": _whole("budget", "trials"),
    "n_workers": _whole("parallel"),
    "max_broken": _FAILURES,
    "strategy": noted("what its search believes of trials under way"),
    "space": refused("the priors are read in the command"),
} | dict.fromkeys(
    ("name", "version", "user", "working_dir", "pool_size", "refers", "metadata"), _STORED
)
