"""A sweep as a user types it, run in this process.

It takes a YAML file and arguments, and gives an exit code and the run directory.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from raysweep.results.storage.run_directory import RunDirectory, load
from raysweep.tune.cli.app import main

SWEEP = """\
trainable: {trainable}
metric: {{name: loss, goal: minimize}}
searcher: {searcher}
scheduler: none
budget: {{trials: {trials}, epochs: {epochs}}}
parallel: 1
space:
  x: {{float: [0, 1]}}
{more}"""


@dataclass(frozen=True)
class Typed:
    """`raysweep run --space <place>/sweep.yaml --storage <place>/runs`."""

    place: Path

    def write(
        self,
        function: str = "tests.trainables:bowl",
        searcher: str = "random",
        trials: int = 3,
        epochs: int = 3,
        more: str = "",
    ) -> Path:
        path = self.place / "sweep.yaml"
        path.write_text(
            SWEEP.format(
                trainable=function, searcher=searcher, trials=trials, epochs=epochs, more=more
            )
        )
        return path

    def arguments(self, *more: str) -> list[str]:
        return [
            "run",
            "--space",
            str(self.place / "sweep.yaml"),
            "--storage",
            str(self.place / "runs"),
            *more,
        ]

    def run(self, *more: str) -> int:
        """The exit code of a new run called `first`, or of what `more` says."""
        return main(self.arguments(*(more or ("--name", "first"))))

    def folder(self, name: str = "first") -> RunDirectory:
        return load(self.place / "runs" / name)


def numbers(run: RunDirectory) -> list[tuple[object, ...]]:
    """All that two runs must agree on."""
    return [
        (
            trial.id,
            trial.config,
            trial.seed,
            [(report.epoch, dict(report.metrics)) for report in trial.reports],
            trial.status,
            trial.reason,
        )
        for history in run.histories.values()
        for trial in history
    ]
