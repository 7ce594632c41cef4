"""TensorBoard beyond scalars: it can be read back, and takes no more time than allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from raysweep.results.views.tensorboard import show
from raysweep.trainables.common.classification import _draw_images
from raysweep.trainables.common.figures import CAPTION, CELL, EDGE, FULL, PAPER, TILE, confusion
from raysweep.trainables.runtime import tensorboard
from raysweep.trainables.runtime.run import LocalRun
from raysweep.trainables.runtime.tensorboard import Board


def read(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(
        str(folder), size_guidance={"histograms": 0, "images": 0, "tensors": 0}
    )
    accumulator.Reload()
    return accumulator


def trained(folder: Path) -> None:
    model = nn.Linear(3, 2)
    run = LocalRun(2, folder=folder, quiet=True)
    for _ in run.epochs(model=model):
        model(torch.ones(1, 3)).sum().backward()
        run.board.histograms(model)
        run.board.images("confusion", torch.rand(1, 1, 4, 4))
        run.board.mesh("cloud", torch.rand(1, 5, 3))
        run.report(loss=1)


@pytest.fixture
def generous(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorboard, "MAX_TIME_FRACTION", 1e9)


def test_what_is_drawn_reads_back(tmp_path: Path, generous: None) -> None:
    trained(tmp_path / "trials" / "t-0")
    show(tmp_path, "t-0")
    show(tmp_path, "t-1")
    content = read(tmp_path / "tensorboard" / "t-0" / "board")
    assert content.Tags()["histograms"] == [
        "weights/weight",
        "gradients/weight",
        "weights/bias",
        "gradients/bias",
    ]
    assert [event.step for event in content.Histograms("weights/weight")] == [1, 2]
    assert [event.step for event in content.Images("confusion")] == [1, 2]
    assert any("cloud" in tag for tag in content.Tags()["tensors"])


def test_what_would_take_too_long_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorboard, "MAX_TIME_FRACTION", 0.0)
    trained(tmp_path)
    assert not (tmp_path / tensorboard.FOLDER).exists()


def test_what_took_long_waits_until_there_is_time_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch.utils.tensorboard

    now = [0.0]
    monkeypatch.setattr(torch.utils.tensorboard, "SummaryWriter", lambda folder: None)
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    one, written = Board(tmp_path), []
    for epoch in range(1, 101):
        now[0] += 1.0

        def draw(writer: Any, epoch: int = epoch) -> None:
            now[0] += 0.2
            written.append(epoch)

        one.begin(epoch)
        one._write("figure", draw)
    assert sum(0.2 for _ in written) <= 0.03 * now[0]
    assert len(written) > 10


def test_a_model_that_diverged_is_drawn_as_far_as_it_is_finite(
    tmp_path: Path, generous: None
) -> None:
    model = nn.Linear(2, 2)
    with torch.no_grad():
        model.weight.fill_(float("nan"))
        model.bias[0] = float("inf")
    one = Board(tmp_path)
    one.begin(1)
    one.histograms(model)
    one.close()
    assert read(tmp_path / tensorboard.FOLDER).Tags()["histograms"] == ["weights/bias"]


def test_a_picture_that_nobody_has_time_for_is_not_made(tmp_path: Path) -> None:
    Board(tmp_path).images("x", lambda: pytest.fail("made"))


def test_a_confusion_matrix_is_dark_where_a_label_was_taken_for_what_it_is() -> None:
    labels, guesses = torch.tensor([0, 0, 0, 1, 1, 2]), torch.tensor([0, 0, 0, 1, 0, 2])
    (picture,) = confusion(labels, guesses, ["a", "b", "c"])
    left, top = picture.shape[2] - EDGE - 3 * CELL, picture.shape[1] - EDGE - 3 * CELL
    shades = [
        [picture[:, top + i * CELL + 4, left + j * CELL + 4] for j in range(3)] for i in range(3)
    ]
    paper, full = torch.tensor(PAPER) / 255, torch.tensor(FULL) / 255
    parts = [[((paper - shade) / (paper - full)).mean().item() for shade in row] for row in shades]
    expected = [[1, 0, 0], [0.5, 0.5, 0], [0, 0, 1]]
    assert [pytest.approx(row, abs=0.01) for row in expected] == parts


def test_wrong_answers_come_first_and_in_red() -> None:
    images = torch.rand(30, 1, 8, 8)
    labels = torch.zeros(30, dtype=torch.long)
    taken = labels.clone()
    taken[17] = 1
    (picture,) = _draw_images(images, labels, taken, ["good", "bad"])
    row = picture[:, EDGE + TILE + 1 : EDGE + TILE + CAPTION]
    redder = [(row[0] - row[1])[:, x : x + TILE] for x in (EDGE, 2 * EDGE + TILE)]
    assert redder[0].max() > 0.3
    assert redder[1].max() < 0.05
    assert redder[1].min() < -0.2


def test_without_a_folder_nothing_is_drawn(generous: None) -> None:
    one = Board(None)
    one.images("x", torch.rand(1, 1, 2, 2))
    one.close()
