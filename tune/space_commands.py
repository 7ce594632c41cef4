"""The command that gives parameters other ranges, for what is proposed from now on."""

from __future__ import annotations

from raysweep.errors import did_you_mean
from raysweep.search_spaces.language.changes import (
    ChangeError,
    changed,
    check_not_empty,
    read_change,
)
from raysweep.search_spaces.language.points import describe
from raysweep.search_spaces.language.space import Space
from raysweep.text_limits import message
from raysweep.tune.command_checks import Accepted, Arguments, Refused
from raysweep.tune.controller import SweepController
from raysweep.tune.searchers.random_grid import Grid


def change(controller: SweepController, arguments: Arguments) -> Accepted:
    """Check `set space.lr=1e-4..1e-2`."""
    given, space = arguments["space"], controller.sweep.space
    if not isinstance(given, dict) or not given:
        raise Refused("space: expected parameters with their ranges")
    for name in given:
        if name not in space.params:
            known = did_you_mean(name, space.params)
            raise Refused(f"space.{message(str(name))}: there is no such parameter{known}")
    try:
        changes = {name: read_change(name, space.params[name], given[name]) for name in given}
        new = changed(space, changes)
    except ChangeError as error:
        raise Refused(message(f"space.{error}")) from None
    try:
        check_not_empty(new)
    except ChangeError as error:
        raise Refused(f"space: {error}") from None
    _check_searchers(controller, new)
    shown = "; ".join(f"{name} is {describe(new.params[name])}" for name in changes)
    return Accepted({"space": changes}, f"from now on {shown}")


def _check_searchers(controller: SweepController, space: Space) -> None:
    """Raise Refused if a searcher cannot search the space from now on."""
    for study in controller.studies.values():
        if isinstance(study.searcher, Grid):
            raise Refused(f"{study.name}: the cells of a grid are fixed when the sweep begins")
        check = getattr(study.searcher, "check_space", None)
        if check is None:
            continue
        try:
            check(space)
        except ValueError as error:
            raise Refused(f"{study.name}: {error}") from None
