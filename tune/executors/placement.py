"""How trials map to devices, worked out before the start: plain arithmetic over what each node offers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from raysweep.errors import UserError
from raysweep.tune.sweep import Resources

Node = Mapping[str, float]
"""What an alive node offers, as Ray counts it: CPU, GPU, and custom resources."""


class PlanError(UserError):
    """A trial that no machine can hold, in one line."""


@dataclass(frozen=True)
class Plan:
    """`parallel` trials at once, each holding `resources`; `lines` say so to a person."""

    parallel: int
    resources: Resources
    lines: tuple[str, ...]


def plan(
    resources: Resources, parallel: int | None, nodes: Sequence[Node], require_gpu: bool = False
) -> Plan:
    """The plan for a cluster of `nodes`. Without any GPU the trials run on the CPU, and a line says so. PlanError where nothing fits."""
    wanted = resources
    gpus = sum(node.get("GPU", 0.0) for node in nodes)
    lines = []
    if resources.auto_gpu:
        resources = replace(resources, gpu=1.0)
        lines += (
            [
                "gpu: auto: the first trial has a whole GPU until its memory is measured; the others share by what they need"
            ]
            if gpus
            else []
        )
    if resources.gpu and not gpus:
        if require_gpu:
            raise PlanError(
                f"a GPU is required, each trial asks for {resources.gpu:g}, and the machine has none"
            )
        lines.append("no GPU here: the trials run on the CPU")
        resources = replace(resources, gpu=0.0)
    fits = room(resources, None, nodes)
    if not fits:
        raise PlanError(_nothing_fits(resources, nodes))
    at_once = room(resources, 1 if wanted.auto_gpu and resources.gpu else parallel, nodes)
    lines.insert(0, _mapping(resources, at_once, len(nodes)))
    if parallel is not None and parallel > fits:
        lines.append(f"parallel: {parallel} was asked for, {fits} fit")
    lines += _idle(resources, at_once, gpus)
    return Plan(at_once, resources, tuple(lines))


def room(resources: Resources, parallel: int | None, nodes: Sequence[Node]) -> int:
    """How many trials `nodes` hold at once; `parallel` at the most."""
    fits = sum(_fits(piece(resources), node) for node in nodes) // pieces(resources)
    return fits if parallel is None else min(parallel, fits)


def pieces(resources: Resources) -> int:
    """Into how many parts a trial falls that need not lie on one node: one for each of its processes where the file says `spread`."""
    return resources.workers if resources.spread else 1


def piece(resources: Resources) -> Resources:
    """One of them."""
    count = pieces(resources)
    custom = {name: amount / count for name, amount in resources.custom.items()}
    return replace(resources, cpu=resources.cpu / count, gpu=resources.gpu / count, custom=custom)


def needs(resources: Resources) -> dict[str, float]:
    """What one trial takes of a node, in Ray's names."""
    amounts = {"CPU": resources.cpu, "GPU": resources.gpu, **resources.custom}
    return {name: amount for name, amount in amounts.items() if amount}


def _fits(resources: Resources, node: Node) -> int:
    """How many of these a node holds at once. A share of a GPU must find its room on one device."""
    counts = []
    for name, amount in needs(resources).items():
        offered = node.get(name, 0.0)
        if name == "GPU" and amount < 1:
            counts.append(int(offered) * math.floor(1 / amount + 1e-9))
        else:
            counts.append(math.floor(offered / amount + 1e-9))
    return min(counts, default=0)


def _mapping(resources: Resources, at_once: int, nodes: int) -> str:
    each = ", ".join(f"{amount:g} {name}" for name, amount in needs(resources).items())
    where = f" on {nodes} nodes" if nodes > 1 else ""
    shared = math.floor(1 / resources.gpu + 1e-9) if 0 < resources.gpu < 1 else 1
    device = (
        f"; up to {shared} share a GPU, each held to {resources.gpu:.0%} of its memory"
        if shared > 1
        else ""
    )
    apart = f" in {pieces(resources)} processes wherever they find room" if resources.spread else ""
    return f"{at_once} trial{'s' if at_once != 1 else ''} at once{where}, each with {each}{apart}{device}"


def _idle(resources: Resources, at_once: int, gpus: float) -> list[str]:
    """Ray fills one device before it takes the next: with few trials and small shares, devices stay idle."""
    if not 0 < resources.gpu < 1:
        return []
    used = math.ceil(at_once / math.floor(1 / resources.gpu + 1e-9))
    if used >= gpus:
        return []
    share = min(1.0, gpus / at_once)
    better = f"gpu: {1 / math.floor(1 / share):g}" if share < 1 else "gpu: 1"
    return [
        f"{gpus - used:g} of {gpus:g} GPUs stay idle: Ray packs shares of {resources.gpu:g} onto {used}; {better} would use them all"
    ]


def _nothing_fits(resources: Resources, nodes: Sequence[Node]) -> str:
    one = piece(resources)
    asked = ", ".join(f"{amount:g} {name}" for name, amount in needs(one).items())
    if resources.spread:
        found = sum(_fits(one, node) for node in nodes)
        return f"the cluster cannot hold one trial: it needs {asked} for each of {pieces(resources)} processes, {found} of which find room"
    largest = [
        f"{max((node.get(name, 0.0) for node in nodes), default=0.0):g} {name}"
        for name in needs(resources)
    ]
    return f"no machine can hold one trial: it needs {asked}; the most that one offers is {', '.join(largest)}"
