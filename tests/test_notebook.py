"""What a notebook shows, and how its stop button ends a sweep: in a real kernel."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from raysweep.history import Config
from raysweep.tune.executors.simulated import simulate
from raysweep.tune.notebook import MOST_ROWS, is_notebook, page
from raysweep.tune.sweep import Budget
from tests.sweeps import sweep

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "notebook" / "first_sweep.ipynb"
KERNEL_SECONDS = 280
"""How long a cell may take: Ray starts in it, on a machine that may be busy."""


def curve(config: Config, seed: int) -> Iterator[tuple[dict[str, float], float]]:
    for epoch in range(1, 4):
        yield {"loss": config["x"] / epoch}, 1.0


def test_the_page_shows_the_state_and_the_best_trials() -> None:
    controller = simulate(sweep(budget=Budget(trials=12, epochs=3)), curve, workers=2)
    html = page("<mine>", controller)
    assert "&lt;mine&gt;" in html
    assert "12 completed, 36 epochs" in html
    assert "width:100%" in html
    assert html.count("<tr>") == 1 + MOST_ROWS
    best = min(controller.trials, key=lambda trial: trial.config["x"])
    assert html.index(f">{best.id}<") == html.index(">draw-")


def test_the_page_before_the_first_report_has_no_table() -> None:
    controller = simulate(sweep(budget=Budget(trials=0, epochs=3)), curve, workers=1)
    assert "<table>" not in page("mine", controller)


def test_a_test_is_no_notebook() -> None:
    assert not is_notebook()


@contextmanager
def kernel(cells: list[str], folder: Path) -> Iterator[Any]:
    """A client of a kernel that was started in a folder, with a notebook of these cells."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = nbclient.NotebookClient(
        notebook, timeout=KERNEL_SECONDS, resources={"metadata": {"path": str(folder)}}
    )
    with client.setup_kernel():
        yield client


def outputs(cell: Any) -> list[Any]:
    """What a cell shows: of an output that was updated in place, the last state."""
    return [output for output in cell["outputs"] if output["output_type"] != "stream"]


def printed(cell: Any) -> str:
    return "".join(
        output["text"] for output in cell["outputs"] if output["output_type"] == "stream"
    )


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.examples
def test_the_example_runs_from_top_to_bottom(tmp_path: Path) -> None:
    notebook = nbformat.read(EXAMPLE, as_version=4)
    code = [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    with kernel(code, tmp_path) as client:
        cells = [client.execute_cell(cell, index) for index, cell in enumerate(client.nb["cells"])]
    (table,) = outputs(cells[1])
    html = table["data"]["text/html"]
    assert "auto-0" in html
    assert "report: ray_results/moons/report.html" in html
    assert printed(cells[1]) == ""
    assert json.loads((tmp_path / "ray_results/moons/best/metrics.json").read_text())["metrics"]
    assert "val_accuracy" in cells[4]["outputs"][0]["data"]["text/plain"]


INTERRUPTED = """
import time
import raysweep as rs

def train(config, run):
    for epoch in run.epochs():
        time.sleep(0.5)
        run.report(loss=config["x"] + 1 / epoch)

sweep = rs.Sweep(train, {"x": rs.Float(0, 1)}, "loss", {"trials": 50, "epochs": 20})
run = sweep.run(name="stopped")
"""
AFTER = "print(len(run.trials) < 50, run.best.epoch > 0, run.state)"
RESUMED = """
more = rs.Sweep.from_yaml("ray_results/stopped/sweep.yaml", {"budget.trials": 50})
print(more._sweep.trainable.endswith("ray_results/stopped/train_function.pkl:train"))
"""


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.examples
def test_the_stop_button_ends_the_sweep_and_the_run_is_there(tmp_path: Path) -> None:
    with kernel([INTERRUPTED, AFTER, RESUMED], tmp_path) as client:
        pressed = threading.Thread(target=_press_stop, args=(client, tmp_path / "ray_results"))
        pressed.start()
        cells = [client.execute_cell(cell, index) for index, cell in enumerate(client.nb["cells"])]
        pressed.join()
    assert "to continue it" in str(outputs(cells[0])[0]["data"]["text/html"])
    assert printed(cells[1]) == "True True interrupted\n"
    assert printed(cells[2]) == "True\n"


def _press_stop(client: Any, storage: Path) -> None:
    """Interrupt the kernel, as the stop button does, once the first trial has reported."""
    ledger = storage / "stopped" / "ledger.jsonl"
    until = time.monotonic() + KERNEL_SECONDS
    while time.monotonic() < until:
        if ledger.exists() and '"event":"reported"' in ledger.read_text():
            os.killpg(client.km.provisioner.pgid, signal.SIGINT)
            return
        time.sleep(0.2)
