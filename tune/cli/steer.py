"""The verbs that steer a sweep: stop, pause, enqueue, extend, continue, retry, set, note, tag,
withdraw."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.errors import UserError
from raysweep.report_interval import UNITS
from raysweep.tune.cli.arguments import RUN, Verbs, find_run

if TYPE_CHECKING:
    from raysweep.results.storage.run_directory import RunDirectory

TITLE = "steer a sweep, running or not"
Arguments = dict[str, Any]
FROM_FILE = "--file"
SPACE = "space."
"""What the name of a parameter follows whose range is set."""


class SteeringError(UserError):
    """Words of the command line that are no command, in one line."""


def add(verbs: Verbs) -> None:
    _add_ends(verbs)
    _add_trials(verbs)
    _add_budget(verbs)
    _add_words(verbs)
    _add_withdraw(verbs)


def _add_ends(verbs: Verbs) -> None:
    stop = _verb(verbs, "stop", "stop a sweep, which can be resumed, or one trial", _stop)
    stop.add_argument("trial", nargs="?", help="as in the tables: bohb-7; without it, the sweep")
    stop.add_argument("--now", action="store_true", help="do not let running epochs end")
    stop.epilog = "examples:\n  $ raysweep stop ray_results/cnn\n  $ raysweep stop cnn bohb-7 --now"
    _verb(verbs, "pause", "let running epochs end and give the devices back", _nothing)


def _add_trials(verbs: Verbs) -> None:
    more = _verb(verbs, "continue", "train one trial longer, or on with other parameters", _longer)
    more.add_argument("trial", help="as in the tables: bohb-7")
    more.add_argument(
        "values",
        nargs="+",
        metavar="NAME=VALUE",
        help="how far to train it, in the sweep's unit: epochs=27, steps=30000; and parameters "
        "that change: then a new trial begins with the checkpoint of this one",
    )
    more.epilog = (
        "examples:\n  $ raysweep continue cnn bohb-7 epochs=27\n"
        "  $ raysweep continue gpt random-3 steps=30000\n"
        "  $ raysweep continue cnn bohb-7 lr=0.001 epochs=27"
    )
    retry = _verb(verbs, "retry", "run a trial again that failed or ran out of memory", _one_trial)
    retry.add_argument("trial", help="as in the tables: bohb-7")
    enqueue = _verb(verbs, "enqueue", "train these configurations next", _configurations)
    enqueue.add_argument("values", nargs="*", metavar="NAME=VALUE", help="one configuration")
    enqueue.add_argument(
        FROM_FILE, type=Path, help="a YAML or JSON file with a configuration, or a list of them"
    )
    enqueue.add_argument(
        "--study", help="which searcher's study gets them (default: the one behind)"
    )
    enqueue.epilog = (
        "examples:\n  $ raysweep enqueue cnn lr=0.01 width=64\n"
        "  $ raysweep enqueue cnn --file ray_results/yesterday/best/config.yaml"
    )


def _add_budget(verbs: Verbs) -> None:
    extend = _verb(verbs, "extend", "let a sweep train more", _limits)
    extend.add_argument(
        "limits",
        nargs="+",
        metavar="NAME=LIMIT",
        help="trials=+50, epochs=27 (of each trial), total_epochs=900, time=+2h",
    )
    extend.epilog = (
        "examples:\n  $ raysweep extend cnn trials=+50\n  $ raysweep extend cnn epochs=27\n"
        "  $ raysweep extend gpt total_steps=+500000\n  $ raysweep extend cnn time=12h"
    )
    change = _verb(verbs, "set", "change how many trials train at once, or a range", _settings)
    change.add_argument(
        "settings",
        nargs="+",
        metavar="NAME=VALUE",
        help="parallel=2, parallel=auto, space.lr=1e-4..1e-2, space.act=relu,gelu",
    )
    change.epilog = (
        "Trials beyond a lower number finish their epoch, and continue later. Another range counts "
        "for what is\nproposed from now on.\n\nexamples:\n  $ raysweep set cnn parallel=2\n"
        "  $ raysweep set cnn space.lr=1e-4..1e-2"
    )


def _add_words(verbs: Verbs) -> None:
    note = _verb(verbs, "note", "attach a text to a sweep, or to a trial", _text)
    note.add_argument("said", nargs="+", metavar="[TRIAL] TEXT", help="the text, after a trial")
    note.epilog = (
        "examples:\n  $ raysweep note cnn 'new data'\n  $ raysweep note cnn bohb-7 'looks odd'"
    )
    tag = _verb(verbs, "tag", "tag a sweep, or a trial", _tags)
    tag.add_argument("said", nargs="+", metavar="[TRIAL] TAG", help="the tags, after a trial")
    tag.add_argument("--remove", action="store_true", help="take these tags away")
    tag.epilog = (
        "examples:\n  $ raysweep tag cnn baseline paper\n  $ raysweep tag cnn paper --remove"
    )


def _add_withdraw(verbs: Verbs) -> None:
    back = _verb(verbs, "withdraw", "take a command back that waits for a session", _id)
    back.add_argument("id", help="as raysweep status shows it, or the beginning of it")
    back.epilog = "examples:\n  $ raysweep withdraw cnn 3f2a90c1"


def _verb(
    verbs: Verbs, name: str, text: str, read: Callable[[argparse.Namespace], Arguments]
) -> argparse.ArgumentParser:
    """The parser of a verb whose arguments `read` turns into those of the command."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", help=RUN)
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    parser.set_defaults(verb=steer, command=name, read=read)
    return parser


def steer(options: argparse.Namespace) -> int:
    """Give a command, and print what became of it. Exit code 2 if it is refused."""
    from raysweep.formatting import clean
    from raysweep.results.storage.inbox import CommandError
    from raysweep.tune.steer import give

    run = find_run(options.run)
    options.found, options.trials = run, {trial.id for trial in run.all_trials()}
    try:
        answer = give(run, options.command, options.read(options))
    except CommandError as error:
        if not options.json:
            raise
        print(json.dumps({"outcome": "refused", "text": str(error)}))
        return error.exit_code
    if options.json:
        print(json.dumps({"id": answer.id, "outcome": answer.outcome, "text": answer.text}))
    else:
        print(clean(answer.text))
    return 0


def _nothing(options: argparse.Namespace) -> Arguments:
    return {}


def _one_trial(options: argparse.Namespace) -> Arguments:
    return {"trial": options.trial}


def _id(options: argparse.Namespace) -> Arguments:
    return {"withdrawn": options.id}


def _stop(options: argparse.Namespace) -> Arguments:
    trial = {} if options.trial is None else {"trial": options.trial}
    return trial | {"now": options.now}


def _longer(options: argparse.Namespace) -> Arguments:
    """A length, and parameters. A parameter may have the name of a unit that is not the sweep's."""
    run = options.found
    parameters = run.sweep.get("space") or {}
    units = {name for name in UNITS if name == run.interval.unit or name not in parameters}
    given = pairs(options.values)
    changes = {name: value for name, value in given.items() if name not in units}
    length = {name: value for name, value in given.items() if name in units}
    return {"trial": options.trial} | length | ({"config": changes} if changes else {})


def _configurations(options: argparse.Namespace) -> Arguments:
    if bool(options.values) == bool(options.file):
        raise SteeringError("enqueue: expected NAME=VALUE ..., or --file FILE")
    given = [pairs(options.values)] if options.values else read_configurations(options.file)
    study = {} if options.study is None else {"study": options.study}
    return {"configurations": given} | study


def _limits(options: argparse.Namespace) -> Arguments:
    return _once(options.limits)


def _settings(options: argparse.Namespace) -> Arguments:
    """`parallel`, and the ranges whose names begin with `space.`."""
    given = pairs(options.settings)
    ranges = {
        name.removeprefix(SPACE): value for name, value in given.items() if name.startswith(SPACE)
    }
    others = {name: value for name, value in given.items() if not name.startswith(SPACE)}
    return others | ({"space": ranges} if ranges else {})


def _text(options: argparse.Namespace) -> Arguments:
    about, words = _about(options)
    return about | {"text": " ".join(words)}


def _tags(options: argparse.Namespace) -> Arguments:
    about, words = _about(options)
    return about | {"tags": words, "remove": options.remove}


def _about(options: argparse.Namespace) -> tuple[Arguments, list[str]]:
    """The trial that the first word names, if it is followed by others; and the other words."""
    first, *rest = options.said
    if rest and (first in options.trials or _looks_like_trial(first, options.found)):
        return {"trial": first}, rest
    return {}, options.said


def _looks_like_trial(word: str, run: RunDirectory) -> bool:
    """True of a name that a trial of a run might have. If none has it, the command is refused."""
    study, _, number = word.replace("_", "-").rpartition("-")
    return number.isdecimal() and study in run.histories


def pairs(words: list[str]) -> Arguments:
    """`name=value` words as a mapping; values are read as YAML. Raises UserError."""
    from raysweep.search_spaces.file.document import parse

    return {
        name: parse(value, name).data if value.strip() else None
        for name, value in _once(words).items()
    }


def _once(words: list[str]) -> dict[str, str]:
    """`name=value` words as a mapping of texts, each name once. Raises SteeringError."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise SteeringError(f"'{word}': expected NAME=VALUE")
        if name in found:
            raise SteeringError(f"{name} is given twice: {name}={found[name]} and {word}")
        found[name] = value
    return found


def read_configurations(path: Path) -> list[Mapping[str, Any]]:
    """The configurations of a YAML or JSON file, which holds one or a list. Raises UserError."""
    from raysweep.search_spaces.file.document import parse
    from raysweep.search_spaces.file.reader import text_of

    data = parse(text_of(path, str(path)), str(path)).data
    found = data if isinstance(data, list) else [data]
    if not found or not all(isinstance(config, dict) for config in found):
        raise SteeringError(f"{path}: expected a configuration, or a list of them")
    return found
