"""When to stop. `SCHEDULERS` maps the name in a YAML file to the class whose fields are its options."""

from typing import Any

from raysweep.schedulers.asha import Asha
from raysweep.schedulers.median import Median
from raysweep.schedulers.no_stopping import NoStopping
from raysweep.schedulers.promotion import Promotion

SCHEDULERS: dict[str, type[Any]] = {
    "promotion": Promotion,
    "asha": Asha,
    "median": Median,
    "none": NoStopping,
}

__all__ = ["SCHEDULERS", "Asha", "Median", "NoStopping", "Promotion"]
