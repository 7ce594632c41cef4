"""A sweep that is described by the options of `raysweep run`, as a document and as a file.

`raysweep run train.py --param lr=1e-5..1e-1:log --metric val_acc:max --trials 20` means what the
file means that `--save` writes: both are made of the same data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from raysweep.search_spaces.drafting import sections
from raysweep.search_spaces.drafting.ask_program import LIMIT_SECONDS
from raysweep.search_spaces.drafting.draft import Draft, check_complete
from raysweep.search_spaces.drafting.interface import Interface, Option
from raysweep.search_spaces.drafting.length import Length, length_of
from raysweep.search_spaces.drafting.metric_guess import Guess, guesses, named
from raysweep.search_spaces.drafting.one_line_checks import (
    OneLineError,
    check_known,
    check_values,
    metric_of,
)
from raysweep.search_spaces.drafting.outputs import outputs_of, reads_from_folder, shared
from raysweep.search_spaces.drafting.param_words import ParamError, entry_of, name_of
from raysweep.search_spaces.drafting.program import NothingFound, is_program, read_program
from raysweep.search_spaces.drafting.ranges import Suggestion
from raysweep.search_spaces.drafting.readers import read_interface
from raysweep.search_spaces.drafting.sections import Line
from raysweep.search_spaces.file.document import Document, Path


@dataclass(frozen=True)
class Said:
    """The options of `raysweep run` that describe a sweep, as they were typed.

    program: a script, or a train function (`train.py:train`, `package.module:train`). words: those
    for the script, behind `--`. ends: the sweep ends by a setting, so that `trials` may be missing.
    """

    program: str
    params: Sequence[str] = ()
    metric: str | None = None
    trials: int | None = None
    epochs: int | None = None
    words: Sequence[str] = ()
    ends: bool = False


@dataclass(frozen=True)
class Meant:
    """The sweep that options describe: its data with the place of each part, and comments."""

    document: Document
    comments: Mapping[Path, str]
    notes: Sequence[str] = ()


def meaning(said: Said, limit: float = LIMIT_SECONDS) -> Meant:
    """The sweep that the options describe. Raises a UserError for a mistake in them."""
    if not said.params:
        raise OneLineError(
            "--param is missing: what is tuned, as in --param lr=1e-5..1e-1:log or "
            "--param batch-size=32,64,128"
        )
    if not is_program(said.program):
        return _of_function(said)
    return _Script(said, limit).meaning()


def _of_function(said: Said) -> Meant:
    """The sweep of a train function, whose parameters are the keys of its configuration."""
    if said.words:
        raise OneLineError(
            f"-- {said.words[0]}: words behind -- are for a script, and {said.program} is a "
            "function; expected --param NAME=VALUE"
        )
    if said.epochs is None:
        raise OneLineError(
            "--epochs is missing: how many epochs one trial trains, as in --epochs 9"
        )
    space = _Space()
    for typed in said.params:
        space.add(typed, entry_of(typed))
    name, goal = metric_of(said.metric, None)
    return _meant(
        said,
        {
            "metric": [Line("name", name), Line("goal", goal)],
            "budget": [*_trials(said), Line("epochs", said.epochs)],
        },
        space.entries,
    )


class _Space:
    """The entries of the space in the order of the options, each name once."""

    def __init__(self) -> None:
        self.entries: dict[str, Any] = {}

    def add(self, typed: str, entry: Any) -> None:
        name = name_of(typed)
        if name in self.entries:
            raise ParamError(f"--param '{typed}': '{name}' stands twice; expected each name once")
        self.entries[name] = entry


class _Script:
    """Takes options and what is known of a script together."""

    def __init__(self, said: Said, limit: float) -> None:
        self._said = said
        self._program = read_program(said.program)
        self._interface = self._read(limit)
        self._space = _Space()
        self._names: dict[str, str] = {}
        self._told: list[Suggestion] = []
        self._typed: dict[str, str] = {}

    def _read(self, limit: float) -> Interface:
        words = list(self._said.words)
        try:
            interface = read_interface(self._program, words, limit)
        except NothingFound:
            # It may read its words by itself, or RAYSWEEP_CONFIG: it gets all of them.
            return Interface("", words=tuple(words))
        if interface.unread:
            raise OneLineError(f"{self._said.program}: {interface.unread}")
        return interface

    def meaning(self) -> Meant:
        for typed in self._said.params:
            self._take(typed)
        length = self._length()
        is_in_file = self._interface.style == "none" and self._said.epochs is not None
        if is_in_file and length.option is not None:
            # Nothing but the file of its configuration can tell it to the program.
            self._space.entries[length.option.name] = length.count
        found = guesses(self._program, self._interface)
        guess = self._metric(found)
        name, goal = metric_of(self._said.metric, guess)
        taken = {one.option.name for one in self._told}
        found_outputs = outputs_of(self._interface, self._program)
        outputs = tuple(one for one in found_outputs if one.name not in taken)
        covered = taken | {option.name for option in outputs}
        if length.option is not None:
            covered.add(length.option.name)
        typed = f"raysweep run {self._said.program}"
        check_complete(self._program, self._interface, covered, typed)
        written = shared(self._program, self._interface)
        is_movable = bool(written) and not reads_from_folder(
            self._program, self._interface, written
        )
        draft = Draft(
            self._program,
            self._interface,
            length,
            found,
            self._told,
            outputs,
            shared=tuple(written),
            is_movable=is_movable,
        )
        script = sections.script(draft, guess, FilePath("sweep.yaml"))
        if self._names:
            script.append(Line("names", self._names, "as the program spells them"))
        metric = [Line("name", name), Line("goal", goal)]
        if guess is not None:
            metric = [*metric, *sections.metric(guess, ())[2:]]
        lines = {
            "metric": metric,
            "budget": [*_trials(self._said), *sections.budget(length)[1:]],
            "script": script,
        }
        return _meant(self._said, lines, self._space.entries, self._notes(name, guess, found))

    def _take(self, typed: str) -> None:
        """Add a parameter, as far as the program has an option for it."""
        name = name_of(typed)
        option = self._interface.option(name)
        check_known(typed, name, option, self._interface, self._said.program)
        kind = ""
        if option is not None:
            kind = option.kind
        entry = entry_of(typed, kind if kind in ("int", "float") else "")
        if option is not None:
            check_values(typed, option, entry)
            if name not in (option.name, *option.aliases):
                self._names[name] = option.name
            self._told.append(Suggestion(option, entry, "", 0, True))
            self._typed[option.name] = typed
        self._space.add(typed, entry)

    def _length(self) -> Length:
        """The length of a trial: that of `--epochs`, else the program's own."""
        length = length_of(self._program, self._interface)
        option, said = length.option, self._said
        if option is not None and option.name in {one.option.name for one in self._told}:
            return self._told_length(option, length)
        if said.epochs is None:
            if not length.is_known:
                raise OneLineError(
                    f"--epochs is missing: how often {said.program} reports its metric in one "
                    "trial, as in --epochs 9; 1 if it does so once, at its end"
                )
            return length
        if length.unit == "steps" and option is not None:
            raise OneLineError(
                f"--epochs {said.epochs}: {said.program} counts steps ({option.label}); expected "
                f"--set budget.steps={length.count} --set budget.report_every={length.every}"
            )
        if option is not None and option.name in self._interface.given:
            raise OneLineError(
                f"--epochs {said.epochs}: {option.label} is among the words behind --, too; "
                "expected it once"
            )
        every = length.every if length.unit == "epochs" else 1
        return Length(said.epochs, "epochs", min(every, said.epochs), option)

    def _told_length(self, option: Option, length: Length) -> Length:
        """The length that a `--param` says, which must be a constant."""
        entry = next(one.entry for one in self._told if one.option.name == option.name)
        is_whole = isinstance(entry, int) and not isinstance(entry, bool) and entry > 0
        if not is_whole or self._said.epochs is not None:
            raise ParamError(
                f"--param '{self._typed[option.name]}': that is the length of a trial; expected "
                f"--epochs {length.count} in its place"
            )
        return Length(entry, length.unit, min(length.every, entry))

    def _metric(self, found: list[Guess]) -> Guess | None:
        """Where the metric is from, if the program prints or logs one of that name."""
        if self._said.metric is None:
            names = list(dict.fromkeys(f"{one.name}:{one.goal[:3]}" for one in found))[:3]
            hint = ""
            if names:
                hint = f"; {self._said.program} has {', '.join(names)}"
            example = "val_acc:max"
            if names:
                example = names[0]
            raise OneLineError(
                f"--metric is missing: what is optimized, as in --metric {example}{hint}"
            )
        return named(found, self._said.metric.rpartition(":")[0] or self._said.metric) or named(
            found, self._said.metric
        )

    def _notes(self, name: str, guess: Guess | None, found: list[Guess]) -> list[str]:
        notes = list(self._interface.notes)
        if guess is None and found:
            names = ", ".join(dict.fromkeys(one.name for one in found[:6]))
            notes.append(
                f"nothing that prints or logs '{name}' was found in {self._said.program}, "
                f"but {names}"
            )
        return notes


def _trials(said: Said) -> list[Line]:
    if said.trials is not None:
        return [Line("trials", said.trials)]
    if said.ends:
        return []
    raise OneLineError("--trials is missing: how many configurations are tried, as in --trials 20")


def _meant(
    said: Said,
    lines: Mapping[str, Sequence[Line]],
    space: Mapping[str, Any],
    notes: Sequence[str] = (),
) -> Meant:
    data: dict[str, Any] = {"trainable": said.program}
    comments: dict[Path, str] = {}
    places: dict[Path, str] = {(): "raysweep run", ("trainable",): said.program}
    for section, rows in lines.items():
        if rows:
            data[section] = {row.key: row.value for row in rows}
        comments |= {(section, row.key): row.comment for row in rows if row.comment}
    places |= {
        ("metric",): "--metric",
        ("budget",): "--trials",
        ("budget", "epochs"): "--epochs",
        ("script",): "raysweep run",
        ("space",): "--param",
    }
    data["space"] = dict(space)
    places |= {("space", name): f"--param {name}" for name in space}
    return Meant(Document("raysweep run", data, places), comments, notes)
