"""The verb that starts a sweep where a queue or an operator gives out the machines."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from raysweep.errors import UserError
from raysweep.tune.cli.arguments import Verbs, count, place, storage
from raysweep.tune.cli.as_json import add_option, print_json

if TYPE_CHECKING:
    from raysweep.tune.cluster.launch.launched import Launch
    from raysweep.tune.sweep import Sweep

TITLE = "launch a sweep elsewhere"
TARGETS = ("slurm", "kuberay", "sky")
EXAMPLES = """\
examples:
  $ raysweep launch slurm sweep.yaml --nodes 4 --gpus-per-node 2 --time 4:00:00 > sweep.sbatch
  $ raysweep launch slurm sweep.yaml --nodes 4 --gpus-per-node 2 --time 4:00:00 --submit
  $ raysweep launch slurm sweep.yaml --join --gpus-per-node 2 --array 0-9 --time 4:00:00 --submit
  $ raysweep launch kuberay sweep.yaml --image me/sweep:1 --nodes 8 --gpus-per-node 1 --spot \\
      --storage s3://bucket/runs
  $ raysweep launch sky sweep.yaml --accelerators A100:2 --nodes 4 --spot --storage s3://bucket/runs"""


def add(verbs: Verbs) -> None:
    launch = verbs.add_parser(
        "launch",
        help="print, or submit, what starts a sweep on Slurm, Kubernetes or a cloud",
        description="Print the file that starts a sweep elsewhere: for slurm, what sbatch takes; "
        "for kuberay, a RayJob; for sky, a managed job of SkyPilot.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    launch.add_argument("target", choices=TARGETS, help="where the sweep is to run")
    launch.add_argument("file", metavar="FILE", help="the YAML file of the sweep")
    _add_sweep(launch)
    _add_nodes(launch)
    _add_slurm(launch)
    _add_clouds(launch)
    add_option(launch)
    launch.set_defaults(verb=launch_sweep)


def _add_sweep(launch: argparse.ArgumentParser) -> None:
    launch.add_argument("--name", help="of the run and of the job (default: the file's)")
    launch.add_argument(
        "--storage",
        type=place,
        default=storage(),
        help="where run directories go: a folder that all nodes see, s3://..., gs://... "
        "(default: $RAYSWEEP_STORAGE, or ray_results)",
    )
    launch.add_argument(
        "--data-root", help="where data sets lie on the nodes (default: $RAYSWEEP_DATA_ROOT)"
    )
    launch.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="override a key of the file: --set budget.trials=5",
    )
    launch.add_argument("--out", metavar="FILE", type=Path, help="write the file there")
    launch.add_argument(
        "--submit", action="store_true", help="fetch the data here, and submit the file"
    )


def _add_nodes(launch: argparse.ArgumentParser) -> None:
    launch.add_argument(
        "--nodes", metavar="N", type=count, default=1, help="how many nodes (default: 1)"
    )
    launch.add_argument(
        "--gpus-per-node", metavar="N", type=count, default=0, help="GPUs of each (default: 0)"
    )
    launch.add_argument(
        "--cpus-per-node",
        metavar="N",
        type=count,
        help="CPUs of each (default: what the trials need that fit on its GPUs)",
    )
    launch.add_argument("--memory", default="", help="memory of each, such as 64G")
    launch.add_argument(
        "--setup",
        metavar="LINE",
        action="append",
        default=[],
        help="a line of shell that each job runs first, such as 'module load cuda'; "
        "may be repeated",
    )


def _add_slurm(launch: argparse.ArgumentParser) -> None:
    slurm = launch.add_argument_group("slurm")
    slurm.add_argument("--time", help="the time limit, such as 4:00:00; the sweep may take longer")
    slurm.add_argument(
        "--grace",
        metavar="SECONDS",
        type=count,
        default=300,
        help="how long before the time limit the running epochs are let end (default: 300)",
    )
    slurm.add_argument(
        "--chain",
        metavar="N",
        type=count,
        help="N jobs, each after the former, where a job may not be queued again",
    )
    slurm.add_argument(
        "--dependency", metavar="WHEN", help="when the job may start, as sbatch takes it"
    )
    slurm.add_argument(
        "--join",
        action="store_true",
        help="only add nodes to the sweep, which another job runs",
    )
    slurm.add_argument(
        "--array",
        metavar="RANGE",
        default="",
        help="with --join: so many such jobs, such as 0-9, each as soon as it gets its nodes",
    )
    slurm.add_argument(
        "--sbatch",
        metavar="OPTION",
        action="append",
        default=[],
        help="a further option of sbatch, such as --sbatch=--partition=gpu; may be repeated",
    )


def _add_clouds(launch: argparse.ArgumentParser) -> None:
    launch.add_argument(
        "--spot", action="store_true", help="kuberay, sky: machines that may be taken away"
    )
    kuberay = launch.add_argument_group("kuberay")
    kuberay.add_argument("--image", help="with raysweep, the train function and the file")
    kuberay.add_argument("--namespace", default="", help="of Kubernetes")
    kuberay.add_argument(
        "--claim",
        default="",
        help="a PersistentVolumeClaim for runs and data, which all pods can write",
    )
    kuberay.add_argument("--queue", default="", help="the queue of Kueue that admits the job")
    kuberay.add_argument(
        "--token-secret",
        metavar="SECRET",
        default="",
        help="the Secret with Ray's token, in auth_token (default: KubeRay makes one)",
    )
    sky = launch.add_argument_group("sky")
    sky.add_argument("--accelerators", default="", help="of each machine, such as A100:2")
    sky.add_argument("--infra", default="", help="the cloud, such as aws/us-east-1")


class OptionsError(UserError):
    """Options of `raysweep launch` that do not go together, in one line."""


def launch_sweep(options: argparse.Namespace) -> int:
    """`raysweep launch`."""
    from raysweep.results.storage.object_store import refuse_credentials
    from raysweep.trainables.runtime.import_trainable import check
    from raysweep.tune.load import load_sweep

    for argument in options.arguments:
        refuse_credentials(argument)  # the file holds the command
    sweep = load_sweep(options.file, options.set)
    check(sweep.trainable, sweep.space.keys)
    launch = _launch(options, sweep)
    text = MAKERS[options.target](options, launch)
    _warn(launch, text)
    if options.submit:
        return _submit(options, sweep, launch, text)
    if options.out is not None:
        from raysweep.files import atomic_write

        atomic_write(options.out, text)
    if options.json:
        print_json({"target": options.target, "name": launch.name, "file": text})
    elif options.out is None:
        print(text, end="")
    return 0


def _warn(launch: Launch, text: str) -> None:
    """Say on stderr what `raysweep check-cluster` would find in the file."""
    from raysweep.tune.cluster.lint import check_text

    for problem in check_text(text, launch.name, launch.folder):
        print(f"note: line {problem.line}: {problem.message}", file=sys.stderr)


def _launch(options: argparse.Namespace, sweep: Sweep) -> Launch:
    from raysweep.tune.cluster.launch import launched

    gpus = options.gpus_per_node or _n_accelerators(options.accelerators)
    cpus = launched.n_cpus(sweep.resources, gpus, options.cpus_per_node)
    kept = options.storage
    on_this_disk = options.target == "slurm" and Path(options.file).exists()
    return launched.Launch(
        name=launched.checked_name(options.name or sweep.name or Path(options.file).stem),
        file=str(Path(options.file).resolve()) if on_this_disk else options.file,
        folder=Path.cwd(),
        environment=launched.environment(),
        storage=kept if isinstance(kept, str) else str(kept.resolve()),
        nodes=launched.Nodes(options.nodes, cpus, gpus, options.memory),
        command=shlex.join(["raysweep", "launch", *options.arguments]),
        data_root=options.data_root or os.environ.get("RAYSWEEP_DATA_ROOT", ""),
        settings=options.set,
        setup=options.setup,
    )


def _slurm(options: argparse.Namespace, launch: Launch) -> str:
    from raysweep.tune.cluster.launch.slurm import Job, sbatch_file

    if options.time is None:
        raise OptionsError(
            "--time is missing: the time limit of the queue, such as 4:00:00; the sweep may take "
            "longer, because its job is queued again"
        )
    more = [f"--dependency={options.dependency}"] if options.dependency else []
    job = Job(
        options.time,
        options.grace,
        [*more, *options.sbatch],
        requeue=options.chain is None,
        joins=options.join,
        array=options.array,
    )
    return sbatch_file(launch, job)


def _kuberay(options: argparse.Namespace, launch: Launch) -> str:
    from raysweep.tune.cluster.launch.kuberay import Pods, ray_job

    if options.image is None:
        raise OptionsError(
            "--image is missing: the image of the pods, with raysweep, the train function and "
            f"{options.file}; the Dockerfile of the repository makes one"
        )
    pods = Pods(
        options.image,
        options.namespace,
        options.claim,
        options.queue,
        options.token_secret,
        options.spot,
    )
    return ray_job(launch, pods)


def _sky(options: argparse.Namespace, launch: Launch) -> str:
    from raysweep.tune.cluster.launch.sky import Machines, sky_job

    return sky_job(launch, Machines(options.accelerators, options.infra, options.spot))


def _n_accelerators(text: str) -> int:
    """How many GPUs `A100:2` means; 0 for ""."""
    if not text:
        return 0
    _, _, number = text.partition(":")
    if number and not number.isdecimal():
        raise OptionsError(f"--accelerators {text}: expected a name and a number, such as A100:2")
    return int(number or 1)


MAKERS: dict[str, Callable[[argparse.Namespace, Launch], str]] = {
    "slurm": _slurm,
    "kuberay": _kuberay,
    "sky": _sky,
}
"""What prints the file of each target."""


def _submit(options: argparse.Namespace, sweep: Sweep, launch: Launch, text: str) -> int:
    from raysweep.tune.cluster.launch import submit

    if options.target == "slurm":
        submit.fetch_data(sweep, launch)
        jobs = submit.sbatch(launch, text, options.chain or 1)
    else:
        jobs = (submit.kubectl if options.target == "kuberay" else submit.sky)(launch, text)
    if options.json:
        print_json({"target": options.target, "name": launch.name, "jobs": jobs})
        return 0
    print(f"submitted as {', '.join(jobs)}; to follow it: {_status(launch)}")
    return 0


def _status(launch: Launch) -> str:
    """The command that shows the state of the sweep, where its storage can be read."""
    return shlex.join(["raysweep", "status", f"{launch.storage}/{launch.name}"])
