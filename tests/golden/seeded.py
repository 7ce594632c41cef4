"""The table of a seeded sweep on Ray: `python -m tests.golden.seeded` records it.

One trial runs at a time, so that the order of the reports, and with it every proposal and every
promotion, follows from the seed.
"""

from __future__ import annotations

import csv
import io
import json
import tempfile
from pathlib import Path

from raysweep.results.storage.run_directory import RunDirectory, load
from raysweep.tune.cli.app import main as raysweep
from raysweep.tune.executors.ray.connection import Machines, cluster
from tests.golden.play import STATUS_WORDS

PATH = Path(__file__).parent / "seeded_run.csv"
HEADER = ("trial", "config", "status", "losses")
SWEEP = """\
trainable: tests.data.steady:train
metric: {name: loss, goal: minimize}
searcher: [bohb, auto]
scheduler: {name: asha, type: promotion}
budget: {trials: 10, epochs: 4}
parallel: 1
seed: 1
resources: {cpu: 1, gpu: 0}
space:
  x: {float: [0, 1]}
  kind: {choice: [flat, curved]}
  y: {float: [0.1, 10], log: true, when: {kind: curved}}
  model.width: {int: [4, 16]}
"""


def run(folder: Path) -> RunDirectory:
    """Run the sweep through the command line."""
    (folder / "sweep.yaml").write_text(SWEEP)
    words = ["--space", str(folder / "sweep.yaml"), "--storage", str(folder), "--name", "seeded"]
    code = raysweep(["run", *words])
    if code != 0:
        raise RuntimeError(f"exit code {code}")
    return load(folder / "seeded")


def table(run: RunDirectory) -> str:
    """A line for each trial, as CSV. The losses are those of the epochs, in full precision."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    for history in run.histories.values():
        for trial in history:
            losses = [report.loss for report in trial.reports]
            config = json.dumps(trial.config, sort_keys=True)
            status = STATUS_WORDS[trial.status]
            writer.writerow((trial.id, config, status, " ".join(map(repr, losses))))
    return out.getvalue()


def main() -> None:
    """Record the table."""
    with (
        tempfile.TemporaryDirectory() as folder,
        cluster(Machines(cpus=2, gpus=0), Path(folder) / "ray-logs"),
    ):
        PATH.write_text(table(run(Path(folder))), encoding="utf-8")


if __name__ == "__main__":
    main()
