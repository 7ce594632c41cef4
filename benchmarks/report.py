"""How large the report of a large run is, and how long a browser takes to open it.

    python benchmarks/report.py [trials] [epochs]

Needs chromium and chromedriver. The page counts as open at its load event, when the table, the
findings and the first plot are there. Scrolling lasts until every plot has been drawn.
"""

from __future__ import annotations

import math
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from ruamel.yaml import YAML

from raysweep.history import Event
from raysweep.results.storage.ledger import NAME, encode
from raysweep.results.storage.run_directory import load
from raysweep.results.views.html.report import write

SPACE = {
    "lr": {"float": [1e-4, 1.0], "log": True},
    "width": {"int": [8, 256]},
    "dropout": {"float": [0.0, 0.6]},
    "weight_decay": {"float": [1e-6, 1e-2], "log": True},
    "optimizer": {"choice": ["sgd", "adam"]},
}


def large_run(folder: Path, trials: int, epochs: int) -> Path:
    """A run of three searchers on four workers, every trial trained to its end."""
    rng = np.random.default_rng(0)
    sweep = {
        "trainable": "a:train",
        "metric": {"name": "val_accuracy", "goal": "maximize"},
        "budget": {"epochs": epochs},
        "space": SPACE,
    }
    YAML(typ="safe", pure=True).dump(sweep, folder / "sweep.yaml")
    events: list[Event] = [{"event": "opened", "levels": [1, 3, 9, epochs], "time": 0.0}]
    for i in range(trials):
        events += trial_events(
            ("grid", "random", "bohb")[i % 3], i // 3, 30.0 * (i // 4), epochs, rng
        )
    events.sort(key=lambda event: event["time"])  # a ledger has events in the order of their times
    (folder / NAME).write_bytes(
        b"".join(encode(event, number) for number, event in enumerate(events))
    )
    return folder


def trial_events(
    study: str, number: int, start: float, epochs: int, rng: np.random.Generator
) -> list[Event]:
    config: dict[str, Any] = {
        "lr": float(10 ** rng.uniform(-4, 0)),
        "width": int(rng.integers(8, 257)),
        "dropout": float(rng.uniform(0, 0.6)),
    }
    config |= {
        "weight_decay": float(10 ** rng.uniform(-6, -2)),
        "optimizer": str(rng.choice(["sgd", "adam"])),
    }
    top, name = 0.98 - 0.05 * abs(math.log10(config["lr"]) + 2), f"{study}-{number}"
    events: list[Event] = [
        {
            "event": "proposed",
            "study": study,
            "number": number,
            "config": config,
            "seed": number,
            "time": start,
        },
        {"event": "started", "trial": name, "time": start},
    ]
    for epoch in range(1, epochs + 1):
        value = float(top * (1 - math.exp(-0.5 * epoch)) + rng.normal(0, 0.004))
        report = {
            "epoch": epoch,
            "loss": -value,
            "metrics": {"val_accuracy": value, "val_loss": 1 - value},
            "seconds": float(epoch),
        }
        events.append({"event": "reported", "trial": name, **report, "time": start + epoch})
    return [
        *events,
        {
            "event": "ended",
            "trial": name,
            "status": "completed",
            "reason": "",
            "time": start + epochs,
        },
    ]


def opened(page: Path, profile: str) -> tuple[float, float]:
    """Seconds until the page is usable, and until everything in it was drawn."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for word in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(word)
    driver: Any = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(shutil.which("chromedriver"))
    )
    try:
        driver.get(page.as_uri())
        usable = (
            driver.execute_script(
                "return performance.getEntriesByType('navigation')[0].loadEventEnd"
            )
            / 1000
        )
        began = time.perf_counter()
        driver.execute_script(
            "for (const place of document.querySelectorAll('[data-plot]')) draw(place); "
            "document.body.offsetHeight"
        )
        return usable, time.perf_counter() - began
    finally:
        driver.quit()


def main() -> None:
    trials, epochs = (int(word) for word in (sys.argv[1:] + ["1000", "27"][len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = large_run(Path(name), trials, epochs)
        began = time.perf_counter()
        page = write(load(folder))
        seconds = time.perf_counter() - began
        size = page.stat().st_size / 1e6
        usable, rest = opened(page, f"{name}/profile")
    written = f"{trials:,} trials of {epochs} epochs: {size:.1f} MB written in {seconds:.1f} s"
    print(f"{written}, usable in {usable:.1f} s, all plots {rest:.1f} s more")


if __name__ == "__main__":
    main()
