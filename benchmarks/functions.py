"""Searching without early stopping: `python -m benchmarks.functions`.

100 trials of each method on each function, one after the other, with several seeds. The losses are
those of the trials that looked best, without noise. `--develop` takes the functions that
`searcher: auto` was chosen on in place of those that judge it (`function_problems.py`). Runs are
kept in a file, and those that it has are not run again.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.function_problems import DEVELOP, JUDGE, Function, Make
from raysweep.history import History, Report, Status, Trial
from raysweep.search_spaces.language.params import Float
from raysweep.search_spaces.language.space import Space
from raysweep.tune.searchers import SEARCHERS
from raysweep.tune.sweep import Searcher

METHODS: dict[str, dict[str, Any]] = {
    "auto": {"name": "auto"},
    "TPE": {"name": "optuna", "sampler": "TPESampler"},
    "GP": {"name": "optuna", "sampler": "GPSampler"},
    "CMA-ES": {"name": "optuna", "sampler": "CmaEsSampler"},
    "random": {"name": "random"},
    "tpe (hyperopt)": {"name": "tpe"},
    "bohb": {"name": "bohb"},
}
"""As a file names them. The first five are the table; the others run if they are asked for."""
TABLE = ("auto", "TPE", "GP", "CMA-ES", "random")
TRIALS = 100
COST_SIZES = (100, 1000, 5000)
COSTED = ("auto", "random", "TPE", "tpe (hyperopt)", "bohb")
"""What is timed with 5,000 trials. GP and CMA-ES would take hours to come there."""
SIGNIFICANT = 0.05
KEPT = Path(__file__).parent / "results" / "functions.json"
Runs = dict[str, dict[str, list[float]]]
"""By "function / method" and seed: the loss, and the CPU milliseconds of a mean suggestion."""


def searcher_of(method: str) -> Searcher:
    options = dict(METHODS[method])
    made: Searcher = SEARCHERS[options.pop("name")](**options)
    return made


def instance(make: Make, name: str, seed: int) -> Function:
    """The function that all methods see with a seed."""
    return make(np.random.default_rng([seed, *name.encode()]))


def run(function: Function, searcher: Searcher, seed: int, trials: int) -> tuple[float, float]:
    """The true loss of the trial that looked best, and the CPU milliseconds of a suggestion."""
    history, spent = History((1,)), 0.0
    for number in range(trials):
        before = time.process_time()
        config = searcher.suggest(function.space, history, seed)
        spent += time.process_time() - before
        if config is None:
            break
        add(history, config, function.observe(config, np.random.default_rng([seed, number])))
    best = min((trial for trial in history), key=lambda trial: trial.loss)
    loss = function.loss(best.config) if math.isfinite(best.loss) else math.inf
    return loss, 1e3 * spent / len(history)


def add(history: History, config: Any, loss: float) -> None:
    """Add a trial that reported once, and failed if its loss is NaN."""
    number = len(history)
    history.add(Trial(number, "a", config, number))
    history.start(number)
    if math.isnan(loss):
        history.close(number, Status.FAILED)
        return
    history.record(number, Report(1, loss, {}))
    history.close(number, Status.COMPLETED)


def played(functions: Mapping[str, Make], methods: list[str], seeds: int, path: Path) -> Runs:
    """All runs of these functions; those that are missing are run and kept."""
    runs: Runs = json.loads(path.read_text()) if path.exists() else {}
    for seed in range(seeds):
        for name, make in functions.items():
            for method in methods:
                kept = runs.setdefault(f"{name} / {method}", {})
                if str(seed) not in kept:
                    made = instance(make, name, seed)
                    kept[str(seed)] = [*run(made, searcher_of(method), seed, TRIALS)]
                    path.write_text(json.dumps(runs, indent=0))
    return runs


def losses(runs: Runs, name: str, methods: list[str], seeds: int) -> np.ndarray[Any, Any]:
    """(methods, seeds): the losses on a function."""
    return np.array(
        [[runs[f"{name} / {method}"][str(seed)][0] for seed in range(seeds)] for method in methods]
    )


def table(runs: Runs, functions: Mapping[str, Make], methods: list[str], seeds: int) -> str:
    """The losses and ranks of all methods, as Markdown, and what the first one loses."""
    from scipy.stats import rankdata

    found = {name: losses(runs, name, methods, seeds) for name in functions}
    ranks = np.array([rankdata(one, axis=0) for one in found.values()])
    lines = [row("median loss", *methods), row(*["---"] * (len(methods) + 1))]
    for name, one in found.items():
        medians = np.median(one, axis=1)
        marks = ["", *(mark(one[0], other) for other in one[1:])]
        cells = [f"{median:.3g}{sign}" for median, sign in zip(medians, marks, strict=True)]
        lines.append(row(name, *cells))
    means, errors = ranks.mean(axis=(0, 2)), ranks.mean(axis=0).std(axis=1) / math.sqrt(seeds)
    cells = [f"{mean:.2f} ± {error:.2f}" for mean, error in zip(means, errors, strict=True)]
    lines.append(row("**mean rank**", *cells))
    cost = [
        np.mean([runs[f"{name} / {method}"]["0"][1] for name in functions]) for method in methods
    ]
    lines.append(row("CPU ms a suggestion", *(f"{one:.1f}" for one in cost)))
    return "\n".join([*lines, "", *verdicts(found, methods)])


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def p_value(own: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> float:
    """Of Wilcoxon's signed-rank test over seeds, two-sided; 1 if nothing differs.

    The ranks within both are compared, for losses differ by powers of ten.
    """
    from scipy.stats import rankdata, wilcoxon

    ranks = rankdata(np.concatenate([own, other])).reshape(2, -1)
    difference = ranks[0] - ranks[1]
    return float(wilcoxon(difference).pvalue) if difference.any() else 1.0


def mark(own: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> str:
    """What is shown beside a method: > if the first one is better on this function, < if worse."""
    if p_value(own, other) >= SIGNIFICANT:
        return ""
    return " >" if np.median(own) < np.median(other) else " <"


def verdicts(found: Mapping[str, np.ndarray[Any, Any]], methods: list[str]) -> Iterator[str]:
    """A line for each other method: how often the first one is better, and where it is worse."""
    from scipy.stats import rankdata, ttest_1samp

    for index, method in enumerate(methods[1:], 1):
        marks = [mark(one[0], one[index]) for one in found.values()]
        medians = {name: np.median(one, axis=1) for name, one in found.items()}
        behind = [name for name, median in medians.items() if median[0] > median[index]]
        pairs = np.array([rankdata(one[[0, index]], axis=0) for one in found.values()])
        by_seed = (pairs[:, 0] == 1).mean(axis=0)
        p = ttest_1samp(by_seed, 0.5).pvalue if by_seed.std() > 0 else math.nan
        yield (
            f"{methods[0]} against {method}: better in {100 * by_seed.mean():.0f} % of the runs "
            f"(p = {p:.2g}); on single functions (p < {SIGNIFICANT}) better on "
            f"{marks.count(' >')}, worse on {marks.count(' <')}; "
            f"its median loss is higher on {', '.join(behind) or 'none'}"
        )


def costs(methods: list[str]) -> Iterator[str]:
    """The CPU milliseconds of a suggestion in eight dimensions, after COST_SIZES trials."""
    space = Space({f"x{i}": Float(0.0, 1.0) for i in range(8)})
    yield row("CPU ms after trials", *(f"{size:,}" for size in COST_SIZES))
    yield row(*["---"] * (len(COST_SIZES) + 1))
    for method in methods:
        yield row(method, *(f"{cost(searcher_of(method), space, size):.1f}" for size in COST_SIZES))


def cost(searcher: Searcher, space: Space, size: int, asked: int = 25) -> float:
    """The mean of `asked` suggestions after `size` random trials, without the first one."""
    history, rng = History((1,)), np.random.default_rng(0)
    for _ in range(size):
        add(history, config := space.sample(rng), smooth(config))
    spent = []
    for _ in range(asked + 1):
        before = time.process_time()
        proposed = searcher.suggest(space, history, 0)
        spent.append(time.process_time() - before)
        assert proposed is not None
        add(history, proposed, smooth(proposed))
    return 1e3 * float(np.mean(spent[1:]))


def smooth(config: Mapping[str, float]) -> float:
    return sum((i + 1) * (value - 0.3) ** 2 for i, value in enumerate(config.values()))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--develop", action="store_true", help="the functions to choose on")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(TABLE))
    parser.add_argument("--runs", type=Path, default=KEPT, help="where runs are kept")
    parser.add_argument("--costs", action="store_true", help="the time of a suggestion alone")
    said = parser.parse_args(arguments)
    if said.costs:
        print("\n".join(costs([method for method in said.methods if method in COSTED])))
        return
    functions = DEVELOP if said.develop else JUDGE
    runs = played(functions, said.methods, said.seeds, said.runs)
    print(table(runs, functions, said.methods, said.seeds))


if __name__ == "__main__":
    main()
