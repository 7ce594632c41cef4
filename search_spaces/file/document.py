"""YAML text as plain data that knows the line of each of its parts, for error messages.

Our own files are YAML 1.2: `1e-4` is a number, `on` and `off` are words, `12:30` is not a time.
Files of tools that read YAML 1.1 are read as such: `on` is true, `010` is 8, `12:30` is 750. Merge
keys (`<<: *base`) are known in both. A duplicate key is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from raysweep.errors import UserError

Path = tuple[str | int, ...]
"""The keys and indices that lead from the top of a document to one of its parts."""

KINDS = ("float", "int", "ordinal", "choice", "expr")
"""The keys that give the kind of a parameter."""
MOST_NODES = 100_000
"""The most parts of a file. A few aliases of aliases would otherwise fill the memory."""
_TAG = "tag:yaml.org,2002:"
_MERGE = "<<"

Version = Literal["1.1", "1.2"]
"""Of YAML."""


class SpecificationError(UserError):
    """A mistake in a specification. The message is one line, `place: what is wrong`.

    The place is `file:line` or `--set key`.
    """

    def __init__(self, line: str) -> None:
        super().__init__("".join(letter if letter.isprintable() else " " for letter in line))


Entries = dict[str, tuple[Node, Node]]
"""The keys of a mapping, with the nodes of each key and of its value."""


@dataclass(frozen=True)
class Document:
    """The content of a file as dicts, lists and scalars, with the place of each part.

    places: such as "cnn.yaml:13" or "--set budget.trials". dialect: the format that the file was
    translated from; "" for a file of ours. notes: what to know about the translation. missing: why
    a key that a sweep needs could not be translated.
    """

    name: str
    data: Any
    places: Mapping[Path, str]
    dialect: str = ""
    notes: tuple[str, ...] = ()
    missing: Mapping[Path, str] = field(default_factory=dict)

    def place(self, path: Path) -> str:
        """Where a part was written: in a setting, else in the file, else where its parent was."""
        settings = [
            place
            for known, place in self.places.items()
            if known[: len(path)] == path and place.startswith("--set ")
        ]
        if path and settings:
            return settings[-1]
        while path not in self.places:
            path = path[:-1]
        return self.places[path]

    def error(self, path: Path, message: str) -> SpecificationError:
        return SpecificationError(f"{self.place(path)}: {message}")


def parse(text: str, name: str, version: Version = "1.2") -> Document:
    """Read YAML text.

    Raises SpecificationError, with the line, if it is not YAML, is empty, nests too deeply, is too
    large, or repeats a key.
    """
    if text.startswith("%YAML 1.1"):
        version = "1.1"
    node = _compose(text, name, version)
    if node is None:
        raise SpecificationError(
            f"{name}:1: the file is empty; expected keys such as trainable, metric and space"
        )
    places: dict[Path, str] = {}
    try:
        data = _Reader(name, places, version).read(node, ())
    except RecursionError:
        raise SpecificationError(f"{name}:1: the file nests too deeply") from None
    return Document(name, data, places)


def override(document: Document, setting: str) -> Document:
    """The document with a `key=value` setting of the command line, whose value is read as YAML."""
    key, equals, text = setting.partition("=")
    place = f"--set {key}"
    if not equals or not key:
        raise SpecificationError(f"--set {setting}: expected key=value, as in budget.trials=5")
    value = _value(text, place)
    data, path = _put(document.data, _keys(document.data, key), value, place)
    kept = {known: where for known, where in document.places.items() if known[: len(path)] != path}
    new = {path[:length]: place for length in range(1, len(path) + 1) if path[:length] not in kept}
    return replace(document, data=data, places=kept | new)


def _keys(data: Any, key: str) -> list[str]:
    """The keys that a dotted key means. The dots of a new parameter are part of its name."""
    first, *rest = key.split(".")
    space = data.get("space") if isinstance(data, Mapping) and first == "space" else None
    if not isinstance(space, Mapping) or len(rest) < 2:
        return [first, *rest]
    options = 1 if rest[-1] in KINDS else 0
    found, left = _longest(space, rest)
    # A plain value has no options. What follows its name is the name of another that lies in it.
    is_group = len(left) > options and not isinstance(space.get(found), Mapping | list)
    if found in space and not is_group:
        return [first, *rest]
    name = rest[: len(rest) - options]
    return [first, ".".join(name), *rest[len(name) :]]


def _compose(text: str, name: str, version: Version) -> Node | None:
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.version = version
    try:
        node: Node | None = yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(str(part) for part in (error.context, error.problem) if part)
        hint = "; indent with spaces" if "'\\t'" in what else ""
        raise SpecificationError(
            f"{name}:{mark.line + 1 if mark else 1}: not valid YAML: {what}{hint}"
        ) from None
    except YAMLError as error:
        line = text.count("\n", 0, getattr(error, "position", 0)) + 1
        raise SpecificationError(
            f"{name}:{line}: not valid YAML: {getattr(error, 'reason', error)}"
        ) from None
    except RecursionError:
        raise SpecificationError(f"{name}:1: the file nests too deeply") from None
    except Exception as error:
        # On some input, such as escapes beyond Unicode, the parser fails with errors of any kind.
        raise SpecificationError(f"{name}:1: not valid YAML ({type(error).__name__})") from None
    return node


class _Reader:
    """Turns the nodes of a file into data and records their places.

    An alias counts as often as it is used.
    """

    def __init__(self, name: str, places: dict[Path, str], version: Version) -> None:
        self._name = name
        self._places = places
        self._version = version
        self._open: set[int] = set()
        self._entries_of: dict[int, Entries] = {}

    def read(self, node: Node, path: Path) -> Any:
        self._places.setdefault(path, self._place(node))
        if len(self._places) > MOST_NODES:
            raise SpecificationError(
                f"{self._place(node)}: the file has more than {MOST_NODES:,} parts"
            )
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        if id(node) in self._open:
            raise SpecificationError(f"{self._place(node)}: an alias that contains itself")
        self._open.add(id(node))
        data = (
            self._mapping(node, path)
            if isinstance(node, MappingNode)
            else self._sequence(node, path)
        )
        self._open.remove(id(node))
        return data

    def _place(self, node: Node) -> str:
        return f"{self._name}:{node.start_mark.line + 1}"

    def _sequence(self, node: Node, path: Path) -> list[Any]:
        self._plain(node)
        return [self.read(item, (*path, i)) for i, item in enumerate(node.value)]

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        self._plain(node)
        data: dict[str, Any] = {}
        for key, (key_node, value_node) in self._entries(node).items():
            self._places[(*path, key)] = self._place(key_node)
            data[key] = self.read(value_node, (*path, key))
        return data

    def _entries(self, node: MappingNode) -> Entries:
        """The keys of a mapping with their nodes; what is written wins over what is merged."""
        if id(node) not in self._entries_of:
            own: Entries = {}
            for key_node, value_node in node.value:
                if not isinstance(key_node, ScalarNode):
                    raise SpecificationError(f"{self._place(key_node)}: a key must be a word")
                key = _MERGE if str(key_node.tag) == f"{_TAG}merge" else str(key_node.value)
                if key in own:
                    raise SpecificationError(f"{self._place(key_node)}: duplicate key '{key}'")
                own[key] = key_node, value_node
            self._entries_of[id(node)] = self._merged(own)
        return self._entries_of[id(node)]

    def _merged(self, own: Entries) -> Entries:
        """The keys of the mappings that a merge key names, then those written beside it.

        Of two mappings that have the same key, the first counts.
        """
        key_node, merged = own.get(_MERGE, (None, None))
        if key_node is None or merged is None or str(key_node.tag) != f"{_TAG}merge":
            return own
        del own[_MERGE]
        bases = merged.value if isinstance(merged, SequenceNode) else [merged]
        entries: Entries = {}
        for base in bases:
            if not isinstance(base, MappingNode):
                raise SpecificationError(
                    f"{self._place(key_node)}: << merges mappings: expected one, or a list of them"
                )
            if id(base) in self._open:
                raise SpecificationError(f"{self._place(base)}: an alias that contains itself")
            self._open.add(id(base))
            entries = self._entries(base) | entries
            self._open.remove(id(base))
        return entries | own

    def _plain(self, node: Node) -> None:
        if str(node.tag) not in (f"{_TAG}map", f"{_TAG}seq"):
            raise SpecificationError(
                f"{self._place(node)}: the tag {node.tag} is not known here; leave it out"
            )

    def _scalar(self, node: ScalarNode) -> Any:
        tag, text = str(node.tag).removeprefix(_TAG), str(node.value)
        try:
            if tag in ("str", "timestamp", "merge", "value"):
                return text
            if tag == "bool" and text in ("y", "Y", "n", "N"):
                return text  # words to every reader of YAML 1.1 that is in use
            if tag == "null":
                return None
            if tag == "bool":
                return text.lower() in ("true", "yes", "on")
            if tag in ("int", "float"):
                return _number(text, tag) if self._version == "1.2" else _old_number(text, tag)
        except ValueError:
            raise SpecificationError(
                f"{self._place(node)}: '{text[:40]}' is not a number"
            ) from None
        raise SpecificationError(
            f"{self._place(node)}: the tag {node.tag} is not known here; leave it out"
        )


def _number(text: str, tag: str) -> int | float:
    text = text.replace("_", "").lower()
    if tag == "float":
        return float(text.replace(".inf", "inf").replace(".nan", "nan"))
    return int(text, {"0o": 8, "0x": 16}.get(text.lstrip("+-")[:2], 10))


def _old_number(text: str, tag: str) -> int | float:
    """A number as YAML 1.1 writes it: `010` is octal, `0b11` binary, `1:30` has the base 60."""
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-").replace("_", "").lower()
    if ":" in digits:
        return sign * _sexagesimal(digits, tag)
    if tag == "float":
        return _number(text, tag)
    octal = digits.startswith("0") and digits.isdigit()
    return sign * (int(digits, 8) if octal else int(digits, 0))


def _sexagesimal(digits: str, tag: str) -> int | float:
    *whole, last = digits.split(":")
    total = 0
    for part in whole:
        total = total * 60 + int(part)
    return total * 60 + (int(last) if tag == "int" else float(last))


def _value(text: str, place: str) -> Any:
    """A value of the command line, read as YAML; nothing at all is null."""
    if not text.strip():
        return None
    try:
        return parse(text, place).data
    except SpecificationError as error:
        message = str(error).removeprefix(f"{place}:").partition(": ")[2]
        raise SpecificationError(f"{place}: {message}") from None


def _put(data: Any, keys: Sequence[str], value: Any, place: str) -> tuple[Any, Path]:
    """A copy of `data` with `value` at the dotted `keys`, and the path of the value."""
    if not keys:
        return value, ()
    if isinstance(data, list):
        return _put_item(data, keys, value, place)
    if isinstance(data, str):
        data = {"name": data}
    if not isinstance(data, Mapping):
        data = {}
    name, rest = _longest(data, keys)
    changed, path = _put(data.get(name), rest, value, place)
    return {**data, name: changed}, (name, *path)


def _put_item(data: list[Any], keys: Sequence[str], value: Any, place: str) -> tuple[Any, Path]:
    if not keys[0].isdigit() or int(keys[0]) >= len(data):
        raise SpecificationError(
            f"{place}: expected an index of a list of {len(data)}, 0 to {len(data) - 1}, "
            f"got '{keys[0]}'"
        )
    index = int(keys[0])
    changed, path = _put(data[index], keys[1:], value, place)
    return [*data[:index], changed, *data[index + 1 :]], (index, *path)


def _longest(data: Mapping[str, Any], keys: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The longest run of `keys` that is a dotted key of `data`, and the keys after it.

    The first key if there is no such run.
    """
    for length in range(len(keys), 0, -1):
        name = ".".join(keys[:length])
        if name in data:
            return name, keys[length:]
    return keys[0], keys[1:]
