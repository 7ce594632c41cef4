"""A long sweep in which much goes wrong, and nothing may be lost.

    python benchmarks/soak.py [--trials 2000] [--long 1200]

Every trial prints, logs, warns and shows a progress bar. Of all trials 10 % raise, 5 % run out of
memory, 5 % report NaN and 2 % are killed once; and one trains a single epoch for `--long` seconds
beside all of them. At the end each trial must have ended as its configuration says, with each of
its epochs in the ledger once and all that it printed in its log; the throughput is printed.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

EPOCHS = 2
LONG_TRIAL = "random-0"
SWEEP = """\
trainable: {file}:train
metric: {{name: loss, goal: minimize}}
searcher: random
scheduler: none
budget: {{trials: {trials}, epochs: {epochs}}}
parallel: 3
resources: {{cpu: 0.5}}
retries: 0
on_oom: [skip]
space:
  fate: {{float: [0, 1]}}
  long: {long}
  marks: {marks}
"""
FATES = ((0.10, "failed"), (0.15, "oom"), (0.20, "diverged"), (0.22, "killed"))
"""Up to which value of `fate` what happens in the second epoch; above the last one, nothing."""


def fate_of(config: dict[str, Any]) -> str:
    """What happens to a trial: one of FATES, or `completed`."""
    for limit, name in FATES:
        if config["fate"] < limit:
            return name
    return "completed"


def train(config: dict[str, Any], run: Any) -> None:
    """A trial of the sweep."""
    import logging
    import warnings

    from tqdm import tqdm

    logging.basicConfig(level=logging.INFO)
    fate, mark = fate_of(config), Path(config["marks"], run.trial)
    for epoch in run.epochs():
        print(f"{run.trial} begins epoch {epoch}")
        logging.getLogger("train").info("learning rate %g", config["fate"])
        warnings.warn("a library says so", stacklevel=1)
        for _ in tqdm(range(20), desc=f"epoch {epoch}"):
            pass
        # A trial that is silent for long must not be taken for a dead one.
        if run.trial == LONG_TRIAL and epoch == 1:
            time.sleep(config["long"])
        if epoch == 2 and fate == "failed":
            raise ValueError(f"fate {config['fate']} is a bad one")
        if epoch == 2 and fate == "oom":
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        if epoch == 2 and fate == "killed" and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        loss = config["fate"]
        if epoch == 2 and fate == "diverged":
            loss = math.nan
        run.report(loss=loss)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--long", type=float, default=1200.0, help="seconds of the long epoch")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="raysweep-soak-") as name:
        place = Path(name)
        (place / "marks").mkdir()
        text = SWEEP.format(
            file=Path(__file__).resolve(),
            trials=options.trials,
            epochs=EPOCHS,
            long=options.long,
            marks=place / "marks",
        )
        (place / "soak.yaml").write_text(text)
        began = time.monotonic()
        command = [sys.executable, str(ROOT / "run_sweep.py"), "--space", str(place / "soak.yaml")]
        done = subprocess.run(
            [*command, "--storage", name, "--name", "soak"],
            cwd=place,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - began
        problems = [*judge(place / "soak", options.trials)]
        if done.returncode:
            problems.append(f"exit code {done.returncode}:\n{done.stdout[-2000:]}{done.stderr}")
        tell(place / "soak", seconds, problems)
    return bool(problems)


def judge(folder: Path, count: int) -> Iterator[str]:
    """What is wrong with the run, a line each."""
    from raysweep.results.storage.run_directory import load

    run = load(folder)
    trials = [trial for history in run.histories.values() for trial in history]
    if len(trials) != count:
        yield f"{len(trials)} trials of {count}"
    for trial in trials:
        fate = fate_of(trial.config)
        # A trial whose process was killed is retried and completes. A diverged trial has reported
        # its second epoch; one that raised there has not.
        expected, epochs = {
            "killed": ("completed", EPOCHS),
            "completed": ("completed", EPOCHS),
            "diverged": ("diverged", EPOCHS),
        }.get(fate, (fate, 1))
        if str(trial.status) != expected or trial.epoch != epochs:
            ended = f"{trial.status} after epoch {trial.epoch} ({trial.reason})"
            yield f"{trial.id}: {ended}, expected {expected} after epoch {epochs}"
        if [report.epoch for report in trial.reports] != list(range(1, trial.epoch + 1)):
            yield f"{trial.id}: epochs {[report.epoch for report in trial.reports]}"
        if trial.attempts != 1 + (fate == "killed"):
            yield f"{trial.id}: {trial.attempts} attempts, {fate}"
        log = (folder / "logs" / f"{trial.id}.log").read_text()
        wanted = [f"{trial.id} begins epoch {epoch}" for epoch in range(1, EPOCHS + 1)]
        if not all(line in log for line in wanted) or "a library says so" not in log:
            yield f"{trial.id}: its log lacks lines"


def tell(folder: Path, seconds: float, problems: list[str]) -> None:
    """Print what was found."""
    from raysweep.results.storage.run_directory import load

    run = load(folder)
    trials = [trial for history in run.histories.values() for trial in history]
    counts = Counter(str(trial.status) for trial in trials)
    workers = {trial.notes.get("worker") for trial in trials}
    longest = max(trial.reports[0].seconds for trial in trials if trial.reports)
    others = [trial for trial in trials if trial.id != LONG_TRIAL]
    began = min(trial.notes["started"] for trial in others)
    spent = max(trial.notes["ended"] for trial in others) - began
    print(f"{len(trials):,} printing trials in {seconds:,.0f} s, the long one among them")
    print(f"the others took {spent:,.0f} s: {len(others) / spent:.1f} a second, on two workers")
    print(", ".join(f"{number:,} {status}" for status, number in sorted(counts.items())))
    killed = sum(fate_of(trial.config) == "killed" for trial in trials)
    print(f"{killed} of them were killed once and continued; {len(workers)} workers")
    print(f"longest first epoch: {longest:,.0f} s; problems: {len(problems)}")
    print("\n".join(problems[:50]))


if __name__ == "__main__":
    sys.exit(main())
