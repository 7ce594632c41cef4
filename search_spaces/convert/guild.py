"""Guild files (guild.yml): the operation in which flags are lists or ranges (my.guild.ai, "Flags").

Without an optimizer, Guild tries every combination of lists, and draws ranges at random. `min` and
`max` of a flag check its values there and search nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from raysweep.search_spaces.convert import command, guild_flags, options, ranges, shell
from raysweep.search_spaces.convert.draft import Draft, Handler, noted, refused, taken
from raysweep.search_spaces.file.document import Path

NAME = "a Guild file"
OPTIMIZERS = {
    "grid": "grid",
    "random": "random",
    "gp": "auto",
    "bayesian": "auto",
    "forest": "auto",
    "gbrt": "auto",
}
TRIALS = 20
"""The trials of an optimizer, or of draws, if nothing says how many."""
_OPERATION = ("flags", "flags-dest", "flags-import")
_FLAG = re.compile(r"\$\{(?P<name>[\w-]+)\}")


def recognize(data: Any) -> bool:
    return any("flags" in one or "flags-dest" in one for _, _, one in operations(data))


def operations(data: Any) -> Iterator[tuple[Path, str, dict[str, Any]]]:
    """The operations of a file: each with its path and its name."""
    if isinstance(data, list):
        for i, one in enumerate(data):
            held = one.get("operations") if isinstance(one, dict) else None
            if isinstance(held, dict):
                yield from _each((i, "operations"), held)
    elif isinstance(data, dict):
        held = data.get("operations")
        if isinstance(held, dict):
            yield from _each(("operations",), held)
        elif all(isinstance(one, dict) for one in data.values()):
            yield from _each((), data)


def _each(path: Path, held: dict[str, Any]) -> Iterator[tuple[Path, str, dict[str, Any]]]:
    for name, one in held.items():
        if isinstance(one, dict) and any(key in one for key in (*_OPERATION, "main", "exec")):
            yield (*path, name), name, one


def read(draft: Draft) -> None:
    """Take the operation whose flags vary."""
    found = list(operations(draft.source.data))
    varying = [one for one in found if _varies(one[2])]
    if len(varying) != 1:
        several = " and ".join(name for _, name, _ in varying)
        text = f"several operations vary ({several}); expected one" if varying else ""
        text = text or "no flag is a list or a range, as in lr: loguniform[1e-4:1e-1]"
        raise draft.error(varying[1][0] if varying else (), text)
    path, name, rule = varying[0]
    if len(found) > 1:
        draft.note(path, f"the operation {name}; the others have no flag that varies")
    draft.each(path, rule, KEYS)
    _search(draft, path, rule)
    _script(draft, path, rule)
    command.length(draft)


def _varies(rule: dict[str, Any]) -> bool:
    flags = rule.get("flags")
    values = flags.values() if isinstance(flags, dict) else ()
    return any(guild_flags.is_range(_default(one)) for one in values)


def _default(flag: Any) -> Any:
    return flag.get("default") if isinstance(flag, dict) else flag


def _flags(draft: Draft, path: Path, value: Any) -> None:
    for name, inner in draft.mapping(path, value).items():
        place = (*path, name)
        if name.startswith("$"):
            raise draft.error(
                place, f"{name}: what lies elsewhere is not read; write the flags here"
            )
        if isinstance(inner, dict):
            draft.each(place, inner, FLAG)
        if isinstance(inner, dict) and inner.get("arg-name") is not None:
            draft.put(("script", "names", name), draft.word(place, inner["arg-name"]), place)
        said = _default(inner)
        if said is not None:
            draft.param(name, guild_flags.entry(draft, place, said), place)


def _search(draft: Draft, path: Path, rule: dict[str, Any]) -> None:
    """The searcher: by the optimizer, or by what the flags are."""
    drawn = any(guild_flags.is_drawn(_default(one)) for one in rule["flags"].values())
    name = _optimizer(draft, path, rule)
    searcher = OPTIMIZERS[name] if name else "random" if drawn else "grid"
    if searcher == "auto":
        draft.note(path, f"{name} is an optimizer of scikit-optimize there; auto is one here")
    draft.put(("searcher",), searcher, path)
    draft.put(("scheduler",), "none", path)
    if searcher == "grid":
        ranges.every_value(draft, "a grid there takes lists and sequences only")
        ranges.every_cell(draft)
    elif rule.get("default-max-trials") is None:
        draft.put(("budget", "trials"), TRIALS, path)
        draft.note(path, f"without --max-trials, Guild runs {TRIALS} trials")


def _optimizer(draft: Draft, path: Path, rule: dict[str, Any]) -> str | None:
    """The optimizer of an operation, if it has one."""
    given = rule.get("optimizer")
    place = (*path, "optimizer")
    if given is None and isinstance(rule.get("optimizers"), dict):
        several: dict[str, Any] = rule["optimizers"]
        if len(several) != 1:
            raise draft.error((*path, "optimizers"), "several optimizers; expected one")
        (key, one), *_ = several.items()
        given, place = one or key, (*path, "optimizers", key)
        if isinstance(given, dict):
            given = {"algorithm": key} | given
    if given is None:
        return None
    rule = {"algorithm": given} if isinstance(given, str) else draft.mapping(place, given)
    inner = noted("how its search works, which is another here")
    for key, one in rule.items():
        if key not in ("algorithm", "default") and one is not None:
            inner(draft, (*place, key), one)
    return draft.word(place, str(rule.get("algorithm")).removeprefix("skopt:"), OPTIMIZERS)


def _objective(draft: Draft, path: Path, value: Any) -> None:
    if isinstance(value, dict):
        rule = {"minimize": taken, "maximize": taken}
        draft.each(path, value, rule)
        if len(value) != 1:
            raise draft.error(path, "expected minimize or maximize, and the metric's name")
        (goal, name), *_ = value.items()
    else:
        name = draft.word(path, value)
        goal = "maximize" if name.startswith("-") else "minimize"
    draft.put(("metric", "name"), draft.word(path, name).removeprefix("-"), path)
    draft.put(("metric", "goal"), goal, path)


def _script(draft: Draft, path: Path, rule: dict[str, Any]) -> None:
    """The script, and how it gets its flags."""
    dest = str(rule.get("flags-dest", "args"))
    if dest != "args" and not dest.startswith("args:"):
        text = f"flags-dest {dest}: the script is told its flags in a way that is none here"
        raise draft.error((*path, "flags-dest"), text)
    if rule.get("exec") is not None:
        _exec(draft, (*path, "exec"), rule["exec"])
        return
    draft.put(("script", "options"), "--name value", path)
    words = command.split(draft, path, str(rule.get("main") or path[-1]))
    if not words:
        raise draft.error((*path, "main"), "no module is named")
    is_module = "." in words[0].removesuffix(".py") and "/" not in words[0]
    script = f"-m {words[0]}" if is_module else f"{words[0].removesuffix('.py')}.py"
    command.take_script(draft, (*path, "main"), script)
    command.arguments(draft, path, words[1:])
    _uses_arguments(
        draft,
        path,
        rule,
        script.removeprefix("-m ").replace(".", "/") + ".py" if is_module else script,
    )
    _booleans(draft, path, rule)


def _uses_arguments(draft: Draft, path: Path, rule: dict[str, Any], script: str) -> None:
    """Refuse a script without options, whose global variables Guild sets, unless it is told so."""
    file = draft.folder / script
    if "flags-dest" in rule or not file.is_file():
        return
    text = file.read_text(encoding="utf-8", errors="replace")
    if "argparse" not in text and "click" not in text:
        raise draft.error(path, f"{script} takes no options, and Guild sets its global variables")


def _booleans(draft: Draft, path: Path, rule: dict[str, Any]) -> None:
    """Booleans: as switches where Guild imports them from the script, or is told of a switch."""
    switches = [
        name
        for name, one in rule["flags"].items()
        if isinstance(one, dict) and one.get("arg-switch") is not None
    ]
    logical = [
        name
        for name, one in rule["flags"].items()
        for value in ([_default(one)] if not isinstance(_default(one), list) else _default(one))
        if isinstance(value, bool)
    ]
    if logical and (set(logical) <= set(switches) or "flags-import" in rule):
        draft.put(("script", "flags"), True, path)
    elif logical:
        draft.note(path, f"{logical[0]}: true is 1 there, and false an empty word")


def _exec(draft: Draft, path: Path, value: Any) -> None:
    """A command in which `${flag_args}` stands for all flags, or `${lr}` for one."""
    text = draft.word(path, value)
    rest = text.replace("${flag_args}", " ")
    marked = _FLAG.sub(lambda found: options.mark(found["name"]), rest)
    found = shell.parse(draft, path, marked)
    if rest == text:
        options.take(draft, path, found)
    else:
        command.take_words(draft, path, command.take(draft, path, found))
        draft.put(("script", "options"), "--name value", path)


def _trials(draft: Draft, path: Path, value: Any) -> None:
    draft.put(("budget", "trials"), draft.whole(path, value), path)


_SHOWN = noted("how an operation is shown or prepared there")
FLAG: dict[str, Handler] = {
    "default": taken,
    "description": taken,
    "type": taken,
    "required": taken,
    "alias": taken,
    "min": noted("Guild checks values by it; it searches nothing"),
    "max": noted("Guild checks values by it; it searches nothing"),
    "distribution": noted("Guild searches nothing by it"),
    "choices": noted("Guild checks values by it; it searches nothing"),
    "allow-other": taken,
    "null-label": taken,
    "arg-name": taken,
    "arg-switch": taken,
    "arg-skip": refused("every flag is an option here"),
    "arg-split": refused("a list is one value here"),
    "arg-encoding": refused("values are written as JSON here"),
    "env-name": taken,
}
KEYS: dict[str, Handler] = {
    "flags": _flags,
    "flags-dest": taken,
    "flags-import": noted("the script's own defaults are not read"),
    "flags-import-skip": taken,
    "main": taken,
    "exec": taken,
    "optimizer": taken,
    "optimizers": taken,
    "objective": _objective,
    "default-max-trials": _trials,
    "output-scalars": noted("how metrics are read from what the script prints there"),
    "steps": refused("an operation of several steps is not one sweep"),
} | dict.fromkeys(
    (
        "description",
        "default",
        "label",
        "tags",
        "compare",
        "requires",
        "sourcecode",
        "env",
        "env-secrets",
        "plugins",
        "python-requires",
        "python-path",
        "stoppable",
        "pip-freeze",
        "delete-on-success",
        "can-stage-trials",
        "run-attrs",
        "output-attrs",
        "publish",
        "handle-keyboard-interrupt",
        "notebook",
    ),
    _SHOWN,
)
