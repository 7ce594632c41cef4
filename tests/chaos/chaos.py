"""Kill a sweep again and again at random moments, and compare the end with an undisturbed sweep.

    python -m tests.chaos.chaos --kills 32 --seed 0        (which is `make chaos`)

One sweep with four searchers as studies and one worker first runs undisturbed. Then the same sweep
runs in a fresh folder, while a seeded SIGKILL hits its driver, a worker, the raylet or the head's
store (GCS) each time a few more reports have come. Whenever that ends the driver, the same command
with `--resume` continues. At the end both runs must be equal, number by number.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from raysweep.results.storage.run_directory import load
from tests.chaos.processes import TARGETS, kill, sweep_up
from tests.chaos.verdict import differences, lines_of, reports, studies, trained_twice

ROOT = Path(__file__).resolve().parents[2]
SWEEP = """\
trainable: {trainable}:noisy_and_written
metric: {{name: loss, goal: minimize}}
searcher: [grid, random, {{name: tpe, startup: 6}}, bohb]
scheduler: {{name: asha, type: stopping, grace: 1, eta: 3}}
budget: {{trials: {trials}, epochs: 9}}
parallel: 1
space:
  x: {{float: [0, 1], points: 5}}
  y: {{float: [0, 1], points: 5}}
  seconds: 0.03
  folder: {folder}
"""
PATIENCE = 120.0
"""The most seconds in which a driver must end after its raylet or its store was killed, or must
make progress."""


@dataclass
class Storm:
    """What the sweep survived.

    It holds the seconds until each killed sweep had ended: 0 if its driver was killed, and none if
    a worker was, because that ends no sweep.
    """

    ends: dict[str, list[float]] = field(default_factory=lambda: {target: [] for target in TARGETS})
    sessions: int = 0
    confirmed: set[tuple[str, int, float]] = field(default_factory=set)

    @property
    def kills(self) -> int:
        return sum(map(len, self.ends.values()))


def main() -> int:
    options = arguments()
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="raysweep-chaos-") as name:
        place = Path(name)
        began = time.monotonic()
        undisturbed(place, options.trials)
        calm = time.monotonic() - began
        storm = disturbed(place, options, draw)
        return tell(place, storm, calm, time.monotonic() - began - calm)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=32)
    parser.add_argument("--trials", type=int, default=14, help="for each of the four searchers")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def command(place: Path, name: str, trials: int, *more: str) -> list[str]:
    written = place / f"{name}-trained"
    written.mkdir(exist_ok=True)
    path = place / f"{name}.yaml"
    path.write_text(
        SWEEP.format(trainable=ROOT / "tests" / "chaos" / "train.py", trials=trials, folder=written)
    )
    run = [
        sys.executable,
        str(ROOT / "run_sweep.py"),
        "--space",
        str(path),
        "--storage",
        str(place / "runs"),
    ]
    return [*run, *(more or ("--name", name))]


def undisturbed(place: Path, trials: int) -> None:
    done = subprocess.run(
        command(place, "calm", trials), cwd=place, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(
            f"the undisturbed sweep ended with {done.returncode}:\n{done.stdout[-2000:]}\n"
            f"{done.stderr[-2000:]}"
        )


def disturbed(place: Path, options: argparse.Namespace, draw: random.Random) -> Storm:
    """Run, kill, resume, until the kills are used up and the sweep has ended."""
    storm = Storm()
    folder = place / "runs" / "storm"
    done = False
    while not done:
        more = ("--resume", "storm") if folder.exists() else ()
        with open(place / "storm.log", "a") as log:
            driver = subprocess.Popen(
                command(place, "storm", options.trials, *more),
                cwd=place,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        storm.sessions += 1
        try:
            done = session(driver, folder, options.kills, draw, storm)
        except SystemExit:
            print((place / "storm.log").read_text()[-4000:])
            raise
        finally:
            if driver.poll() is None:
                driver.kill()
            sweep_up(driver.pid)
    return storm


def session(
    driver: subprocess.Popen[bytes], folder: Path, kills: int, draw: random.Random, storm: Storm
) -> bool:
    """One session, until it ends by itself (True) or by a kill (False)."""
    while True:
        target = draw.choice(list(TARGETS))
        wait_for_reports(driver, folder, draw.randint(1, 4), draw.random() * 0.3)
        if driver.poll() is None and storm.kills < kills:
            storm.confirmed |= reports(folder)
            if not kill(driver.pid, target, draw):
                continue
            if target == "worker":
                storm.ends[target].append(0.0)
                continue
            storm.ends[target].append(
                wait_for_end(driver, -signal.SIGKILL if target == "driver" else 4)
            )
            if storm.confirmed - reports(folder):
                raise SystemExit(
                    "reports that the ledger had confirmed are lost: "
                    f"{sorted(storm.confirmed - reports(folder))}"
                )
            return False
        wait_for_end(driver, 0, PATIENCE * 5)
        return True


def wait_for_reports(
    driver: subprocess.Popen[bytes], folder: Path, count: int, more: float
) -> None:
    """Wait until `count` more reports are in the ledger, and `more` seconds."""
    deadline = time.monotonic() + PATIENCE
    before = len(reports(folder))
    while driver.poll() is None and len(reports(folder)) < before + count:
        if time.monotonic() > deadline:
            raise SystemExit(f"no progress in {PATIENCE:g} s")
        time.sleep(0.02)
    time.sleep(more)


def wait_for_end(driver: subprocess.Popen[bytes], code: int, seconds: float = PATIENCE) -> float:
    """Wait for a driver that must end with `code`; how many seconds it took."""
    began = time.monotonic()
    try:
        ended = driver.wait(seconds)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"the driver still hangs after {seconds:g} s") from None
    if ended != code:
        raise SystemExit(f"a session ended with {ended}, expected {code}")
    return time.monotonic() - began


def tell(place: Path, storm: Storm, calm: float, seconds: float) -> int:
    """Print the figures, or what went wrong; the exit code."""
    folder, written = place / "runs" / "storm", place / "storm-trained"
    problems = [
        *differences(load(place / "runs" / "calm"), load(folder)),
        *trained_twice(folder, written),
    ]
    problems += [f"lost: {one}" for one in sorted(storm.confirmed - reports(folder))]
    if problems:
        print("\n".join(problems))
        return 1
    print("| SIGKILL of the | times | the sweep |")
    print("| --- | ---: | --- |")
    for target, ends in storm.ends.items():
        longest = max(ends, default=0.0)
        consequences = {
            "worker": "continues",
            "driver": "continues with --resume",
        }
        ended = f"ends by itself with exit code 4 in at most {longest:.0f} s; --resume continues it"
        print(f"| {target} | {len(ends)} | {consequences.get(target, ended)} |")
    epochs = len(reports(folder))
    print(
        f"\n{storm.kills} kills in {storm.sessions} sessions and {seconds:.0f} s (undisturbed: "
        f"{calm:.0f} s). Every number is the same."
    )
    print(
        f"{epochs} epochs reported, 0 lost, 0 trained again; {lines_of(written) - epochs} were "
        "under way when they were killed."
    )
    print(
        "\n| searcher | trials | epochs | best, as in the undisturbed run |\n"
        "| --- | ---: | ---: | --- |"
    )
    for name, trials, spent, best in studies(folder):
        print(f"| {name} | {trials} | {spent} | {best} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
