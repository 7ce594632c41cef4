"""The JSON Schema of specification files, for editors.

It is made of the models, with the options of every searcher and scheduler.

`python -m raysweep.tune.json_schema` writes `search_spaces/file/schema.json` anew. Completion and
checks while typing are turned on by one comment in a file:
`# yaml-language-server: $schema=PATH/TO/search_spaces/file/schema.json`.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from raysweep.schedulers import SCHEDULERS
from raysweep.search_spaces.file.reader import SHIPPED
from raysweep.search_spaces.file.sweep_spec import SweepSpec
from raysweep.tune.load import DEFAULT_SCHEDULER, options_of
from raysweep.tune.searchers import SEARCHERS

PATH = SHIPPED / "file" / "schema.json"
NAMED = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
    "additionalProperties": True,
}
"""A class of the user's own with its options, which only that class knows."""


def generate() -> dict[str, Any]:
    """The schema as plain data (JSON Schema 2020-12)."""
    schema = SweepSpec.model_json_schema()
    definitions, properties = schema["$defs"], schema["properties"]
    del definitions["NamedSpec"]
    searcher, scheduler = (
        _choice("searcher", SEARCHERS, definitions),
        _choice("scheduler", SCHEDULERS, definitions),
    )
    several = {"type": "array", "items": {"$ref": "#/$defs/searcher"}, "minItems": 1}
    definitions |= {"searcher": searcher, "scheduler": scheduler}
    properties["searcher"] = {
        "anyOf": [{"$ref": "#/$defs/searcher"}, several, {"type": "null"}],
        "description": "one, or several to compare",
    }
    properties["scheduler"] = {"$ref": "#/$defs/scheduler", "default": DEFAULT_SCHEDULER}
    properties["callbacks"]["items"] = {"anyOf": [{"type": "string"}, NAMED]}
    # One of the two; what the models have as `metric` may be the first of `metrics`.
    schema["required"] = [key for key in schema["required"] if key != "metric"]
    schema["oneOf"] = [{"required": ["metric"]}, {"required": ["metrics"]}]
    properties["executor"]["anyOf"] = [{"type": "string"}, NAMED, {"type": "null"}]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "raysweep specification",
    }


def _choice(
    what: str, registry: Mapping[str, type[Any]], definitions: dict[str, Any]
) -> dict[str, Any]:
    """A name of the registry, or a mapping of the name and that class's options."""
    for name, kind in registry.items():
        definitions[f"{what}.{name}"] = _options(name, kind)
    return {
        "anyOf": [
            {"enum": list(registry)},
            *({"$ref": f"#/$defs/{what}.{name}"} for name in registry),
        ]
    }


def _options(name: str, kind: type[Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(kind, include_extras=True)
    properties: dict[str, Any] = {"name": {"const": name}}
    required = ["name"]
    for key, field in options_of(kind).items():
        properties[key] = TypeAdapter(hints[key]).json_schema()
        if field.default is not dataclasses.MISSING:
            properties[key]["default"] = field.default
        elif field.default_factory is dataclasses.MISSING:
            required.append(key)
    text = (kind.__doc__ or "").strip().split("\n\n")[0]
    return {
        "type": "object",
        "description": text,
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def text() -> str:
    return json.dumps(generate(), indent=1) + "\n"


def write(path: Path = PATH) -> None:
    path.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    write()
