"""Reads `config.json` and the options that replace its values: `--optimizer.args.lr=0.01`."""

import argparse
import json
from pathlib import Path
from typing import Any

RANGES = ("float", "int", "ordinal", "choice")


def parse(words: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-c", "--config", default="config.json")
    options, rest = parser.parse_known_args(words)
    config: dict[str, Any] = json.loads(Path(options.config).read_text())
    for word in rest:
        name, _, value = word.partition("=")
        put(config, name.removeprefix("--").split("."), value)
    return first_values(config)


def put(config: dict[str, Any], path: list[str], value: str) -> None:
    """Set a nested value. It is read as JSON if it is valid JSON, and is a string otherwise."""
    for key in path[:-1]:
        config = config[key]
    try:
        config[path[-1]] = json.loads(value)
    except ValueError:
        config[path[-1]] = value


def first_values(value: Any) -> Any:
    """Replace each range by its first value, so that the project runs by hand, without a sweep."""
    if not isinstance(value, dict):
        return value
    for kind in RANGES:
        if kind in value:
            return value[kind][0]
    return {key: first_values(inner) for key, inner in value.items()}
