"""How trials are placed on nodes, computed before the start: arithmetic over what each node has."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from raysweep.errors import UserError
from raysweep.formatting import plural
from raysweep.tune.executors.devices import KIND, kinds_there, of_kind, of_no_kind
from raysweep.tune.sweep import Resources

Node = Mapping[str, float]
"""The resources of an alive node, in Ray's names: CPU, GPU, and custom ones."""
ROUNDING = 1e-9
"""Added before rounding down, so that three fractions of 1/3 fit on a GPU."""


class PlanError(UserError):
    """A trial that no machine can hold, in one line."""


@dataclass(frozen=True)
class Plan:
    """`parallel` trials at once, each holding `resources`; `lines` say so to the user.

    `room`: how many at once have each kind of GPU that the file names.
    """

    parallel: int
    resources: Resources
    lines: tuple[str, ...]
    room: Mapping[str, int]


def plan(
    resources: Resources, parallel: int | None, nodes: Sequence[Node], require_gpu: bool = False
) -> Plan:
    """The placement of trials with `resources` on a cluster of `nodes`, `parallel` at most.

    Without any GPU the trials run on the CPU, and a line says so. Raises PlanError if no trial
    fits, or if there is no GPU and `require_gpu`.
    """
    wanted = resources
    gpus = sum(node.get("GPU", 0.0) for node in nodes)
    lines = []
    if wanted.auto_gpu:
        resources = replace(resources, gpu=1.0)
        if gpus:
            lines.append(
                "gpu: auto: trials have a whole GPU at first; then more and more of them share one "
                "while memory allows it and they train more epochs an hour"
            )
    if resources.gpu and not gpus:
        if require_gpu:
            raise PlanError(
                f"a GPU is required, each trial asks for {resources.gpu:g}, "
                "and the machine has none"
            )
        lines.append("no GPU here: the trials run on the CPU")
        resources = of_no_kind(replace(resources, gpu=0.0))
    fits = n_parallel(resources, None, nodes)
    if not fits:
        raise PlanError(_nothing_fits(resources, nodes))
    kinds = room(resources, nodes)
    lines += _kinds(kinds, nodes)
    # Until the first trial has measured its memory, it runs alone.
    measuring = wanted.auto_gpu and resources.gpu > 0
    at_once = min(1, fits) if measuring else n_parallel(resources, parallel, nodes)
    lines.insert(0, _summary(resources, at_once, len(nodes)))
    if parallel is not None and parallel > fits:
        lines.append(f"parallel: {parallel} was asked for, {fits} fit")
    lines += _idle_gpus(resources, at_once, gpus)
    return Plan(at_once, resources, tuple(lines), kinds)


def n_parallel(resources: Resources, parallel: int | None, nodes: Sequence[Node]) -> int:
    """The number of trials that `nodes` hold at once; `parallel` at most."""
    bundles = sum(_n_fitting(bundle(resources), node) for node in nodes)
    fits = bundles // n_bundles(resources)
    return fits if parallel is None else min(parallel, fits)


def room(resources: Resources, nodes: Sequence[Node]) -> dict[str, int]:
    """How many trials of each kind of GPU that the file names `nodes` hold at once."""
    kinds = resources.accelerators
    return {kind: n_parallel(of_kind(resources, kind), None, nodes) for kind in kinds}


def n_bundles(resources: Resources) -> int:
    """The number of bundles of a trial that may lie on different nodes.

    One for each of its processes if the file says `spread`, else 1.
    """
    return resources.workers if resources.spread else 1


def bundle(resources: Resources) -> Resources:
    """The resources of one bundle of a trial."""
    count = n_bundles(resources)
    custom = {
        name: amount / (1 if name.startswith(KIND) else count)
        for name, amount in resources.custom.items()
    }
    return replace(resources, cpu=resources.cpu / count, gpu=resources.gpu / count, custom=custom)


def needs(resources: Resources) -> dict[str, float]:
    """What a trial takes of a node, in Ray's names."""
    amounts = {"CPU": resources.cpu, "GPU": resources.gpu, **resources.custom}
    return {name: amount for name, amount in amounts.items() if amount}


def _n_fitting(resources: Resources, node: Node) -> int:
    """How many of these a node holds at once. A GPU fraction must fit on a single device."""
    counts = []
    for name, amount in needs(resources).items():
        available = node.get(name, 0.0)
        if name == "GPU" and amount < 1:
            counts.append(int(available) * _n_sharing(amount))
        else:
            counts.append(math.floor(available / amount + ROUNDING))
    return min(counts, default=0)


def _n_sharing(gpu: float) -> int:
    """How many trials with this GPU fraction share a device."""
    return math.floor(1 / gpu + ROUNDING)


def _summary(resources: Resources, at_once: int, nodes: int) -> str:
    each = ", ".join(f"{amount:g} {name}" for name, amount in needs(resources).items())
    line = f"{plural(at_once, 'trial')} at once"
    if resources.fuse > 1:
        line = f"{plural(at_once, 'group')} of up to {resources.fuse} trials at once"
    if nodes > 1:
        line += f" on {nodes} nodes"
    line += f", each with {each}"
    if resources.spread:
        line += f" in {n_bundles(resources)} processes on any node"
    if 0 < resources.gpu < 1 and (sharing := _n_sharing(resources.gpu)) > 1:
        line += f"; up to {sharing} share a GPU, each held to {resources.gpu:.0%} of its memory"
    return line


def _kinds(found: Mapping[str, int], nodes: Sequence[Node]) -> list[str]:
    """How many trials of each kind fit. Raises PlanError if none of one kind does."""
    for kind, count in found.items():
        if not count:
            there = ", ".join(kinds_there(nodes)) or "none that Ray knows"
            raise PlanError(
                f"accelerator: no machine with {kind} can hold one trial; the kinds of GPU here: "
                f"{there}"
            )
    return [f"{kind}: {plural(count, 'trial')} at once" for kind, count in found.items()]


def _idle_gpus(resources: Resources, at_once: int, gpus: float) -> list[str]:
    """A line if devices stay idle: Ray fills one device before it takes the next."""
    if not 0 < resources.gpu < 1:
        return []
    used = math.ceil(at_once / _n_sharing(resources.gpu))
    if used >= gpus:
        return []
    per_gpu = max(1, math.floor(at_once / gpus))
    return [
        f"{gpus - used:g} of {gpus:g} GPUs stay idle: Ray packs fractions of {resources.gpu:g} "
        f"onto {used}; gpu: {1 / per_gpu:g} would use them all"
    ]


def _nothing_fits(resources: Resources, nodes: Sequence[Node]) -> str:
    part = bundle(resources)
    asked = ", ".join(f"{amount:g} {name}" for name, amount in needs(part).items())
    if resources.spread:
        found = sum(_n_fitting(part, node) for node in nodes)
        return (
            f"the cluster cannot hold one trial: it needs {asked} for each of "
            f"{n_bundles(resources)} processes, {found} of which fit"
        )
    largest = [
        f"{max((node.get(name, 0.0) for node in nodes), default=0.0):g} {name}"
        for name in needs(resources)
    ]
    return (
        f"no machine can hold one trial: it needs {asked}; "
        f"the largest node has {', '.join(largest)}"
    )
