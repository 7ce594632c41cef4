"""What a trial costs beyond its training: Ray Tune, raysweep, and the training alone, in one call.

    python benchmarks/overhead.py [--trials 60] [--cores 2]

The same short trials four times: by a loop without any service, divided by the cores; by Ray Tune
as its documentation shows it (a function trainable, ASHAScheduler, defaults); by a raysweep sweep
with ASHA, its ledger, tables and TensorBoard files; and by the same sweep of trials that print,
log, warn and show a progress bar. The two sweeps have five times as many trials, because a second
more or less would change the few seconds of 60 by a fifth. Start-up, until the first report, is
counted apart. Each runs in a process of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

SWEEPS = ("ours", "printing")
NAMES = ("bare", "plain", *SWEEPS)
SWEEP = """\
trainable: {task}:{function}
metric: {{name: loss, goal: minimize}}
searcher: random
scheduler: {{name: asha, type: stopping, grace: 1, eta: 4}}
budget: {{trials: {trials}, epochs: 3}}
parallel: {cores}
space:
  lr: {{float: [1e-3, 1e-1], log: true}}
  marks: {marks}
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", choices=NAMES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        run = {"bare": bare, "plain": plain, "ours": ours, "printing": printing}[options.only]
        print(json.dumps(run(options.folder, options.trials, options.cores)))
        return
    counts = {name: options.trials * (5 if name in SWEEPS else 1) for name in NAMES}
    figures = {name: measured(name, counts[name], options.cores) for name in NAMES}
    table(figures, counts, options.cores)


def measured(name: str, trials: int, cores: int) -> dict[str, float]:
    """One of NAMES in a fresh process: seconds of `startup`, and of the `rest`."""
    with tempfile.TemporaryDirectory(prefix="raysweep-overhead-") as folder:
        command = [
            sys.executable,
            __file__,
            "--only",
            name,
            "--folder",
            folder,
            "--trials",
            str(trials),
            "--cores",
            str(cores),
        ]
        # Ray Tune's workers import this project's benchmarks, wherever they are started.
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise SystemExit(f"{name} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def bare(folder: Path, trials: int, cores: int) -> dict[str, float]:
    """The training alone, on one thread as in a trial, divided by the cores."""
    import torch

    from benchmarks.overhead_task import epochs

    torch.set_num_threads(1)
    list(epochs({"lr": 0.01}))  # the first one also imports what optimizers need
    began = time.time()
    for _ in range(trials):
        list(epochs({"lr": 0.01}))
    return {"startup": 0.0, "rest": (time.time() - began) / cores}


def plain(folder: Path, trials: int, cores: int) -> dict[str, float]:
    """Ray Tune with its defaults."""
    began = time.time()
    # Standard output is for the figures alone, and Ray prints tables of its own.
    with contextlib.redirect_stdout(sys.stderr):
        import ray
        from ray import tune

        from benchmarks.overhead_task import plain as trainable

        path = folder / "marks"
        ray.init(num_cpus=cores, include_dashboard=False, address="local")
        tune.Tuner(
            trainable,
            param_space={"lr": tune.loguniform(1e-3, 1e-1), "marks": str(path)},
            tune_config=tune.TuneConfig(
                metric="loss",
                mode="min",
                num_samples=trials,
                scheduler=tune.schedulers.ASHAScheduler(),
            ),
            run_config=tune.RunConfig(storage_path=str(folder)),
        ).fit()
        ended = time.time()
        ray.shutdown()
    return split(path, began, ended, trials)


def ours(folder: Path, trials: int, cores: int) -> dict[str, float]:
    """The same trials as a sweep."""
    return swept("train", folder, trials, cores)


def printing(folder: Path, trials: int, cores: int) -> dict[str, float]:
    """A sweep of trials that print."""
    return swept("train_printing", folder, trials, cores)


def swept(function: str, folder: Path, trials: int, cores: int) -> dict[str, float]:
    path, sweep = folder / "marks", folder / "sweep.yaml"
    task = ROOT / "benchmarks" / "overhead_task.py"
    sweep.write_text(
        SWEEP.format(task=task, function=function, trials=trials, cores=cores, marks=path)
    )
    began = time.time()
    command = [
        sys.executable,
        str(ROOT / "run_sweep.py"),
        "--space",
        str(sweep),
        "--storage",
        str(folder),
        "--name",
        "ours",
    ]
    subprocess.run(command, check=True, stdout=sys.stderr)
    from raysweep.results.storage.ledger import read

    return split(path, began, read(folder / "ours")[-1]["time"], trials)


def split(path: Path, began: float, ended: float, trials: int) -> dict[str, float]:
    from benchmarks.overhead_task import EPOCHS, marks

    # The train function itself notes its reports: neither system's own clock is trusted.
    times = marks(path)
    if len(times) != trials * EPOCHS:
        raise SystemExit(
            f"{len(times)} reports instead of {trials * EPOCHS}: the systems did not train the same"
        )
    return {"startup": times[0] - began, "rest": ended - times[0]}


def table(figures: dict[str, dict[str, float]], counts: dict[str, int], cores: int) -> None:
    bare_seconds = figures["bare"]["rest"] / counts["bare"]
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"trials of 3 epochs, {cores} at once; {machine}")
    print(f"{'':<28}{'trials':>7}{'start-up':>10}{'the rest':>10}{'overhead per trial':>20}")
    overheads = {}
    for name, label in (
        ("bare", "bare training / cores"),
        ("plain", "Ray Tune as documented"),
        ("ours", "raysweep"),
        ("printing", "raysweep, trials that print"),
    ):
        rest = figures[name]["rest"]
        overheads[name] = rest / counts[name] - bare_seconds
        startup, overhead = figures[name]["startup"], 1000 * overheads[name]
        sizes = f"{counts[name]:>7}{startup:>8.1f} s{rest:>8.1f} s"
        print(f"{label:<28}{sizes}{overhead:>17.0f} ms")
    ratio = overheads["plain"] / overheads["ours"]
    print(f"overhead of plain Ray / overhead of raysweep: {ratio:.0f}")
    share = figures["printing"]["rest"] / figures["ours"]["rest"]
    print(f"trials that print / silent ones: {share:.2f} of the time")


if __name__ == "__main__":
    main()
