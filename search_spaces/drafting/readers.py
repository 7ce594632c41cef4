"""Finds how a program is told its configuration: by running it up to its parser, or by reading."""

from __future__ import annotations

from dataclasses import replace

from raysweep.search_spaces.drafting import (
    config_files,
    constants,
    hydra_reader,
    parser_source,
    parsers,
)
from raysweep.search_spaces.drafting.ask_program import LIMIT_SECONDS, ask, reads_options
from raysweep.search_spaces.drafting.interface import Interface
from raysweep.search_spaces.drafting.program import NothingFound, Program


def read_interface(program: Program, words: list[str], limit: float = LIMIT_SECONDS) -> Interface:
    """What the program can be told. `words`: those that it needs, such as a command.

    Raises NothingFound if nothing is found that could be tuned.
    """
    configurator = constants.read_configurator(program, words)
    if configurator is not None:
        return configurator
    reason = "it reads no options, and has no file or constants of defaults"
    if reads_options(program):
        interface, reason = _asked(program, words, limit)
        if interface is not None:
            return (
                config_files.named_by_option(program, interface)
                or config_files.named_by_word(program, words, interface)
                or interface
            )
    elif (by_word := config_files.named_by_word(program, words)) is not None:
        return by_word
    found = config_files.named_in_source(program) or constants.read_defaults(program)
    if found is None:
        raise NothingFound(f"{program.shown}: nothing to tune was found: {reason}")
    return replace(found, words=tuple(words))


def _asked(program: Program, words: list[str], limit: float) -> tuple[Interface | None, str]:
    """The interface that the running program shows, or that its source says if it does not run.

    Without it, the second value says why there is none.
    """
    answer = ask(program, words, limit)
    if answer.data.get("library") == "hydra":
        return hydra_reader.interface_of(answer.data, words), ""
    if answer.data:
        found = parsers.interface_of(program.shown, answer.data, words)
        if found.options:
            return (found, "")
        return (None, "its parser has no options")
    found_in_source = (
        hydra_reader.read_files(program, words)
        or parser_source.read_source(program, words)
        or constants.read_dataclasses(program, words)
    )
    if found_in_source is None:
        return None, answer.error
    note = (
        "the options were read from the source, because the program ended before it read them: "
        f"{answer.error}"
    )
    return replace(found_in_source, notes=(*found_in_source.notes, note)), ""
