"""What to try next. `SEARCHERS` maps the name in a YAML file to the class whose fields are its options."""

from typing import Any

from raysweep.tune.searchers.bohb import Bohb
from raysweep.tune.searchers.gp import Auto
from raysweep.tune.searchers.random_grid import Grid, Random
from raysweep.tune.searchers.tpe import Tpe

SEARCHERS: dict[str, type[Any]] = {
    "auto": Auto,
    "grid": Grid,
    "random": Random,
    "tpe": Tpe,
    "bohb": Bohb,
}

__all__ = ["SEARCHERS", "Auto", "Bohb", "Grid", "Random", "Tpe"]
