"""How soon is a good configuration found? Our searchers and schedulers beside those of others.

All of them run on recorded learning curves and a simulated clock.

    python benchmarks/search.py --data FOLDER [--quick] [--resume FILE] [--seeds 20] [--minutes 60]

The methods of others need further packages. A method that lacks one is left out, and named:

    pip install onnxruntime optuna distributed loguru; pip install --no-deps dehb

The data (`benchmarks/search.md` says where they come from) lie in FOLDER, or in the folder that
RAYSWEEP_BENCH names. Runs are done seed by seed, until all are there or the minutes are over, and
each is kept in the file of `--resume` as it ends. Then the table is printed, which says how many
seeds each method has. With 16 workers, a method that takes 0.05 s per suggestion takes a minute per
run; `--only` can leave it out.

`--memory` measures what `auto` gains by remembering runs on other problems of the family, and what
it loses if what it remembers is wrong (`search_memory.py`).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
# Before numpy is imported, which reads it once: the cost of a suggestion is that of one core.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402

from benchmarks.search_by_problem import by_problem  # noqa: E402
from benchmarks.search_cost import costs  # noqa: E402
from benchmarks.search_files import read_runs, write_runs  # noqa: E402
from benchmarks.search_memory import MEMORIES, EarlierRuns, remembering  # noqa: E402
from benchmarks.search_problems import (  # noqa: E402
    DEVELOP,
    FAMILIES,
    JUDGE,
    Problem,
    Problems,
    listed,
)
from benchmarks.search_rivals import RIVALS  # noqa: E402
from benchmarks.search_runs import Outcome, clairvoyant, ours  # noqa: E402
from benchmarks.search_table import Run, table  # noqa: E402
from raysweep.schedulers import Asha, NoStopping  # noqa: E402
from raysweep.tune.searchers.bohb import Bohb  # noqa: E402
from raysweep.tune.searchers.gp import Auto  # noqa: E402
from raysweep.tune.searchers.random_grid import Random  # noqa: E402
from raysweep.tune.searchers.tpe import Tpe  # noqa: E402

OURS = {
    "random": ours(Random(), NoStopping()),
    "random + stopping": ours(Random(), Asha(type="stopping")),
    "random + promotion": ours(Random(), Asha()),
    "random + promotion, grace 1": ours(Random(), Asha(grace=1)),
    "auto + promotion": ours(Auto(), Asha()),
    "auto + promotion, grace 1": ours(Auto(), Asha(grace=1)),
    "auto + promotion, ends known": clairvoyant(Auto(), Asha()),
    "auto + stopping": ours(Auto(), Asha(type="stopping")),
    "bohb + promotion": ours(Bohb(), Asha()),
    "bohb + promotion, grace 1": ours(Bohb(), Asha(grace=1)),
    "tpe + promotion": ours(Tpe(), Asha()),
}
METHODS = {**OURS, **RIVALS}
REMEMBERING = {f"auto + promotion, memory: {memory}": memory for memory in MEMORIES}
COMPARED = ("random", "random + stopping", "auto + promotion", *REMEMBERING)
"""What `--memory` runs."""
REMEMBERED_FAMILIES = ("lcbench", "taskset")
NEEDED = {
    "Optuna TPE, successive halving": ("optuna",),
    "Optuna TPE, Hyperband": ("optuna",),
    "DEHB": ("dehb", "distributed", "loguru"),
}
"""What a method needs that the project does not."""
QUICK = (
    "random",
    "random + stopping",
    "random + promotion",
    "auto + promotion",
    "bohb + promotion",
    *RIVALS,
)
QUICK_PROBLEMS = (JUDGE[0], JUDGE[4])
Plan = Iterator[tuple[str, str, int, int]]


def main() -> None:
    options = parsed()
    warnings.simplefilter("ignore")
    if not options.data:
        raise SystemExit(
            "the learning curves are needed: --data FOLDER, or the environment variable "
            "RAYSWEEP_BENCH"
        )
    if lacking := sorted(set(options.only or ()) & set(missing())):
        packages = ", ".join(NEEDED[lacking[0]])
        raise SystemExit(f"{lacking[0]} needs packages that are not all installed: {packages}")
    if find_spec("onnxruntime") is None:
        raise SystemExit(
            "reading the surrogates needs a package that is not installed: pip install onnxruntime"
        )
    problems = Problems(
        Path(options.data), ROOT / "benchmarks/results/best_known.json", options.raw, options.own
    )
    earlier = EarlierRuns(problems, options.earlier)
    methods = METHODS | {name: remembering(earlier, kind) for name, kind in REMEMBERING.items()}
    runs = read(options.resume)
    until = time.monotonic() + 60 * options.minutes
    for name, task, workers, seed in plan(options):
        if time.monotonic() > until:
            break
        if (name, task, workers, seed) not in runs:
            problem = load(problems, task, options.list)
            run = perform(problem, methods[name], name, workers, seed)
            runs[name, task, workers, seed] = run
            if options.resume:
                write_runs(options.resume, list(runs.values()))
    if options.by_problem:
        asked = set(problem_names(options))
        print(by_problem([run for run in runs.values() if run.problem in asked], options.against))
        return
    costs_by_method = {}
    if options.costs:
        costs_by_method = costs(options.quick)
    print(table(list(runs.values()), costs_by_method, missing()))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", default=os.environ.get("RAYSWEEP_BENCH"), help="the folder of the learning curves"
    )
    parser.add_argument("--quick", action="store_true", help="two problems and one seed")
    parser.add_argument(
        "--develop",
        action="store_true",
        help="the problems that choices were made on, in place of those that judge",
    )
    parser.add_argument(
        "--family", action="append", choices=FAMILIES, help="only its problems; may be repeated"
    )
    parser.add_argument(
        "--problem",
        action="append",
        choices=(*DEVELOP, *JUDGE),
        metavar="PROBLEM",
        help="these in place of all others, such as rbv2/1479; may be repeated",
    )
    parser.add_argument(
        "--by-problem",
        action="store_true",
        help="print a table of the problems in place of the other",
    )
    parser.add_argument(
        "--against",
        choices=(*METHODS, *REMEMBERING),
        metavar="METHOD",
        default="random + stopping",
        help="in the table of the problems, what the others are compared with",
    )
    parser.add_argument(
        "--own",
        type=Path,
        help="a folder of search_curves.py: its problems in place of those that judge",
    )
    parser.add_argument(
        "--raw", action="store_true", help="LCBench with the epoch of the untrained net"
    )
    parser.add_argument(
        "--list",
        type=int,
        metavar="COUNT",
        help="each problem of one seed as a list of so many random configurations, for 3 FE",
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=(*METHODS, *REMEMBERING),
        metavar="METHOD",
        help=f"may be repeated; of {', '.join((*METHODS, *REMEMBERING))}",
    )
    parser.add_argument(
        "--memory",
        action="store_true",
        help="auto with memories of relatives, right and wrong, beside auto without",
    )
    parser.add_argument(
        "--earlier", type=Path, help="a file of the runs that are remembered: read, else made"
    )
    parser.add_argument(
        "--workers", type=int, action="append", help="simulated workers; 4 and 16 unless said"
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=1e9, help="no run begins after these")
    parser.add_argument(
        "--resume", type=Path, help="a file of finished runs: read first, then appended to"
    )
    parser.add_argument(
        "--no-costs", dest="costs", action="store_false", help="leave out what a suggestion costs"
    )
    return parser.parse_args()


def plan(options: argparse.Namespace) -> Plan:
    """Method, problem, workers and seed of each run."""
    names: Iterable[str] = METHODS
    seeds: int = options.seeds
    workers_tried: tuple[int, ...] = (4, 16)
    if options.quick:
        names, seeds, workers_tried = QUICK, 1, (4,)
    if options.memory:
        names = COMPARED
    methods = options.only or [name for name in names if name not in missing()]
    # The seeds are outermost, so that methods and problems are balanced whenever it ends.
    for seed in range(seeds):
        for workers in options.workers or workers_tried:
            for name in methods:
                for task in problem_names(options):
                    yield name, task, workers, seed


def problem_names(options: argparse.Namespace) -> Sequence[str]:
    """The problems that the options ask for."""
    if options.problem:
        return tuple(options.problem)
    names = _all_names(options)
    families = options.family or (REMEMBERED_FAMILIES if options.memory else FAMILIES)
    return [name for name in names if name.partition("/")[0] in families]


def _all_names(options: argparse.Namespace) -> Sequence[str]:
    if options.own and (own := sorted(options.own.glob("*.npz"))):
        return [f"own/{path.stem}" for path in own]
    if options.quick:
        return QUICK_PROBLEMS
    if options.develop:
        return DEVELOP
    return JUDGE


def perform(
    problem: Problem,
    method: Callable[[Problem, int, int], Outcome],
    name: str,
    workers: int,
    seed: int,
) -> Run:
    outcome = method(problem, workers, seed)
    return Run(
        name,
        problem.name,
        workers,
        seed,
        [round(float(r), 5) for r in outcome.regret],
        round(float(np.mean(outcome.cost)), 3),
    )


@cache
def load(problems: Problems, task: str, count: int | None) -> Problem:
    return problems[task] if count is None else listed(problems[task], count)


@cache
def missing() -> tuple[str, ...]:
    """The methods whose packages are not all installed."""
    return tuple(name for name, packages in NEEDED.items() if not all(map(find_spec, packages)))


def read(path: Path | None) -> dict[tuple[str, str, int, int], Run]:
    """The finished runs of a file, or none if there is no such file yet."""
    if path is None or not path.exists():
        return {}
    return {(run.method, run.problem, run.workers, run.seed): run for run in read_runs(path)}


if __name__ == "__main__":
    main()
