"""The verbs about clusters: check-cluster, drain-node and jobs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from raysweep.tune.cli.arguments import Verbs, count
from raysweep.tune.cli.as_json import add_option, print_json

TITLE = "clusters"


def add(verbs: Verbs) -> None:
    check = verbs.add_parser(
        "check-cluster",
        help="look for mistakes in the file of ray up, sbatch, KubeRay or SkyPilot",
        description="Check a file that starts a sweep elsewhere: of ray up, sbatch, KubeRay or "
        "SkyPilot.",
    )
    check.add_argument("file", help="cluster.yaml, sweep.sbatch, or what raysweep launch printed")
    add_option(check)
    check.set_defaults(verb=check_cluster)
    drain = verbs.add_parser(
        "drain-node",
        help="empty a machine of a cluster before it goes",
        description="Have the trials on a machine of a Ray cluster end their running epochs and "
        "continue elsewhere. Waits until it is empty.",
    )
    drain.add_argument("--address", default="auto", help="of the cluster (default: auto)")
    drain.add_argument(
        "--node", metavar="NAME", help="its host name or address (default: this machine)"
    )
    drain.add_argument(
        "--seconds",
        metavar="N",
        type=count,
        default=120,
        help="how long it has until it goes (default: 120)",
    )
    add_option(drain)
    drain.set_defaults(verb=drain_node)
    jobs = verbs.add_parser(
        "jobs",
        help="sweeps that were sent to a cluster",
        description="List the sweeps that were sent to a cluster with --submit; with JOB: "
        "follow one, and end with its exit code.",
    )
    jobs.add_argument("job", nargs="?", metavar="JOB", help="follow this one")
    jobs.add_argument(
        "--at",
        metavar="URL",
        default="http://127.0.0.1:8265",
        help="the cluster's dashboard (default: %(default)s)",
    )
    jobs.add_argument(
        "--stop", action="store_true", help="stop it, once its running epochs have ended"
    )
    add_option(jobs)
    jobs.set_defaults(verb=show_jobs)


def check_cluster(options: argparse.Namespace) -> int:
    """`raysweep check-cluster`. Exit code 2 if something is wrong."""
    from raysweep.tune.cluster.lint import check

    try:
        problems = check(options.file)
    except OSError as error:
        print(f"raysweep: {options.file} cannot be read: {error.strerror}", file=sys.stderr)
        return 2
    if options.json:
        print_json([{"line": problem.line, "message": problem.message} for problem in problems])
        return 2 if problems else 0
    for problem in problems:
        print(f"{options.file}:{problem.line}: {problem.message}")
    if not problems:
        print(f"{options.file}: nothing wrong")
    return 2 if problems else 0


def drain_node(options: argparse.Namespace) -> int:
    """`raysweep drain-node`. Exit code 4 if epochs still ran when the time was over."""
    from raysweep.tune.cluster.drain import drain

    def say(line: str) -> None:
        if not options.json:
            print(line, flush=True)

    emptied = drain(options.address, options.node, options.seconds, say)
    if options.json:
        print_json({"empty": emptied})
    else:
        print("it is empty" if emptied else "its time is over, and epochs still run")
    return 0 if emptied else 4


def show_jobs(options: argparse.Namespace) -> int:
    """`raysweep jobs`."""
    from raysweep.tune.cluster import ray_jobs

    if options.job is None:
        listed = ray_jobs.listed(options.at)
        if options.json:
            names = ("job", "status", "command")
            print_json([dict(zip(names, line, strict=True)) for line in listed])
            return 0
        for line in listed:
            print("  ".join(line))
        return 0
    if options.stop:
        print(f"{options.job} {ray_jobs.stop(options.at, options.job)}")
        return 0
    return follow(options.at, options.job)


def submit(options: argparse.Namespace) -> int:
    """Send the sweep of `run` or `resume` to a cluster and follow it there."""
    from raysweep.tune.cluster import ray_jobs

    name = ray_jobs.submit(
        options.submit, options.arguments, Path.cwd(), options.words, options.sent_verb
    )
    print(
        f"sent as {name}; to follow it again: raysweep jobs {name} --at {options.submit}",
        flush=True,
    )
    return follow(options.submit, name)


def follow(url: str, name: str) -> int:
    """Print what a job prints, and return its exit code."""
    from raysweep.tune.cluster import ray_jobs

    try:
        return ray_jobs.follow(url, name, lambda text: print(text, end="", flush=True))
    except KeyboardInterrupt:
        again = f"raysweep jobs {name} --at {url}"
        print(f"\n{name} continues; to follow it again: {again}; to stop it: {again} --stop")
        return 0
