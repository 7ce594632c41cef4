"""Schedulers decide when trials stop.

`SCHEDULERS` maps the name in a YAML file to the class whose fields are the scheduler's options.
"""

from typing import Any

from raysweep.schedulers.asha import Asha
from raysweep.schedulers.median import Median
from raysweep.schedulers.no_stopping import NoStopping

SCHEDULERS: dict[str, type[Any]] = {
    "asha": Asha,
    "median": Median,
    "none": NoStopping,
}

__all__ = ["SCHEDULERS", "Asha", "Median", "NoStopping"]
