"""When to stop. `SCHEDULERS` maps the name in a YAML file to the class whose fields are its options."""

from typing import Any

from schedulers.asha import Asha
from schedulers.median import Median
from schedulers.none import Never
from schedulers.promotion import Promotion

SCHEDULERS: dict[str, type[Any]] = {
    "promotion": Promotion,
    "asha": Asha,
    "median": Median,
    "none": Never,
}

__all__ = ["SCHEDULERS", "Asha", "Median", "Never", "Promotion"]
