"""Write a specification as YAML, with a line for each key and for each parameter of the space."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from typing import Any


def write(data: Mapping[str, Any]) -> str:
    """YAML that reads back to the same data."""
    lines = []
    for key, value in data.items():
        if key in ("space", "constraints") and value:
            lines.append(f"{key}:")
            lines += [f"  {_line(one)}" for one in _items(value)]
        elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
            lines.append(f"{key}:")
            lines += [
                f"  - {_flow(one) if isinstance(one, dict) else _flow([one])[1:-1]}"
                for one in value
            ]
        else:
            lines.append(_line({key: value}))
    return "\n".join(lines) + "\n"


def _items(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [{name: entry} for name, entry in value.items()]
    return list(value)


def _line(value: Any) -> str:
    """A mapping of one key without its braces, or a list item."""
    if isinstance(value, dict):
        return _flow(value)[1:-1]
    return f"- {_flow([value])[1:-1]}"


def _flow(value: Any) -> str:
    from ruamel.yaml import YAML

    yaml: Any = YAML(typ="safe", pure=True)
    yaml.default_flow_style = True
    yaml.sort_base_mapping_type_on_output = False
    yaml.width = 1_000_000
    out = StringIO()
    yaml.dump(value, out)
    return out.getvalue().strip()
