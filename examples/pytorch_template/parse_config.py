"""`config.json` with what the command line says instead: `--optimizer.args.lr=0.01`."""

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
    return fixed(config)


def put(config: dict[str, Any], path: list[str], value: str) -> None:
    """Numbers and true or false are read as JSON; anything else is a word."""
    for key in path[:-1]:
        config = config[key]
    try:
        config[path[-1]] = json.loads(value)
    except ValueError:
        config[path[-1]] = value


def fixed(value: Any) -> Any:
    """A range that nobody chose from is its first value: by hand the project runs without a sweep."""
    if not isinstance(value, dict):
        return value
    chosen = next((value[kind][0] for kind in RANGES if kind in value), None)
    return {key: fixed(inner) for key, inner in value.items()} if chosen is None else chosen
