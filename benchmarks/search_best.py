"""Writes the best known losses of the surrogates' problems, which the regret is measured from.

    python benchmarks/search_best.py --data FOLDER

For each problem of rbv2: the best of 20,000 random configurations trained to the end. (Climbing on
from there finds places where the surrogate promises what no training gives.) LCBench's were found
by the runs of earlier rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402

from benchmarks.search_problems import DEVELOP, JUDGE  # noqa: E402
from benchmarks.search_surrogates import Rbv2  # noqa: E402

DRAWN = 20_000
KNOWN = ROOT / "benchmarks/results/best_known.json"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="the folder of the learning curves"
    )
    surrogate = Rbv2(parser.parse_args().data / "rbv2_xgboost")
    known = json.loads(KNOWN.read_text())
    for name in (*DEVELOP, *JUDGE):
        family, _, task = name.partition("/")
        if family == "rbv2":
            known[name] = best(surrogate, task)
            print(name, known[name], flush=True)
    KNOWN.write_text(json.dumps(known, indent=1) + "\n")


def best(surrogate: Rbv2, task: str) -> float:
    rng = np.random.default_rng(0)
    configs = [surrogate.space.sample(rng) for _ in range(DRAWN)]
    return float(surrogate.ends(task, configs).min())


if __name__ == "__main__":
    main()
