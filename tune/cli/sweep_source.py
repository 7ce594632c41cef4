"""Which sweep `raysweep run` means: that of a file, of a run to resume, or of its own options."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from raysweep.errors import UserError

if TYPE_CHECKING:
    from raysweep.search_spaces.drafting.one_line import Meant
    from raysweep.search_spaces.file.document import Document
    from raysweep.search_spaces.file.reader import Specification
    from raysweep.tune.sweep import Sweep

FILES = (".yaml", ".yml", ".json")
"""How the names of files end that `raysweep run FILE` takes as `--space FILE`."""
ENDS = ("budget", "budget.trials", "budget.total_epochs", "budget.time")
"""Keys of `--set` that say when a sweep ends."""


class SourceError(UserError):
    """Options that do not go together, in one line."""


@dataclass(frozen=True)
class Source:
    """A sweep, the first part of the name of its run, and the run's folder if it is resumed."""

    sweep: Sweep
    stem: str
    folder: Path | None = None


def settle(options: argparse.Namespace) -> None:
    """Take a file in the program's place as `--space`. Raises SourceError for what does not fit."""
    if options.program is not None and options.program.endswith(FILES):
        if options.space is not None:
            raise SourceError(
                f"{options.program} and --space {options.space} are two files; expected one"
            )
        options.space, options.program = options.program, None
    if options.program is not None and options.space is not None:
        raise SourceError(
            f"{options.program} and --space {options.space} both say what is trained; expected "
            f"one, or --space {options.space} --set trainable={options.program}"
        )
    if options.program is None and options.words:
        raise SourceError(
            f"-- {options.words[0]}: words behind -- are for a program, as in "
            f"raysweep run train.py --param ... -- {options.words[0]}"
        )
    if options.program is None and options.save is not None:
        raise SourceError(
            f"--save {options.save}: there is no program; --save writes what "
            "raysweep run train.py --param ... means"
        )


def source(options: argparse.Namespace, overrides: Sequence[str]) -> Source:
    """The sweep that the options name, with `key=value` overrides from them."""
    from raysweep.search_spaces.convert.any_file import read
    from raysweep.tune import run_folders
    from raysweep.tune.load import load_run_sweep, load_sweep

    if options.program is not None:
        return _of_program(options, [*overrides, *options.set])
    overrides = [*overrides, *_overrides(options), *options.set]
    if options.space is not None:
        more = _enqueued(options, partial(read, options.space, overrides))
        sweep = load_sweep(options.space, [*overrides, *more])
        return Source(sweep, Path(options.space).stem)
    folder = run_folders.resumed_anywhere(options.storage, "", options.resume)
    return Source(load_run_sweep(folder, overrides), folder.name, folder)


def _overrides(options: argparse.Namespace) -> list[str]:
    """What `--param`, `--metric`, `--trials` and `--epochs` change in a file."""
    from raysweep.search_spaces.drafting.one_line_checks import metric_of
    from raysweep.search_spaces.drafting.param_words import entry_of, name_of

    settings = [f"space.{name_of(typed)}={json.dumps(entry_of(typed))}" for typed in options.param]
    if options.metric is not None:
        name, goal = metric_of(options.metric, None)
        settings += [f"metric.name={json.dumps(name)}", f"metric.goal={goal}"]
    for key in ("trials", "epochs"):
        if (value := getattr(options, key)) is not None:
            settings.append(f"budget.{key}={value}")
    return settings


def _enqueued(options: argparse.Namespace, read: Callable[[], Specification]) -> list[str]:
    """What --enqueue changes in a new sweep: its configurations come before those of the file.

    `read` reads that file. A run that is resumed gets them by a command.
    """
    from raysweep.tune.cli.steer import read_configurations

    if options.enqueue is None or options.resume is not None:
        return []
    own = read().content.enqueue or []
    return [f"enqueue={json.dumps([*read_configurations(options.enqueue), *own])}"]


def _of_program(options: argparse.Namespace, overrides: Sequence[str]) -> Source:
    """The sweep that a program and the options beside it describe; `--save` writes its file."""
    from raysweep.search_spaces.drafting.one_line import Said, meaning
    from raysweep.search_spaces.drafting.program import MODULE, is_program
    from raysweep.search_spaces.file.document import override
    from raysweep.search_spaces.file.reader import specification
    from raysweep.tune.load import sweep_of

    said = Said(
        options.program,
        options.param,
        options.metric,
        options.trials,
        options.epochs,
        options.words,
        ends=any(setting.partition("=")[0] in ENDS for setting in overrides),
    )
    if is_program(options.program):
        print(f"looking at the options of {options.program}", file=sys.stderr, flush=True)
    meant = meaning(said)
    document = meant.document
    for setting in overrides:
        document = override(document, setting)
    place = Path("sweep.yaml")
    for setting in _enqueued(options, partial(specification, document, place)):
        document = override(document, setting)
    sweep = sweep_of(specification(document, place))
    for note in meant.notes:
        print(f"note: {note}", file=sys.stderr)
    if options.save is not None:
        save(options, document, meant)
    name = options.program.removeprefix(MODULE).partition(":")[0]
    return Source(sweep, Path(name).stem)


def save(options: argparse.Namespace, document: Document, meant: Meant) -> None:
    """Write the file that the options mean. Raises SourceError if there is another one."""
    from raysweep.files import atomic_write
    from raysweep.search_spaces.drafting.render import render

    path: Path = options.save
    head = [f"# {_typed(options)}", *(f"# {note}" for note in meant.notes)]
    text = "\n".join([*head, render(_moved(document.data, path), meant.comments)])
    if path.exists() and path.read_text(encoding="utf-8", errors="replace") != text:
        raise SourceError(f"--save {path}: the file exists; name another, or move it away")
    try:
        atomic_write(path, text)
    except OSError as error:
        raise SourceError(f"--save {path}: cannot be written: {error.strerror}") from None
    print(f"wrote {path}", file=sys.stderr)


def _typed(options: argparse.Namespace) -> str:
    """The command without what only says that nothing is trained, and where the file goes."""
    kept, skip = [], False
    for word in options.arguments:
        if not skip and word != "--dry-run" and not word.startswith("--save"):
            kept.append(word)
        skip = word == "--save"
    words = []
    if options.words:
        words = ["--", *options.words]
    return f"What this means: {shlex.join(['raysweep', 'run', *kept, *words])}"


def _moved(data: dict[str, object], path: Path) -> dict[str, object]:
    """The data with paths from the folder of the file that is written."""
    place, colon, function = str(data["trainable"]).partition(":")
    moved = data | {"trainable": f"{_seen_from(place, path)}{colon}{function}"}
    script = data.get("script")
    template = None
    if isinstance(script, dict):
        template = script.get("config_file")
    if isinstance(script, dict) and isinstance(template, dict) and "template" in template:
        new = template | {"template": _seen_from(str(template["template"]), path)}
        moved["script"] = script | {"config_file": new}
    return moved


def _seen_from(name: str, path: Path) -> str:
    from raysweep.search_spaces.drafting.draft import relative

    if Path(name).is_file():
        return relative(Path(os.path.abspath(name)), path)
    return name
