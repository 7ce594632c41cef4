"""From what was seen of a program's parser to its `Interface`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raysweep.search_spaces.drafting.interface import Interface, Option
from raysweep.search_spaces.drafting.program import ProgramError
from raysweep.search_spaces.file.document import SpecificationError, parse

BOOL_TRAP = "type=bool of argparse takes every word for true, even False"
PYTHON_VALUES = ("fire",)
"""Libraries that read values as Python writes them: `True`, `None`."""


def interface_of(name: str, data: Mapping[str, Any], words: Sequence[str]) -> Interface:
    """The interface of a program that was called with `words`. `name` is the program's.

    Raises ProgramError if the program has several commands and the words name none of them.
    """
    commands = [str(command) for command in data["commands"]]
    if commands:
        known = ", ".join(commands[:8])
        raise ProgramError(
            f"{name} has the commands {known}: add one behind --, as in -- {commands[0]}"
        )
    options = tuple(_option(record) for record in data["options"])
    own = [word for word in data["command"] if word not in words]
    told = [*own, *words]
    return Interface(
        library=data["library"],
        options=options,
        values="python" if data["library"] in PYTHON_VALUES else "json",
        words=tuple(told),
        commands=len(data["command"]),
        given=given(options, words),
    )


def _option(record: Mapping[str, Any]) -> Option:
    long = [name[2:] for name in record["names"] if name.startswith("--")]
    long = [name for name in long if not name.endswith("+")]  # jsonargparse: appends to a list
    positive = [name for name in long if not _is_negative(name, long)] or long
    is_named = bool(record["names"])
    form, negative = record["form"], record["negative"]
    name = ""
    if positive:
        name = positive[0]
    # Only `--no-name` can be said of a flag that has a name for both values.
    pairs = form != "both" or f"--no-{name}" in negative
    return Option(
        name=name if is_named else "",
        kind=record["kind"],
        default=record["default"],
        choices=tuple(record["choices"]),
        form=form,
        required=record["required"],
        many=record["many"],
        low=record.get("low"),
        high=record.get("high"),
        help=record["help"],
        aliases=tuple(positive[1:]),
        writable=_is_word(name) and pairs and record.get("function") != "bool",
        label=_label(record, name),
        trap=BOOL_TRAP if record.get("function") == "bool" else "",
    )


def _is_word(name: str) -> bool:
    """True for a name that can be written in front of a value."""
    return bool(name) and not any(letter in "=" or letter.isspace() for letter in name)


def _label(record: Mapping[str, Any], name: str) -> str:
    """What a message calls an option: `--name`, `-n`, or the placeholder of a word."""
    if name:
        return f"--{name}"
    return str(record["names"][0] if record["names"] else record["dest"])


def _is_negative(name: str, names: list[str]) -> bool:
    """True for the form that switches a flag off, such as `no-amp` beside `amp`."""
    return any(name == f"no-{other}" or name == f"no_{other}" for other in names)


def given(options: Sequence[Option], words: Sequence[str]) -> dict[str, Any]:
    """The options that are among the words, with their values as YAML reads them.

    An option that takes several values has the first of them.
    """
    named = {name: option for option in options for name in (option.name, *option.aliases) if name}
    found: dict[str, Any] = {}
    for place, word in enumerate(words):
        if not word.startswith("-"):
            continue
        key, equals, text = word.lstrip("-").partition("=")
        option = named.get(key) or named.get(key.replace("-", "_"))
        negative = named.get(key.removeprefix("no-"))
        if option is None and negative is not None:
            found[negative.name] = False
        elif option is not None and option.form != "value":
            found[option.name] = True
        elif option is not None:
            following = ""
            if place + 1 < len(words):
                following = words[place + 1]
            found[option.name] = value_of(text if equals else following)
    return found


def free_words(interface: Interface, words: Sequence[str]) -> int:
    """How many of the words are neither options nor the values of options."""
    count, skip = 0, False
    for word in words:
        if skip:
            skip = False
        elif word.startswith("-") and len(word) > 1:
            option = interface.option(word.lstrip("-").partition("=")[0])
            skip = "=" not in word and option is not None and option.form == "value"
        else:
            count += 1
    return count


def value_of(text: str) -> Any:
    """A word of a command line as YAML reads it; the word itself if that is no YAML."""
    try:
        return parse(text, "word").data
    except SpecificationError:
        return text


def missing(interface: Interface, covered: set[str]) -> list[str]:
    """What the program cannot do without, and is neither given nor among `covered`."""
    names = [
        option.label
        for option in interface.options
        if option.required
        and option.name
        and option.name not in interface.given
        and option.name not in covered
    ]
    places = [option for option in interface.options if option.required and not option.name]
    said = free_words(interface, interface.words) - interface.commands
    return names + [option.label for option in places[max(0, said) :]]


def examples(interface: Interface, names: Sequence[str]) -> list[str]:
    """Words that would give what is missing, for a message."""
    words = []
    for name in names:
        option = next(option for option in interface.options if option.label == name)
        value = "VALUE"
        if option.choices:
            value = str(option.choices[0])
        words.append(f"{name} {value}" if option.name else name.upper())
    return words
