"""The verb that runs a sweep, or resumes one: `raysweep run`, which is `run_sweep.py`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from raysweep.errors import UserError
from raysweep.tune.cli.arguments import Verbs, count, place, storage
from raysweep.tune.cli.cluster import submit

if TYPE_CHECKING:
    from raysweep.tune.cli.sweep_source import Source
    from raysweep.tune.sweep import Sweep

EXAMPLES = """\
examples:
  raysweep run --space sweep.yaml
  raysweep run train.py --param lr=1e-5..1e-1:log --param batch-size=32,64,128 \\
      --metric val_acc:max --trials 20 --epochs 9
  raysweep run main.py --param lr=1e-4..1e-2:log --metric loss:min --trials 20 -- --data ./data

what --param takes:
  lr=1e-5..1e-1:log      a range on a log scale; the ends are included
  layers=2..8            whole numbers, if both ends are written as such
  width=16..256:16       with steps
  momentum=0.5..0.99:reverse       a log scale of the distance to 1
  batch-size=32,64,128   numbers have an order, unless :choice follows
  act=relu,gelu          values without an order, unless :ordinal follows
  decay=0,1e-6..1e-2:log           a range, or a value outside of it
  seed=1                 a constant
  'm={float: [0, 0.9], when: {opt: sgd}}'   as in the file
"""


TITLE = "run a sweep"


def add(verbs: Verbs) -> None:
    run = verbs.add_parser(
        "run",
        help="run a sweep, or resume one",
        description="Run the sweep that a YAML file describes, or the options beside a program.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_what(run)
    _add_one_line(run)
    _add_resume(run)
    run.add_argument(
        "--or-resume",
        action="store_true",
        help="with --name: resume the run of that name if there is one, for jobs that a queue "
        "starts again",
    )
    _add_continuing(run)
    _add_where(run)
    run.set_defaults(verb=run_sweep, sent_verb="run")
    resume = verbs.add_parser(
        "resume",
        help="continue a sweep that ended, was interrupted or is paused",
        description="Continue a sweep: one that runs but is paused, or one whose session ended, "
        "as raysweep run --resume does.",
    )
    resume.add_argument("resume", metavar="RUN", help="its name, path or URL")
    _add_changes(resume)
    _add_continuing(resume)
    _add_where(resume)
    resume.set_defaults(verb=resume_sweep, sent_verb="resume", dry_run=False)
    resume.set_defaults(space=None, seeds=None, record=None, or_resume=False)
    resume.set_defaults(program=None, param=[], metric=None, trials=None, epochs=None, save=None)


def _add_what(run: argparse.ArgumentParser) -> None:
    """The options that say what the sweep is."""
    run.add_argument(
        "--space", metavar="FILE", help="the YAML file, or the name of one that ships with raysweep"
    )
    _add_changes(run)
    many = run.add_mutually_exclusive_group()
    many.add_argument(
        "--seeds",
        metavar="N",
        type=count,
        help="run every searcher with N search seeds, for a comparison",
    )
    many.add_argument(
        "--record",
        metavar="N",
        type=count,
        help="train N configurations to the end, for raysweep simulate",
    )
    run.add_argument(
        "--dry-run",
        action="store_true",
        help="show the resolved file and the first configurations; train nothing",
    )


def _add_changes(run: argparse.ArgumentParser) -> None:
    """The options that change what a file, new or of a run, says."""
    run.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="override a key of the file: --set budget.trials=5",
    )
    run.add_argument(
        "--enqueue",
        metavar="FILE",
        type=Path,
        help="train the configurations of this YAML or JSON file first",
    )
    run.add_argument(
        "--debug",
        action="store_true",
        help="train one trial after another in this process, without Ray: for breakpoints and "
        "profilers; the first trial that fails raises its exception",
    )


def _add_one_line(run: argparse.ArgumentParser) -> None:
    """The options that say what the sweep of a program is, without a file."""
    run.add_argument(
        "program",
        nargs="?",
        metavar="PROGRAM",
        help="a script or train function to tune without a file: train.py, train.py:train, "
        "package.module:train; or the YAML file",
    )
    run.add_argument(
        "--param",
        metavar="NAME=VALUES",
        action="append",
        default=[],
        help="a parameter and what is tried, as below; of a file, in the place of the file's own",
    )
    run.add_argument(
        "--metric",
        metavar="NAME:max|min",
        help="what is optimized: --metric val_acc:max",
    )
    run.add_argument("--trials", metavar="N", type=count, help="how many configurations are tried")
    run.add_argument(
        "--epochs",
        metavar="N",
        type=count,
        help="epochs of a trial (default: as many as the script trains by itself)",
    )
    run.add_argument(
        "--save", metavar="FILE", type=Path, help="write the YAML file that these options mean"
    )


def _add_resume(run: argparse.ArgumentParser) -> None:
    run.add_argument(
        "--resume",
        metavar="RUN",
        nargs="?",
        const="",
        help="continue a run, by its name, path or URL; --space is not needed then "
        "(default: the newest run of --space)",
    )


def _add_continuing(run: argparse.ArgumentParser) -> None:
    run.add_argument(
        "--retry-failed",
        action="store_true",
        help="with --resume: run again what failed or ran out of memory",
    )
    run.add_argument(
        "--accept-changes",
        action="store_true",
        help="with --resume: continue although the train function's code changed since",
    )


def _add_where(run: argparse.ArgumentParser) -> None:
    """The options that say where the sweep runs, and where its files go."""
    run.add_argument(
        "--name", help="the run directory's name (default: the file's name and the time)"
    )
    run.add_argument(
        "--storage",
        type=place,
        default=storage(),
        help="where run directories go: a folder, s3://..., gs://... "
        "(default: $RAYSWEEP_STORAGE, or ray_results)",
    )
    run.add_argument("--data-root", type=Path, help="where data sets lie, or are downloaded to")
    run.add_argument("--address", help="join a running Ray cluster: auto, or host:port")
    run.add_argument(
        "--wait-for-nodes",
        metavar="N",
        type=count,
        default=1,
        help="with --address: wait up to two minutes until the cluster has N nodes",
    )
    run.add_argument(
        "--submit",
        metavar="URL",
        help="send the sweep, with this folder, to the cluster whose dashboard is there, "
        "and follow it",
    )
    run.add_argument(
        "--require-gpu",
        action="store_true",
        help="end with an error if there is no GPU, instead of running on the CPU",
    )
    run.add_argument(
        "--isolate",
        action="store_true",
        help="have each trial import everything itself: for libraries that do not survive a fork",
    )
    run.add_argument("--json", action="store_true", help="print events as JSON lines")


def run_sweep(options: argparse.Namespace) -> int:
    """`raysweep run`."""
    with said_if_interrupted():
        return _run_sweep(options)


def _run_sweep(options: argparse.Namespace) -> int:
    from raysweep.tune.cli.sweep_source import settle, source

    settle(options)
    if options.space is None and options.program is None and not options.resume:
        return _usage("a file is needed (--space FILE), a program with --param, or --resume RUN")
    if options.debug and (options.address or options.submit or options.isolate):
        return _usage("--debug trains in this process, without --address, --submit and --isolate")
    if options.wait_for_nodes > 1 and options.address is None:
        return _usage("--wait-for-nodes is for a cluster, which --address names")
    if options.data_root is not None:
        os.environ["RAYSWEEP_DATA_ROOT"] = str(options.data_root.resolve())
    is_named = options.space is not None or options.program is not None
    if options.submit is not None and not is_named:
        return submit(options)  # only the cluster can read the run's file
    found = source(options, _overrides(options))
    sweep = found.sweep
    if options.require_gpu and not (sweep.resources.gpu or sweep.resources.auto_gpu):
        return _usage("--require-gpu, but resources.gpu is 0: no trial asks for a GPU")
    from raysweep.trainables.runtime.import_trainable import check

    check(sweep.trainable, sweep.space.keys)
    if options.dry_run:
        from rich.console import Console

        from raysweep.tune.cli.dry_run import preview
        from raysweep.tune.recall import previewed

        if options.resume is None:
            sweep = previewed(sweep, options.storage)
        Console(highlight=False, soft_wrap=True).print(preview(sweep))
        return 0
    if options.submit is not None:
        return submit(options)
    if options.or_resume and options.resume is None:
        return _start_or_resume(options, found)
    if options.resume is None:
        return _start(options, sweep, _new_folder(options, found))
    return _resume(options, sweep, found.folder or _old_folder(options, found))


def resume_sweep(options: argparse.Namespace) -> int:
    """`raysweep resume`: continue a paused sweep by a command, any other by a new session."""
    with said_if_interrupted():
        return _resume_sweep(options)


def _resume_sweep(options: argparse.Namespace) -> int:
    from raysweep.formatting import clean
    from raysweep.results.storage import mirror
    from raysweep.results.storage.run_directory import RunDirectory
    from raysweep.tune import run_folders
    from raysweep.tune.steer import give, unpause

    if options.submit is not None:
        return _run_sweep(options)  # only the cluster can read the run's files
    folder = run_folders.resumed_anywhere(options.storage, "", options.resume)
    run = RunDirectory(folder)
    if mirror.is_locked(folder) and run.steering.paused:
        print(clean(give(run, "resume").text))
        return 0
    unpause(run)
    return _run_sweep(options)


@contextmanager
def said_if_interrupted() -> Iterator[None]:
    """Say that nothing has begun if a signal comes before a session does, and handles it itself.

    SIGTERM is an interruption then, as Ctrl-C is. Programs such as `timeout` send it twice.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    is_main = threading.current_thread() is threading.main_thread()  # others set no handlers
    before = signal.signal(signal.SIGTERM, interrupt) if is_main else None
    try:
        yield
    except KeyboardInterrupt:
        print("raysweep: interrupted before the first trial; nothing has changed", file=sys.stderr)
        raise
    finally:
        if is_main:
            signal.signal(signal.SIGTERM, before)


def _start_or_resume(options: argparse.Namespace, found: Source) -> int:
    """Run a sweep, or resume the run of its name once no other session holds it."""
    from raysweep.tune import run_folders

    name = options.name or found.sweep.name
    if name is None:
        return _usage("--or-resume, but no name says which run: --name, or name: in the file")
    begun = run_folders.begun(options.storage, name)
    if begun is None:
        return _start(options, found.sweep, _new_folder(options, found))
    options.resume = name
    run_folders.wait_until_free(begun, lambda line: print(line, flush=True))
    if not run_folders.is_run(begun):
        return _start(options, found.sweep, begun)  # its first session was killed at once
    return _resume(options, found.sweep, begun)


def _new_folder(options: argparse.Namespace, found: Source) -> Path:
    from raysweep.tune import run_folders

    name = options.name or found.sweep.name
    return run_folders.begin_anywhere(options.storage, found.stem, name)


def _old_folder(options: argparse.Namespace, found: Source) -> Path:
    from raysweep.tune import run_folders

    stem = found.sweep.name or found.stem
    return run_folders.resumed_anywhere(options.storage, stem, options.resume)


def _overrides(options: argparse.Namespace) -> list[str]:
    """What --seeds and --record change in the file."""
    if options.record is not None:
        from raysweep.tune.offline.recorded_curves import overrides

        return overrides(options.record)
    return [f"seeds={options.seeds}"] if options.seeds is not None else []


def _resume(options: argparse.Namespace, sweep: Sweep, folder: Path) -> int:
    """Continue a run. If it is finished, say so without starting Ray."""
    from raysweep.results.storage import ledger
    from raysweep.results.storage.run_directory import RunDirectory
    from raysweep.tune import code_changes, run_folders, session
    from raysweep.tune.cli.steer import read_configurations
    from raysweep.tune.cli.summary import finished, show_finished
    from raysweep.tune.steer import give

    if warning := run_folders.check_unchanged(folder, sweep):
        print(f"raysweep: {warning}", file=sys.stderr)
    if options.enqueue is not None:
        wanted = {"configurations": read_configurations(options.enqueue)}
        print(give(RunDirectory(folder), "enqueue", wanted).text)
    past = ledger.read(folder)
    controller = session.former(sweep, past, options.retry_failed)
    if finished(folder, controller):
        code = session.exit_code(controller)
        resume_command = partial(_resume_command, options, folder)
        show_finished(folder, controller, code, options.json, resume_command)
        return code
    code_changes.check(folder, controller, past, options.accept_changes)
    return _start(options, sweep, folder)


def _start(options: argparse.Namespace, sweep: Sweep, folder: Path) -> int:
    """Run a sweep, or the rest of one, in its run directory."""
    from raysweep.tune import run_folders

    try:
        return _session(options, sweep, folder)
    except (KeyboardInterrupt, UserError):
        if options.resume is None:
            run_folders.discard(folder)
        raise


def _session(options: argparse.Namespace, sweep: Sweep, folder: Path) -> int:
    """Train, and say what was found. An interruption before the first trial raises."""
    from raysweep.results.storage.mirror import display_path
    from raysweep.tune import run_folders, session
    from raysweep.tune.callbacks.screen import observer
    from raysweep.tune.cli.summary import finish
    from raysweep.tune.executors.debug import DebugExecutor
    from raysweep.tune.executors.ray.connection import Machines

    resume = _resume_command(options, folder)
    how = session.Options(
        Machines(options.address, options.isolate, nodes=options.wait_for_nodes),
        options.require_gpu,
        options.retry_failed,
        resume,
    )
    # A live screen would hide what a train function prints, and the prompt of a debugger.
    watching = observer(folder.name, options.json, options.debug, display_path(folder))
    executor = DebugExecutor(options.require_gpu) if options.debug else None
    try:
        code = session.run(sweep, folder, how, watching, executor)
    except KeyboardInterrupt:
        if not run_folders.has_begun(folder):
            raise
        code = session.INTERRUPTED
    try:
        finish(folder, code, options.json, resume)
    except KeyboardInterrupt:
        print(f"interrupted; to write what is missing:  {resume}")
        return session.INTERRUPTED
    return code


def _resume_command(options: argparse.Namespace, folder: Path, *more: str) -> str:
    from raysweep.tune.cli import resume_command

    return resume_command.resume(options, resume_command.place_of(folder), *more)


def _usage(text: str) -> int:
    print(f"raysweep run: {text}; see raysweep run --help", file=sys.stderr)
    return 2
