"""Everything that is known of a program, as the parts of a sweep's file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from raysweep.search_spaces.drafting import parsers
from raysweep.search_spaces.drafting.ask_program import LIMIT_SECONDS
from raysweep.search_spaces.drafting.interface import Interface, Option
from raysweep.search_spaces.drafting.left_alone import SURROUNDINGS
from raysweep.search_spaces.drafting.length import Length, length_of
from raysweep.search_spaces.drafting.metric_guess import Guess, guesses, unsettled
from raysweep.search_spaces.drafting.outputs import outputs_of, reads_from_folder, shared
from raysweep.search_spaces.drafting.program import Program, ProgramError, read_program
from raysweep.search_spaces.drafting.ranges import Suggestion, suggestions
from raysweep.search_spaces.drafting.readers import read_interface


@dataclass(frozen=True)
class Draft:
    """What `raysweep init` found.

    found: all metrics, the most likely first. unsettled: those that no pattern can take.
    shared: what the program writes into its working folder. is_movable: that may be another folder.
    """

    program: Program
    interface: Interface
    length: Length
    found: list[Guess]
    suggestions: list[Suggestion]
    outputs: tuple[Option, ...] = ()
    unsettled: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    is_movable: bool = False

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
    outputs = tuple(outputs_of(interface, program))
    taken = {option.name for option in outputs} | set(interface.given)
    if length.option is not None:
        taken.add(length.option.name)
    free = tuple(option for option in interface.options if option.name not in taken)
    written = shared(program, interface)
    made = Draft(
        program,
        interface,
        length,
        guesses(program, interface),
        suggestions(free),
        outputs,
        tuple(unsettled(program)),
        tuple(written),
        bool(written) and not reads_from_folder(program, interface, written),
    )
    covered = {one.option.name for one in made.active} | taken
    check_complete(program, interface, covered, f"raysweep init {name}")
    return made


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
