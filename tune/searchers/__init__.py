"""What to try next. `SEARCHERS` maps the name in a YAML file to the class whose fields are its options."""

from typing import Any

from tune.searchers.auto import Auto
from tune.searchers.bohb import Bohb
from tune.searchers.model_free import Grid, Random
from tune.searchers.tpe import Tpe

SEARCHERS: dict[str, type[Any]] = {
    "auto": Auto,
    "grid": Grid,
    "random": Random,
    "tpe": Tpe,
    "bohb": Bohb,
}

__all__ = ["SEARCHERS", "Auto", "Bohb", "Grid", "Random", "Tpe"]
