"""The verbs of `raysweep`. Each reads its arguments, calls the module that does the work, and prints what comes back."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING

from raysweep.errors import UserError
from raysweep.tune.cli import analyse as verbs_of_results

if TYPE_CHECKING:
    from raysweep.tune.sweep import Sweep

MOST_LISTED = 30
UNCUT = 100_000
"""The width of what is no terminal."""


def place(text: str) -> Path | str:
    """A folder as a path; object storage as its URL."""
    return text if "://" in text else Path(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code: 0 good, 2 a mistake in the input, 3 no trial succeeded, 4 interrupted, 1 a bug."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not every terminal can show every letter
            stream.reconfigure(errors="backslashreplace")
    options = parser().parse_args(arguments)
    options.arguments = arguments[1:]
    try:
        code: int = options.verb(options)
    except KeyboardInterrupt:
        return 4
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except UserError as error:
        from raysweep.formatting import clean

        print(f"raysweep: {clean(str(error))}", file=sys.stderr)
        return error.exit_code
    return code


def parser() -> argparse.ArgumentParser:
    """Everything that can be said on the command line."""
    top = argparse.ArgumentParser(
        prog="raysweep", description="Hyperparameter tuning for PyTorch on Ray."
    )
    verbs = top.add_subparsers(title="verbs", required=True, metavar="VERB")
    _add_run(
        verbs.add_parser(
            "run",
            help="run a sweep, or resume one",
            description="Run the sweep that a YAML file describes.",
        )
    )
    ls = verbs.add_parser(
        "ls",
        help="list runs, or the trials of one",
        description="List runs, or the trials of one, best first.",
    )
    ls.add_argument(
        "run",
        nargs="?",
        type=place,
        default=place(os.environ.get("RAYSWEEP_STORAGE", "ray_results")),
        help="a run folder, or a folder of them (default: $RAYSWEEP_STORAGE, or ray_results)",
    )
    ls.add_argument(
        "--all", action="store_true", help=f"all trials, not only the best {MOST_LISTED}"
    )
    ls.set_defaults(verb=list_runs)
    best = verbs.add_parser(
        "best",
        help="the best configuration of a run",
        description="Show the best configuration of a run.",
    )
    best.add_argument("run", help="a run folder")
    best.set_defaults(verb=show_best)
    show = verbs.add_parser(
        "show",
        help="one trial: its configuration, its curve, its error",
        description="Show one trial.",
    )
    show.add_argument("run", help="a run folder")
    show.add_argument("trial", help="as in the tables: bohb-7")
    show.set_defaults(verb=show_trial)
    again = verbs.add_parser(
        "replay",
        help="train one trial again and compare the numbers",
        description="Train one trial again.",
    )
    again.add_argument("run", help="a run folder")
    again.add_argument("trial", help="as in the tables: bohb-7")
    again.set_defaults(verb=replay_trial)
    export = verbs.add_parser(
        "export",
        help="write the best model into a folder of its own",
        description="Export the best epoch's model.",
    )
    export.add_argument("run", help="a run folder")
    export.add_argument("--out", type=Path, help="where to (default: best/ in the run folder)")
    export.set_defaults(verb=export_best)
    cluster = verbs.add_parser(
        "check-cluster",
        help="look for mistakes in the file that ray up reads",
        description="Check a cluster file.",
    )
    cluster.add_argument("file", help="cluster.yaml")
    cluster.set_defaults(verb=check_cluster)
    text = "Print a file of W&B, Determined, NNI, Katib or pytorch-template as YAML of raysweep."
    convert = verbs.add_parser(
        "convert", help="print a sweep file of another tool as ours", description=text
    )
    convert.add_argument("file", help="what --space takes too, without being converted first")
    convert.set_defaults(verb=convert_file)
    text = "List the sweeps that were sent to a cluster with --submit; with JOB: follow one, and end with its exit code."
    ray_jobs = verbs.add_parser("jobs", help="sweeps that were sent to a cluster", description=text)
    ray_jobs.add_argument("job", nargs="?", metavar="JOB", help="follow this one")
    ray_jobs.add_argument(
        "--at",
        metavar="URL",
        default="http://127.0.0.1:8265",
        help="the cluster's dashboard (default: %(default)s)",
    )
    ray_jobs.add_argument(
        "--stop", action="store_true", help="stop it, once its running epochs have ended"
    )
    ray_jobs.set_defaults(verb=show_jobs)
    verbs_of_results.add(verbs)
    return top


def _add_run(run: argparse.ArgumentParser) -> None:
    run.add_argument(
        "--space", metavar="FILE", help="the YAML file, or the name of one that ships with raysweep"
    )
    run.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="override a key of the file: --set budget.trials=5",
    )
    many = run.add_mutually_exclusive_group()
    many.add_argument(
        "--seeds",
        metavar="N",
        type=verbs_of_results.count,
        help="run every searcher with N search seeds, for a comparison",
    )
    many.add_argument(
        "--record",
        metavar="N",
        type=verbs_of_results.count,
        help="train N configurations to the end, for raysweep simulate",
    )
    run.add_argument(
        "--dry-run",
        action="store_true",
        help="show the resolved file and the first configurations; train nothing",
    )
    run.add_argument(
        "--resume",
        metavar="RUN",
        nargs="?",
        const="",
        help="go on with a run, by its name, path or URL; --space is not needed then "
        "(default: the newest run of --space)",
    )
    run.add_argument(
        "--retry-failed",
        action="store_true",
        help="with --resume: run again what failed or ran out of memory",
    )
    run.add_argument(
        "--accept-changes",
        action="store_true",
        help="with --resume: go on although the train function's code changed since",
    )
    run.add_argument("--name", help="the run folder's name (default: the file's name and the time)")
    storage = place(os.environ.get("RAYSWEEP_STORAGE", "ray_results"))
    text = "where run folders go: a folder, s3://..., gs://... (default: $RAYSWEEP_STORAGE, or ray_results)"
    run.add_argument("--storage", type=place, default=storage, help=text)
    run.add_argument("--data-root", type=Path, help="where data sets lie, or are downloaded to")
    run.add_argument("--address", help="join a running Ray cluster: auto, or host:port")
    run.add_argument(
        "--submit",
        metavar="URL",
        help="send the sweep, with this folder, to the cluster whose dashboard is there, and follow it",
    )
    run.add_argument(
        "--require-gpu",
        action="store_true",
        help="an error where there is no GPU, instead of running on the CPU",
    )
    run.add_argument(
        "--isolate",
        action="store_true",
        help="have each trial import everything itself: for libraries that do not survive a fork",
    )
    run.add_argument("--json", action="store_true", help="print events as JSON lines")
    run.set_defaults(verb=run_sweep)


def run_sweep(options: argparse.Namespace) -> int:
    """`raysweep run`, which is `run_sweep.py`."""
    if options.space is None and not options.resume:
        return _usage("--space FILE is needed, or --resume RUN")
    if options.data_root is not None:
        os.environ["RAYSWEEP_DATA_ROOT"] = str(options.data_root.resolve())
    if options.space is None and options.submit is not None:
        return _submit(options)  # only the cluster can read the run's file
    place, sweep = _specified(options)
    if options.require_gpu and not (sweep.resources.gpu or sweep.resources.auto_gpu):
        return _usage("--require-gpu, but resources.gpu is 0: no trial asks for a GPU")
    from raysweep.trainables.runtime.import_trainable import check

    check(sweep.trainable)
    if options.dry_run:
        from rich.console import Console

        from raysweep.tune.cli.dry_run import preview

        Console(highlight=False, soft_wrap=True).print(preview(sweep))
        return 0
    if options.submit is not None:
        return _submit(options)
    if options.resume is None:
        return _start(options, sweep, _new_folder(options, sweep))
    return _resume(options, sweep, place or _old_folder(options, sweep))


def _specified(options: argparse.Namespace) -> tuple[Path | None, Sweep]:
    """The sweep: of the file that --space names, else of the run folder to resume, which comes first then."""
    from raysweep.tune import run_folders
    from raysweep.tune.load import load_run_sweep, load_sweep

    overrides = [*_overrides(options), *options.set]
    if options.space is not None:
        return None, load_sweep(options.space, overrides)
    place = run_folders.resumed_anywhere(options.storage, "", options.resume)
    return place, load_run_sweep(place, overrides)


def _new_folder(options: argparse.Namespace, sweep: Sweep) -> Path:
    from raysweep.tune import run_folders

    stem = Path(options.space).stem
    return run_folders.begin_anywhere(options.storage, stem, options.name or sweep.name)


def _old_folder(options: argparse.Namespace, sweep: Sweep) -> Path:
    from raysweep.tune import run_folders

    stem = sweep.name or Path(options.space).stem
    return run_folders.resumed_anywhere(options.storage, stem, options.resume)


def _overrides(options: argparse.Namespace) -> list[str]:
    """What --seeds and --record change in the file."""
    if options.record is not None:
        from raysweep.tune.offline.recorded_curves import overrides

        return overrides(options.record)
    return [f"seeds={options.seeds}"] if options.seeds is not None else []


def _submit(options: argparse.Namespace) -> int:
    """Send the sweep to a cluster and follow it there."""
    from raysweep.tune.cluster import ray_jobs

    name = ray_jobs.submit(options.submit, options.arguments, Path.cwd())
    print(
        f"sent as {name}; to follow it again: raysweep jobs {name} --at {options.submit}",
        flush=True,
    )
    return _follow(options.submit, name)


def _follow(url: str, name: str) -> int:
    from raysweep.tune.cluster import ray_jobs

    try:
        return ray_jobs.follow(url, name, lambda text: print(text, end="", flush=True))
    except KeyboardInterrupt:
        print(
            f"\n{name} goes on; to follow it again: raysweep jobs {name} --at {url}; to stop it: raysweep jobs {name} --at {url} --stop"
        )
        return 0


def show_jobs(options: argparse.Namespace) -> int:
    """`raysweep jobs`."""
    from raysweep.tune.cluster import ray_jobs

    if options.job is None:
        for line in ray_jobs.listed(options.at):
            print("  ".join(line))
        return 0
    if options.stop:
        print(f"{options.job} {ray_jobs.stop(options.at, options.job)}")
        return 0
    return _follow(options.at, options.job)


def _resume(options: argparse.Namespace, sweep: Sweep, place: Path) -> int:
    """Go on with a run, unless it is finished: then say so, without starting Ray."""
    from raysweep.results.storage import ledger
    from raysweep.tune import code_changes, run_folders, session
    from raysweep.tune.cli.summary import finished, show_finished

    run_folders.check_unchanged(place, sweep)
    past = ledger.read(place)
    controller = session.former(sweep, past, options.retry_failed)
    if finished(place, controller):
        resume_command = partial(_resume_command, options, place)
        show_finished(
            place, controller, session.exit_code(controller), options.json, resume_command
        )
        return session.exit_code(controller)
    code_changes.check(place, controller, past, options.accept_changes)
    return _start(options, sweep, place)


def _start(options: argparse.Namespace, sweep: Sweep, place: Path) -> int:
    """Run a sweep, or the rest of one, in its folder."""
    from raysweep.tune import run_folders, session
    from raysweep.tune.callbacks.screen import observer
    from raysweep.tune.cli.summary import finish
    from raysweep.tune.executors.ray.executor import Machines

    resume = _resume_command(options, place)
    how = session.Options(
        Machines(options.address, options.isolate),
        options.require_gpu,
        options.retry_failed,
        resume,
    )
    watcher = observer(place.name, options.json)
    try:
        code = session.run(sweep, place, how, watcher)
    except KeyboardInterrupt:
        code = session.INTERRUPTED
    except UserError:
        if options.resume is None:
            run_folders.discard(place)
        raise
    finish(place, code, options.json, resume)
    return code


def _resume_command(options: argparse.Namespace, place: Path, *more: str) -> str:
    from raysweep.tune.cli import resume_command

    return resume_command.resume(options, resume_command.place_of(place), *more)


def convert_file(options: argparse.Namespace) -> int:
    """`raysweep convert`."""
    from raysweep.search_spaces.convert.convert_file import convert
    from raysweep.tune.load import check_components

    print(convert(options.file, check_components), end="")
    return 0


def list_runs(options: argparse.Namespace) -> int:
    """`raysweep ls`. Into a pipe or a file, lines are as long as they are."""
    from raysweep.results.storage.run_directory import load, runs_below
    from raysweep.results.views.listing import runs, trials

    width = get_terminal_size((UNCUT, 0)).columns  # COLUMNS counts anywhere
    if inside := runs_below(options.run):
        _print(runs([load(one) for one in inside], width), width)
    else:
        limit = None if options.all else MOST_LISTED
        _print(trials(load(options.run), limit, width, cut=width < UNCUT), width)
    return 0


def show_trial(options: argparse.Namespace) -> int:
    """`raysweep show`."""
    from raysweep.results.storage.run_directory import load
    from raysweep.results.views.terminal import show

    _print(show(load(options.run), options.trial))
    return 0


def show_best(options: argparse.Namespace) -> int:
    """`raysweep best`."""
    from raysweep.results.storage.run_directory import load
    from raysweep.results.views.terminal import best

    _print(best(load(options.run)))
    return 0


def export_best(options: argparse.Namespace) -> int:
    """`raysweep export`."""
    from raysweep.results.export import export
    from raysweep.results.storage.mirror import display_path, upload
    from raysweep.results.storage.run_directory import load

    run = load(options.run)
    exported = export(run, options.out)
    upload(run.path)
    print(f"{display_path(exported.folder)}: {exported.message}")
    return 0


def check_cluster(options: argparse.Namespace) -> int:
    """`raysweep check-cluster`. Exit code 2 where something is wrong."""
    from raysweep.tune.cluster.lint import check

    try:
        problems = check(options.file)
    except OSError as error:
        print(f"raysweep: {options.file} cannot be read: {error.strerror}", file=sys.stderr)
        return 2
    for problem in problems:
        print(f"{options.file}:{problem.line}: {problem.message}")
    if not problems:
        print(f"{options.file}: nothing wrong")
    return 2 if problems else 0


def replay_trial(options: argparse.Namespace) -> int:
    """`raysweep replay`. Exit code 1 where a number differs."""
    from raysweep.results.storage.run_directory import load

    run = load(options.run)
    os.environ.setdefault(
        "OMP_NUM_THREADS", str(max(1, int(run.sweep.get("resources", {}).get("cpu", 1))))
    )
    from raysweep.tune.reproduce import replay

    epochs = replay(run, options.trial)
    for epoch in epochs:
        values = "  ".join(
            f"{name} {epoch.recorded[name]!r} {epoch.again.get(name)!r}" for name in epoch.recorded
        )
        print(f"epoch {epoch.epoch}: {values}")
    worst = max(epoch.difference for epoch in epochs)
    print(f"{options.trial}: {len(epochs)} epochs trained again, largest difference {worst:g}")
    return 0 if worst == 0 else 1


def _print(content: object, width: int | None = None) -> None:
    from rich.console import Console

    Console(highlight=False, width=width).print(content)


def _usage(text: str) -> int:
    print(f"raysweep run: {text}; see raysweep run --help", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
