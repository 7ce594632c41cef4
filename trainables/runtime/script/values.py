"""How a value is written in the words of a command line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

Style = Literal["json", "python", "hydra"]
_UNQUOTED = re.compile(r"[A-Za-z_/.][A-Za-z0-9_/.:+%@-]*")
"""Text that Hydra's grammar of overrides reads as text without quotes, unless it is one of:"""
_OTHER_IN_HYDRA = {"true", "false", "null", "nan", "inf"}


def text(value: Any, style: Style) -> str:
    """A value as text. Text itself is written as it is; for Hydra in quotes where it needs them."""
    if style == "hydra":
        return _hydra(value)
    if isinstance(value, str):
        return value
    if style == "python":
        return str(value)
    return json.dumps(value, ensure_ascii=False)


def word(value: Any, style: Style) -> str:
    """A value as a word of its own. A negative number is written without an exponent.

    argparse takes `-1e-05` for an option, and `-0.00001` for a number.
    """
    said = text(value, style)
    if not isinstance(value, float) or value >= 0 or "e" not in said:
        return said
    digits = f"{Decimal(said):f}"
    return digits if "." in digits else f"{digits}.0"


def _hydra(value: Any) -> str:
    if isinstance(value, str):
        return _hydra_text(value)
    if isinstance(value, list):
        return f"[{','.join(_hydra(part) for part in value)}]"
    if isinstance(value, Mapping):
        pairs = (f"{name}:{_hydra(part)}" for name, part in value.items())
        return f"{{{','.join(pairs)}}}"
    return json.dumps(value)


def _hydra_text(value: str) -> str:
    """A text as Hydra reads it back: in single quotes, unless it is plain."""
    if _UNQUOTED.fullmatch(value) and value.lower() not in _OTHER_IN_HYDRA:
        return value
    # In quotes, a backslash is one unless it stands before a quote, the closing one included.
    escaped = re.sub(r"(\\*)'", lambda found: found[1] * 2 + "\\'", value)
    escaped = re.sub(r"\\+$", lambda found: found[0] * 2, escaped)
    return f"'{escaped}'"
