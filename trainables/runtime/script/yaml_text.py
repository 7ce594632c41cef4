"""YAML in which values are replaced, while all that is not stays as it is written.

What is put in means the same to readers of YAML 1.1 and 1.2: text is always in quotes, because
`yes` is true in 1.1, and a float has a point, because `1e-05` is text there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from typing import Any

from raysweep.errors import first_line

_TAG = "tag:yaml.org,2002:"
_AS_WRITTEN = ("int", "float", "bool", "null", "timestamp")
"""The types of plain values whose spelling is kept. Read as numbers, some would lose digits."""


@dataclass(frozen=True)
class Written:
    """A plain value by its spelling."""

    tag: str
    spelling: str


class YamlError(ValueError):
    """Text that is no YAML. The message is one line."""


def load(text: str) -> Any:
    """Read YAML so that `dump` writes the same. An empty text is an empty mapping."""
    from ruamel.yaml.error import YAMLError

    reader = _yaml()
    try:
        data = reader.load(text)
    except YAMLError as error:
        raise YamlError(first_line(error)) from None
    if data is None or isinstance(data, Written):
        from ruamel.yaml.comments import CommentedMap

        if isinstance(data, Written) and data.tag != f"{_TAG}null":
            return data
        return CommentedMap()
    return data


def dump(data: Any) -> str:
    """What `load` read, with the values of `written` in it, as text."""
    out = StringIO()
    _yaml().dump(data, out)
    return out.getvalue()


def written(value: Any) -> Any:
    """A plain Python value as `dump` writes it."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, str):
        return DoubleQuotedScalarString(value)
    if isinstance(value, list):
        items = CommentedSeq(map(written, value))
        items.fa.set_flow_style()
        return items
    if isinstance(value, Mapping):
        pairs = CommentedMap((written(str(key)), written(part)) for key, part in value.items())
        pairs.fa.set_flow_style()
        return pairs
    return _plain(value)


def _plain(value: bool | int | float | None) -> Written:
    if value is None:
        return Written(f"{_TAG}null", "null")
    if isinstance(value, bool):
        return Written(f"{_TAG}bool", str(value).lower())
    if isinstance(value, int):
        return Written(f"{_TAG}int", str(value))
    spelling = repr(value)
    if "." not in spelling:
        spelling = spelling.replace("e", ".0e")
    return Written(f"{_TAG}float", spelling)


def _yaml() -> Any:
    """A reader and writer that keeps comments, tags, anchors, quotes and spellings."""
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import RoundTripConstructor
    from ruamel.yaml.representer import RoundTripRepresenter

    class Constructor(RoundTripConstructor):
        pass

    class Representer(RoundTripRepresenter):
        pass

    for name in _AS_WRITTEN:
        Constructor.add_constructor(f"{_TAG}{name}", _construct)
    Representer.add_representer(Written, _represent)
    yaml: Any = YAML(typ="rt")
    yaml.Constructor, yaml.Representer = Constructor, Representer
    yaml.preserve_quotes, yaml.width = True, 1_000_000
    return yaml


def _construct(constructor: Any, node: Any) -> Written:
    return Written(str(node.tag), node.value)


def _represent(representer: Any, value: Written) -> Any:
    return representer.represent_scalar(value.tag, value.spelling)
