"""Kill a sweep again and again, at random moments, and hold what is left at the end against the sweep that nobody killed.

    python -m tests.chaos.chaos --kills 32 --seed 0

One sweep with four searchers as arms and one worker is trained without trouble first. Then the same sweep is run in a fresh folder while
a seeded SIGKILL hits its driver, a worker, the raylet or the head's store (GCS) once a few more reports have come; whenever that ends the
driver, the same command with `--resume` goes on. At the end both must tell the same story, number by number.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from results.folder import load
from results.ledger import LedgerError, read

ROOT = Path(__file__).resolve().parents[2]
SWEEP = """\
trainable: {trainable}:noisy_and_written
metric: {{name: loss, goal: minimize}}
searcher: [grid, random, tpe, bohb]
scheduler: {{name: asha, grace: 1, eta: 3}}
budget: {{trials: {trials}, epochs: 9}}
parallel: 1
space:
  x: {{float: [0, 1], points: 5}}
  y: {{float: [0, 1], points: 5}}
  seconds: 0.03
  folder: {folder}
"""
TARGETS = ("driver", "worker", "raylet", "gcs_server")
PATIENCE = 120.0
"""Seconds that a driver may take to end after its raylet or its store was killed, or to make progress at all."""


@dataclass
class Story:
    """What was survived."""

    kills: Counter[str] = field(default_factory=Counter)
    sessions: int = 0
    confirmed: int = 0


def main() -> int:
    options = arguments()
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="raysweep-chaos-") as name:
        place = Path(name)
        began = time.monotonic()
        undisturbed(place, options.trials)
        calm = time.monotonic() - began
        story = disturbed(place, options, draw)
        problems = [*differences(place), *trained_twice(place)]
    print(
        f"undisturbed {calm:.0f} s; {sum(story.kills.values())} kills in {story.sessions} sessions, {time.monotonic() - began - calm:.0f} s"
    )
    for target in TARGETS:
        print(f"  SIGKILL of the {target:<12} {story.kills[target]:3d} survived")
    print(f"  reports confirmed before a kill: {story.confirmed}, lost: 0" if not problems else "\n".join(problems))
    return 1 if problems else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=32)
    parser.add_argument("--trials", type=int, default=18, help="for each of the four searchers")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def command(place: Path, name: str, trials: int, *more: str) -> list[str]:
    written = place / f"{name}-trained"
    written.mkdir(exist_ok=True)
    path = place / f"{name}.yaml"
    path.write_text(SWEEP.format(trainable=ROOT / "tests" / "chaos" / "train.py", trials=trials, folder=written))
    run = [sys.executable, str(ROOT / "run_sweep.py"), "--space", str(path), "--storage", str(place / "runs")]
    return [*run, *(more or ("--name", name))]


def undisturbed(place: Path, trials: int) -> None:
    done = subprocess.run(command(place, "calm", trials), cwd=place, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"the undisturbed sweep ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


def disturbed(place: Path, options: argparse.Namespace, draw: random.Random) -> Story:
    """Run, kill, resume, until the kills are used up and the sweep has ended."""
    story = Story()
    folder = place / "runs" / "storm"
    done = False
    while not done:
        more = ("--resume", "storm") if folder.exists() else ()
        with open(place / "storm.log", "a") as log:
            driver = subprocess.Popen(
                command(place, "storm", options.trials, *more), cwd=place, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        story.sessions += 1
        done = session(driver, folder, options.kills, draw, story)
        sweep_up(driver.pid)
        if not done and driver.returncode not in (-signal.SIGKILL, 1, 4):
            raise SystemExit(f"a session ended with {driver.returncode}:\n{(place / 'storm.log').read_text()[-4000:]}")
    return story


def session(driver: subprocess.Popen[bytes], folder: Path, kills: int, draw: random.Random, story: Story) -> bool:
    """One session, until it ends by itself (True) or by a kill (False)."""
    while True:
        target = draw.choice(TARGETS)
        wait_for_reports(driver, folder, draw.randint(1, 6), draw.random() * 0.3)
        if driver.poll() is not None:
            return driver.returncode == 0
        if sum(story.kills.values()) >= kills:
            driver.wait(PATIENCE * 5)
            return driver.returncode == 0
        before = reports(folder)
        if not kill(driver.pid, target, draw):
            continue
        story.kills[target] += 1
        story.confirmed += len(before)
        if target != "worker":
            wait_for_end(driver)
            lost = before - reports(folder)
            if lost:
                raise SystemExit(f"reports that the ledger had confirmed are lost: {sorted(lost)}")
            return False


def wait_for_reports(driver: subprocess.Popen[bytes], folder: Path, count: int, more: float) -> None:
    """Wait until `count` more reports are in the ledger, and `more` seconds."""
    deadline = time.monotonic() + PATIENCE
    before = len(reports(folder))
    while driver.poll() is None and len(reports(folder)) < before + count:
        if time.monotonic() > deadline:
            raise SystemExit(f"no progress in {PATIENCE:g} s")
        time.sleep(0.02)
    time.sleep(more)


def wait_for_end(driver: subprocess.Popen[bytes]) -> None:
    try:
        driver.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"the driver still hangs {PATIENCE:g} s after it lost its Ray") from None


def reports(folder: Path) -> set[tuple[str, int, float]]:
    """What the ledger has confirmed."""
    try:
        return {(event["trial"], event["epoch"], event["loss"]) for event in read(folder) if event["event"] == "reported"}
    except LedgerError as error:
        raise SystemExit(f"the ledger is damaged: {error}") from None


def kill(driver: int, target: str, draw: random.Random) -> bool:
    """SIGKILL the driver or one of its descendants; False where there is no such process at present."""
    names = {"driver": [driver], "worker": workers(driver)}
    victims = names[target] if target in names else [pid for pid in descendants(driver) if target in name_of(pid)]
    if not victims:
        return False
    os.kill(draw.choice(victims), signal.SIGKILL)
    return True


def workers(driver: int) -> list[int]:
    """The processes that train (Ray names them after what they run)."""
    return [pid for pid in descendants(driver) if "ImplicitFunc" in name_of(pid)]


def descendants(pid: int) -> list[int]:
    """All processes below `pid`, and those of its session that outlived their parent."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(path.parent.name)] = (int(fields[1]), int(fields[3]))
    below = {child for child, (_, session) in parents.items() if session == pid and child != pid}
    grown = True
    while grown:
        more = {child for child, (parent, _) in parents.items() if parent in below | {pid}} - below
        grown = bool(more)
        below |= more
    return sorted(below)


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def sweep_up(driver: int) -> None:
    """End what a killed driver left behind: only processes of its own session."""
    deadline = time.monotonic() + 20
    while (left := descendants(driver)) and time.monotonic() < deadline:
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.1)


def differences(place: Path) -> list[str]:
    """Where the two runs tell different stories."""
    calm, storm = (load(place / "runs" / name) for name in ("calm", "storm"))
    stories = [
        {
            trial.id: (
                {key: value for key, value in trial.config.items() if key != "folder"},
                trial.seed,
                [(report.epoch, report.loss, dict(report.metrics)) for report in trial.reports],
                str(trial.status),
                trial.reason,
            )
            for history in run.histories.values()
            for trial in history
        }
        for run in (calm, storm)
    ]
    wrong = [name for name in sorted({*stories[0], *stories[1]}) if stories[0].get(name) != stories[1].get(name)]
    best = [f"the best differs: {calm.best.trial.id}, {storm.best.trial.id}"] if calm.best.trial.id != storm.best.trial.id else []
    return best + [f"{name} differs:\n  calm  {stories[0].get(name)}\n  storm {stories[1].get(name)}" for name in wrong]


def trained_twice(place: Path) -> list[str]:
    """Epochs that were trained again although the ledger had confirmed their report when training began."""
    confirmed = {
        (event["trial"], event["epoch"]): event["time"] for event in read(place / "runs" / "storm") if event["event"] == "reported"
    }
    twice = []
    for path in sorted((place / "storm-trained").iterdir()):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            known = confirmed.get((entry["trial"], entry["epoch"]))
            if known is not None and entry["time"] > known:
                twice.append(f"{entry['trial']} epoch {entry['epoch']} was trained again after its report was confirmed")
    return twice


if __name__ == "__main__":
    sys.exit(main())
