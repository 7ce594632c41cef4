"""Everything that is known of a program, as the parts of a sweep's file."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from raysweep.search_spaces.drafting import parsers
from raysweep.search_spaces.drafting.ask_program import LIMIT_SECONDS
from raysweep.search_spaces.drafting.interface import Interface, Option, plain_name
from raysweep.search_spaces.drafting.left_alone import SURROUNDINGS
from raysweep.search_spaces.drafting.length import Length, length_of
from raysweep.search_spaces.drafting.metric_guess import Guess, guesses, unsettled
from raysweep.search_spaces.drafting.program import Program, ProgramError, read_program
from raysweep.search_spaces.drafting.ranges import Suggestion, suggestions
from raysweep.search_spaces.drafting.readers import read_interface

OUTPUTS = re.compile(
    r"(out(put)?_?(dir|folder|path)?|save_?(model_?|checkpoint_?)?(dir|path|folder)|log_?dir|results?_?(dir|path)?"
    r"|exp(eriment)?_?dir|work_?dir|run_?dir|default_root_dir|checkpoints?_?(model_?)?dir|ckpt_?dir"
    r"|tensorboard_?dir)"
)
"""Options that name the folder in which a program leaves its files."""


@dataclass(frozen=True)
class Draft:
    """What `raysweep init` found.

    found: all metrics, the most likely first. unsettled: those that no pattern can take.
    """

    program: Program
    interface: Interface
    length: Length
    found: list[Guess]
    suggestions: list[Suggestion]
    outputs: tuple[Option, ...] = ()
    unsettled: tuple[str, ...] = ()

    @property
    def active(self) -> list[Suggestion]:
        return [one for one in self.suggestions if one.active]

    @property
    def left_alone(self) -> list[str]:
        """The options that the file says nothing of."""
        known = {one.option.name for one in self.suggestions}
        known |= {option.name for option in self.outputs}
        if self.length.option is not None:
            known.add(self.length.option.name)
        return [
            option.name
            for option in self.interface.options
            if option.name and option.name not in known and option.name not in self.interface.given
            if option.name.partition(".")[0] not in SURROUNDINGS
        ]


def draft(name: str, words: list[str], limit: float = LIMIT_SECONDS) -> Draft:
    """Read a program, and run it up to its options with `words`.

    Raises ProgramError if nothing is found, or if the program needs words that are not given.
    """
    program = read_program(name)
    interface = read_interface(program, words, limit)
    length = length_of(program, interface)
    outputs = tuple(outputs_of(interface))
    taken = {option.name for option in outputs} | set(interface.given)
    if length.option is not None:
        taken.add(length.option.name)
    free = tuple(option for option in interface.options if option.name not in taken)
    made = Draft(
        program,
        interface,
        length,
        guesses(program, interface),
        suggestions(free),
        outputs,
        tuple(unsettled(program)),
    )
    covered = {one.option.name for one in made.active} | taken
    check_complete(program, interface, covered, f"raysweep init {name}")
    return made


def outputs_of(interface: Interface) -> list[Option]:
    """The options for which each trial gets its own folder, so that trials do not share files."""
    if interface.style == "none" or interface.own_folder:
        return []
    return [
        option
        for option in interface.options
        if option.kind == "text" or (option.kind == "other" and option.default is None)
        if option.writable and not option.many and option.name not in interface.given
        if OUTPUTS.fullmatch(plain_name(option.name).rpartition(".")[2])
    ]


def check_complete(program: Program, interface: Interface, covered: set[str], typed: str) -> None:
    """Raise ProgramError if the program needs options that are neither given nor `covered`.

    typed: the command that was typed, for the message.
    """
    names = parsers.missing(interface, covered)
    if names:
        words = " ".join([*interface.words, *parsers.examples(interface, names)])
        raise ProgramError(
            f"{program.shown} needs {', '.join(names)}: add that behind --, as in "
            f"{typed} -- {words}"
        )


def reference(program: Program, out: Path) -> str:
    """The program as the file `out` has it under `trainable`."""
    if program.module:
        return program.shown
    return relative(program.path, out)


def relative(path: Path, out: Path) -> str:
    """A path as the file `out` has it: from its folder if it lies in there, else the whole path."""
    folder = Path(os.path.abspath(out)).parent
    if path.is_relative_to(folder):
        return path.relative_to(folder).as_posix()
    return str(path)
