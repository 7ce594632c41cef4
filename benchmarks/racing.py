"""What further seeds for a few configurations cost and find, on recorded reinforcement learning.

    python benchmarks/racing.py --data FOLDER [--draws 50] [--null 10000]

On each problem of ARLBench (`search.md` says where it comes from) every configuration is trained
with one seed drawn by chance, as by a search without early stopping. Its best ten are finalists,
and race over seeds that the search did not use: `confirm: {top: 10, seeds: 9, race: true}`. The
truth is the mean over all seeds, so the search's own seed is a part of it. Compared are the best by
that one seed alone, ten finalists with all seeds, and five seeds for every configuration; and
`seeds_per_trial: auto`, whose configurations come one after the other and are repeated in between.
Regret is 0 at the best mean and 1 at the median. Then races among equal finalists with normal
losses, looked at after each seed: in how many of them anybody leaves. And sweeps of equal
configurations under `auto`, looked at after each repeat: in how many anybody is said to be worse.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.search_recorded import Repeats, arlbench
from raysweep.arrays import FloatArray
from raysweep.repeats import MOST, contenders, estimates, is_due, leader
from raysweep.results.analysis.racing import beaten
from raysweep.results.analysis.repeated import worse

TOP = 10
SEEDS_FOR_ALL = 5


def race(finalists: FloatArray) -> tuple[int, int]:
    """The winner of a race, and how many trainings it took. finalists: losses, (n, seeds)."""
    racing, trained = set(range(len(finalists))), 0
    losses: dict[str, dict[int, float]] = {str(one): {} for one in racing}
    for seed in range(finalists.shape[1]):
        if len(racing) == 1:
            break
        for one in racing:
            losses[str(one)][seed] = float(finalists[one, seed])
            trained += 1
        racing -= {int(one) for one in beaten(losses)}
    means = {one: np.mean(list(losses[str(one)].values())) for one in racing}
    return min(means, key=lambda one: float(means[one])), trained


class Automatic:
    """`seeds_per_trial: auto` on recorded losses, (configurations, seeds), in a random order.

    got: the losses of the configurations until now, in the order in which they came.
    """

    def __init__(self, losses: FloatArray, rng: np.random.Generator) -> None:
        self._losses = losses
        self._order = rng.permutation(len(losses)).tolist()
        self.got: list[list[float]] = []

    def run(self) -> Iterator[None]:
        """Train all configurations and their repeats; yields after each repeat."""
        for index in self._order:
            self.got.append([float(self._losses[index, 0])])
            while self._repeat(len(self.got) == len(self._order)):
                yield

    @property
    def best(self) -> int:
        """The configuration that is named the best."""
        found = leader(estimates(self.got))
        assert found is not None
        return int(self._order[found])

    @property
    def trained(self) -> int:
        return sum(map(len, self.got))

    def _repeat(self, at_once: bool) -> bool:
        """Train a configuration with its next seed, if one needs it. Returns False if none does."""
        if not is_due(len(self.got), self.trained - len(self.got), at_once):
            return False
        for place in contenders(self.got):
            known = self.got[place]
            if len(known) < min(MOST, self._losses.shape[1]):
                known.append(float(self._losses[self._order[place], len(known)]))
                return True
        return False


def last_losses(repeats: Repeats) -> FloatArray:
    """The last loss of each configuration that was run with all seeds, (n, seeds)."""
    full = repeats.count == repeats.count.max()
    losses = repeats.losses[full, : repeats.count.max(), -1]
    # A training that diverged is as bad as the worst one, so that means are finite.
    return np.where(np.isfinite(losses), losses, losses[np.isfinite(losses)].max())


def play(losses: FloatArray, rng: np.random.Generator) -> dict[str, tuple[int, float]]:
    """By method, the configuration that it chooses and the trainings that it takes."""
    n, seeds = losses.shape
    order = rng.permutation(seeds)
    first, others = losses[:, order[0]], losses[:, order[1:]]
    best = np.argsort(first, kind="stable")[:TOP]
    winner, trained = race(others[best])
    automatic = Automatic(losses[:, order], rng)
    for _ in automatic.run():
        pass
    return {
        "one seed": (int(best[0]), n),
        "auto": (automatic.best, automatic.trained),
        "race": (int(best[winner]), n + trained),
        "ten finalists": (int(best[others[best].mean(1).argmin()]), n + TOP * (seeds - 1)),
        "five seeds": (
            int(losses[:, order[:SEEDS_FOR_ALL]].mean(1).argmin()),
            SEEDS_FOR_ALL * n,
        ),
    }


def null(races: int, finalists: int, seeds: int) -> float:
    """The part of races among equal finalists in which one leaves, with looks at each seed."""
    rng, wrong = np.random.default_rng(0), 0
    for _ in range(races):
        losses = rng.normal(size=(finalists, seeds))
        _, trained = race(losses)
        wrong += trained < losses.size
    return wrong / races


def null_sweeps(sweeps: int, configurations: int) -> float:
    """The part of sweeps of equal configurations in which one is said to be worse than another."""
    rng, wrong = np.random.default_rng(1), 0
    for _ in range(sweeps):
        automatic = Automatic(rng.normal(size=(configurations, MOST)), rng)
        wrong += any(worse(automatic.got) for _ in automatic.run())
    return wrong / sweeps


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("RAYSWEEP_BENCH"))
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--null", type=int, default=10_000)
    options = parser.parse_args()
    if options.data is None:
        raise SystemExit("give --data FOLDER or set RAYSWEEP_BENCH")
    rows = []
    for path in sorted((Path(options.data) / "arlbench").glob("*.npz")):
        losses = last_losses(arlbench(path)[1])
        means = losses.mean(1)
        for draw in range(options.draws):
            for method, (chosen, trained) in play(losses, np.random.default_rng(draw)).items():
                regret = (means[chosen] - means.min()) / (np.median(means) - means.min())
                cost = trained / (SEEDS_FOR_ALL * len(losses))
                rows.append((path.stem, method, chosen == means.argmin(), regret, cost))
    found = pd.DataFrame(rows, columns=["problem", "method", "best found", "regret", "trainings"])
    print(found.groupby("method")[["best found", "regret", "trainings"]].mean().round(3))
    for value in ("best found", "regret", "trainings"):
        print(value)
        print(found.groupby(["problem", "method"])[value].mean().unstack().round(3))
    for finalists in (3, TOP):
        wrong = null(options.null, finalists, 9)
        print(f"{options.null} races of {finalists} equal finalists: somebody left in {wrong:.2%}")
    for configurations in (12, 30):
        wrong = null_sweeps(options.null, configurations)
        print(
            f"{options.null} sweeps of {configurations} equal configurations under auto: "
            f"one was said to be worse in {wrong:.2%}"
        )


if __name__ == "__main__":
    main()
