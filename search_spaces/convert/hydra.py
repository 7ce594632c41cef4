"""Hydra's sweeper section (hydra.cc, "Multi-run"), in a configuration or in an option of a group.

The script composes its configuration itself; what a trial changes is written as `name=value`. A
file that is the option of a group, as `hparams_search/optuna.yaml` is, and sets more than the
search, is handed to the script as Hydra does: `hparams_search=optuna`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from raysweep.placeholders import escaped
from raysweep.search_spaces.convert import (
    command,
    hydra_config,
    hydra_others,
    hydra_params,
    hydra_sweepers,
)
from raysweep.search_spaces.convert.draft import Draft
from raysweep.search_spaces.file.document import Path

NAME = "a Hydra sweep"
Section = Callable[[Draft, Path, dict[str, Any], str | None], None]
SWEEPERS: dict[str, Section] = {
    "basic": hydra_sweepers.basic,
    "optuna": hydra_sweepers.optuna,
    "ax": hydra_others.ax,
    "nevergrad": hydra_others.nevergrad,
}
ENTRIES: dict[str | None, hydra_params.Entry] = {
    "optuna": hydra_params.optuna,
    "ax": hydra_params.ax,
    "nevergrad": hydra_params.nevergrad,
    None: hydra_params.unnamed,
}
"""What is drawn if the file has the parameters of a sweeper only, by its name if it is known."""
_INTERVAL = re.compile(r"\binterval\s*\(")
_OPTUNA_KEYS = {"sampler", "direction", "n_trials", "n_jobs", "study_name", "storage"}
_OPTUNA_KEYS |= {"search_space", "custom_search_space"}
_NEVERGRAD_KEYS = {"optim", "parametrization"}
_OUTSIDE = "how Hydra starts jobs and where it keeps what they write"
"""Why the other parts of the `hydra` section are notes."""


def recognize(data: dict[str, Any]) -> bool:
    return _section(data) is not None


def _section(data: dict[str, Any]) -> tuple[Path, dict[str, Any]] | None:
    """The sweeper's section and its path: in `hydra`, or the file itself."""
    hydra = data.get("hydra")
    if isinstance(hydra, dict) and isinstance(hydra.get("sweeper"), dict):
        return ("hydra", "sweeper"), hydra["sweeper"]
    target = data.get("_target_")
    if isinstance(target, str) and target.endswith("Sweeper"):
        return (), data
    sampler = data.get("sampler")
    samples = isinstance(sampler, dict) and "optuna" in str(sampler.get("_target_"))
    if samples and ("params" in data or "search_space" in data):
        return (), data
    return None


def read(draft: Draft) -> None:
    """Take the search, and how the script is told the rest of the file."""
    found = _section(draft.source.data)
    assert found is not None
    path, section = found
    draft.put(("script", "options"), "name=value", path)
    draft.put(("scheduler",), "none", path)
    section = hydra_config.filled(draft.source.data, section)
    if not path:
        section = {key: value for key, value in section.items() if key != "defaults"}
    name = _sweeper(draft, path, section)
    if "space" not in draft.data:
        raise draft.error(path, "the sweeper has no params in this file")
    _metric(draft, path, name)
    _rest(draft, path)
    command.length(draft)
    _length(draft)


def _sweeper(draft: Draft, path: Path, section: dict[str, Any]) -> str:
    """Take the section, and return the name of the sweeper, if the file or its keys tell it."""
    defaults = {one.group: one for one in hydra_config.defaults(draft)}
    sampler = defaults.get("hydra/sweeper/sampler")
    name = _named(draft, path, section, defaults.get("hydra/sweeper")) or _by_keys(section)
    if name is None:
        return _elsewhere(draft, path, section)
    SWEEPERS[name](draft, path, section, None if sampler is None else str(sampler.option))
    return name


def _named(
    draft: Draft, path: Path, section: dict[str, Any], default: hydra_config.Default | None
) -> str | None:
    """The sweeper by its class, or by its option in the defaults."""
    target = section.get("_target_")
    if isinstance(target, str):
        name = target.rpartition(".")[2].removesuffix("Sweeper").lower()
        return draft.word((*path, "_target_"), name, SWEEPERS)
    if default is None:
        return None
    return draft.word(("defaults", default.index), str(default.option), SWEEPERS)


def _by_keys(section: dict[str, Any]) -> str | None:
    if "ax_config" in section:
        return "ax"
    if not _NEVERGRAD_KEYS.isdisjoint(section):
        return "nevergrad"
    return None if _OPTUNA_KEYS.isdisjoint(section) else "optuna"


def _elsewhere(draft: Draft, path: Path, section: dict[str, Any]) -> str:
    """A sweeper that the project's configuration names, or the command line."""
    found = hydra_config.sweeper_of_project(draft)
    name = found if found in SWEEPERS else None
    if name == "basic" or (name is None and not _INTERVAL.search(str(section.get("params")))):
        hydra_sweepers.basic(draft, path, section, None)
        return "basic"
    said = f"{name}, as the project's configuration says" if name else "said elsewhere"
    draft.note(path, f"the sweeper is {said}; auto searches here")
    hydra_sweepers.elsewhere(draft, path, section, ENTRIES[name])
    return name or "elsewhere"


def _metric(draft: Draft, path: Path, name: str) -> None:
    """The metric, if the file names it as lightning-hydra-template does: `optimized_metric`."""
    metric = hydra_config.filled(draft.source.data, draft.source.data.get("optimized_metric"))
    if isinstance(metric, str) and "name" not in draft.data.get("metric", {}):
        if "${" in metric:
            draft.note(("optimized_metric",), f"optimized_metric: {metric} is filled in by Hydra")
        else:
            draft.put(("metric", "name"), metric, ("optimized_metric",))
    text = "what the script's function returns counts there; here what it reports after each epoch"
    if name != "basic":
        draft.note(path, text)


def _rest(draft: Draft, path: Path) -> None:
    """What the file says beside the search, and how the script runs one trial of it."""
    hydra = draft.source.data["hydra"] if path else {}
    for key, value in hydra.items():
        if key not in ("sweeper", "mode") and value is not None:
            draft.note(("hydra", key), f"hydra.{key}: {_OUTSIDE}")
    words = list(_selected(draft)) if path else []
    if hydra.get("mode") is not None and (words or not hydra_config.is_option(draft)):
        words.append("hydra.mode=RUN")
    # Trials that start in the same second would otherwise share a folder that is named by the time.
    words.append("hydra.run.dir={folder}")
    draft.note((), "the folder that Hydra writes a run to is the trial's own here")
    before = draft.data["script"].get("arguments", [])
    draft.put(("script", "arguments"), [*words, *before], ())


def _selected(draft: Draft) -> Iterator[str]:
    """The word that tells the script to take this file, if it sets more than the search."""
    if not hydra_config.is_option(draft):
        draft.note((), "the script is taken to read this file itself, as its configuration")
        return
    data = draft.source.data
    others = [key for key in data if key not in ("hydra", "defaults", "optimized_metric")]
    if any(not one.group.startswith("hydra/") for one in hydra_config.defaults(draft)):
        others.append("defaults")
    if not others:
        return
    selection = hydra_config.selection(draft)
    draft.note((), f"the script is told to take this file, which also sets {', '.join(others)}")
    if selection.root is None:
        draft.note((), f"the group is taken to be '{selection.group}', after the file's folder")
    yield escaped(selection.word)


def _length(draft: Draft) -> None:
    """Take the epochs that the file sets beside the search, if the search gives no length."""
    if "epochs" in draft.data.get("budget", {}):
        return
    found = {path: value for path, value in _numbers((), draft.source.data) if path[0] != "hydra"}
    if len(set(found.values())) == 1:
        path, epochs = next(iter(found.items()))
        if ".".join(str(part) for part in path) not in draft.data["space"]:
            draft.put(("budget", "epochs"), epochs, path)
            draft.note(path, f"{'.'.join(map(str, path))} is taken as the length of a trial")


def _numbers(path: Path, value: Any) -> Iterator[tuple[Path, int]]:
    """The whole numbers of a file that say a number of epochs."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers((*path, key), inner)
    elif type(value) is int and value > 0 and _says_epochs(str(path[-1])):
        yield path, value


def _says_epochs(name: str) -> bool:
    return re.sub("[_-]", "", name).lower() in command.LENGTHS
