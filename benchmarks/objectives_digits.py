"""What `auto` and Optuna's samplers find on digits, with measured latency and size as objectives.

    python -m benchmarks.objectives_digits [--seeds 5] [--trials 40] [--results FILE]

Networks of one to three layers are trained on scikit-learn's digits (1,200 images of 8 x 8; 597 to
validate), 9 epochs each. The objectives are the validation error, the milliseconds of an image
(`run.measure.latency` of 64 images) and the mebibytes of the parameters (`run.measure.size`).
Every method proposes the same number of trials, one at a time. With `asha` most of them are stopped
early; without it each is trained to its end, as those of Optuna's samplers are.

The hypervolume is measured up to the median of trained random configurations, as a part of all that
lies between this and zero. A latency that was measured too short would count for the method that
was lucky, and other work on the machine makes that likelier. So at the end the latency of each
architecture is measured again, as the least of `AGAIN` measures, and the table's hypervolumes are
of these. The epochs in which ours reached what a rival had at its end are by the latencies as
reported, since nothing else is known while a sweep runs.

Finished runs are kept in `benchmarks/results/objectives_digits.jsonl`, and are not run again.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache, partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.objectives import RIVALS, WANTED, Kept, Problem, Row, Watch, box_of, ours, rival
from raysweep.fronts import Point
from raysweep.history import Config, History
from raysweep.results.analysis.hypervolume import Box
from raysweep.results.storage.front import is_candidate
from raysweep.schedulers.asha import Asha
from raysweep.schedulers.no_stopping import NoStopping
from raysweep.search_spaces.language.params import Float, Int
from raysweep.search_spaces.language.space import Space
from raysweep.tune.executors.simulated import Epoch
from raysweep.tune.searchers.gp import Auto
from raysweep.tune.searchers.random_grid import Random
from raysweep.tune.sweep import Budget

if TYPE_CHECKING:
    from torch import nn

RESULTS = Path(__file__).parent / "results/objectives_digits.jsonl"
EPOCHS = 9
TRAINED, EXAMPLES = 1200, 64
"""Images to train on, the others validate; and the images of a batch whose latency is measured."""
AGAIN = 9
"""Measures of the latency of an architecture at the end, of which the least counts."""
OURS: Mapping[str, Callable[[], tuple[Any, Any]]] = {
    "auto, asha": lambda: (Auto(), Asha()),
    "auto, none": lambda: (Auto(), NoStopping()),
    "random, none": lambda: (Random(), NoStopping()),
}
"""Searcher and scheduler."""
SPACE = Space(
    {
        "lr": Float(1e-4, 1e-1, log=True),
        "width": Int(8, 512, log=True),
        "layers": Int(1, 3),
        "batch": Int(16, 256, log=True),
    }
)


def network(width: int, layers: int) -> nn.Module:
    from torch import nn

    widths = [64, *[width] * layers]
    parts: list[nn.Module] = []
    for a, b in pairwise(widths):
        parts += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*parts, nn.Linear(width, 10))


def milliseconds(model: nn.Module) -> float:
    """The milliseconds of an image, of a batch of `EXAMPLES`."""
    import torch

    from raysweep.trainables.runtime.measure import Measure

    return Measure("cpu").latency(model, torch.zeros(EXAMPLES, 64)) / EXAMPLES


@cache
def measured_again(width: int, layers: int) -> float:
    """The same of an architecture, as the least of several: what nothing has disturbed."""
    model = network(width, layers)
    return min(milliseconds(model) for _ in range(AGAIN))


@lru_cache(maxsize=1)
def images() -> Any:
    import torch
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return torch.tensor(x, dtype=torch.float32) / 16, torch.tensor(y)


def train(config: Config, seed: int) -> Iterator[Epoch]:
    import torch
    from torch.nn.functional import cross_entropy

    from raysweep.trainables.runtime.measure import Measure

    torch.manual_seed(seed)
    x, y = images()
    model = network(config["width"], config["layers"])
    optimizer = torch.optim.Adam(model.parameters(), config["lr"])
    for _ in range(EPOCHS):
        began = time.perf_counter()
        for batch in torch.randperm(TRAINED).split(config["batch"]):
            optimizer.zero_grad()
            cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
        with torch.no_grad():
            wrong = model(x[TRAINED:]).argmax(1) != y[TRAINED:]
        metrics = {
            "error": wrong.float().mean().item(),
            "ms_per_image": milliseconds(model),
            "mib": Measure("cpu").size(model),
        }
        yield metrics, time.perf_counter() - began


PROBLEM = Problem("digits", SPACE, EPOCHS, ("error", "ms_per_image", "mib"), train)


def points_again(history: History) -> tuple[list[Point], float]:
    """The points of trials with latencies as measured again; and the median relative difference
    between these and those that were reported."""
    points: list[Point] = []
    differences = []
    for trial in filter(is_candidate, history):
        assert trial.best is not None
        error, reported, mib = trial.best.losses
        again = measured_again(trial.config["width"], trial.config["layers"])
        points.append((error, again, mib))
        differences.append(abs(reported - again) / again)
    return points, statistics.median(differences)


def run(seed: int, trials: int, kept: Kept) -> None:
    """Run all methods with a seed: first the rivals, whose ends ours are to reach."""
    box = box_of(PROBLEM, kept)
    goals: dict[str, float] = {}

    def compete(sampler: str) -> Row:
        watch = Watch(box, {})
        return facts(rival(PROBLEM, sampler, seed, trials, watch), watch, box)

    def reach(name: str) -> Row:
        (searcher, scheduler), watch = OURS[name](), Watch(box, goals, ends=False)
        history = ours(PROBLEM, searcher, scheduler, seed, Budget(trials, EPOCHS), watch)
        return facts(history, watch, box)

    for sampler in RIVALS:
        row = kept.of(PROBLEM.name, sampler, seed, partial(compete, sampler))
        goals[sampler] = row["hypervolume"]
    for name in OURS:
        kept.of(PROBLEM.name, name, seed, partial(reach, name))


def facts(history: History, watch: Watch, box: Box) -> Row:
    """What is kept of a run."""
    points, difference = points_again(history)
    return {
        "trials": len(history),
        "epochs": history.epochs,
        "hypervolume": watch.hypervolume,
        "again": box.fraction(points),
        "reached": watch.reached,
        "difference": difference,
    }


def show(rows: Mapping[str, Sequence[Row]]) -> list[str]:
    """Print a row for each method, and return the losses of `auto, asha`.

    It loses to a rival where its hypervolume at the end is less, or where it has not reached the
    rival's within a fifth of its epochs, in more than half of the seeds.
    """
    for name, found in rows.items():
        reached = [_part(found, rows[rival], rival) if name in OURS else "" for rival in RIVALS]
        again = [row["again"] for row in found]
        cells = (
            name,
            f"{statistics.mean(row['epochs'] for row in found):.0f}",
            f"{statistics.mean(again):.3f} ({min(again):.3f} to {max(again):.3f})",
            f"{statistics.mean(row['hypervolume'] for row in found):.3f}",
            *reached,
        )
        print(f"| {' | '.join(cells)} |", flush=True)
    return [loss for rival in RIVALS for loss in _losses(rows["auto, asha"], rows[rival], rival)]


def _part(mine: Sequence[Row], theirs: Sequence[Row], rival: str) -> str:
    """The part of a rival's epochs after which ours had what it ended with, and in how many seeds
    it ever had."""
    parts = _parts(mine, theirs, rival)
    n_reached = sum(map(math.isfinite, parts))
    return f"{statistics.median(parts):.2f}; {n_reached} of {len(parts)}"


def _parts(mine: Sequence[Row], theirs: Sequence[Row], rival: str) -> list[float]:
    return [
        one["reached"].get(rival, math.inf) / other["epochs"]
        for one, other in zip(mine, theirs, strict=True)
    ]


def _losses(mine: Sequence[Row], theirs: Sequence[Row], rival: str) -> list[str]:
    """Where ours is worse than a rival, in words."""
    n_less = sum(a["again"] < b["again"] for a, b in zip(mine, theirs, strict=True))
    n_late = sum(part > WANTED for part in _parts(mine, theirs, rival))
    found = {f"less hypervolume than {rival}": n_less, f"more than a fifth of {rival}": n_late}
    return [f"{what} in {n} of {len(mine)}" for what, n in found.items() if n > len(mine) / 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    kept = Kept(options.results)
    for seed in range(options.seeds):
        run(seed, options.trials, kept)
    rows = {
        name: [row for seed in range(options.seeds) if (row := kept.get(PROBLEM.name, name, seed))]
        for name in (*RIVALS, *OURS)
    }
    print("| | epochs | hypervolume (least to most) | as reported | of NSGA-II's | of TPE's |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    losses = show(rows)
    print(f"losses of auto, asha: {'; '.join(losses) or 'none'}")
    found = statistics.median(row["difference"] for many in rows.values() for row in many)
    print(f"a reported latency differs by {found:.0%} from that measured again (median)")


if __name__ == "__main__":
    main()
