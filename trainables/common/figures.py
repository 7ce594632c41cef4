"""Pictures of a classifier's predictions for TensorBoard: a confusion matrix, and labelled images.

Drawn with Pillow, which comes with torchvision. Each picture is a float tensor of shape
(1, 3, height, width) with values in 0 .. 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

CELL, TILE, EDGE, CAPTION = 30, 80, 4, 18
"""In pixels: a cell of the matrix, an image, the space between images, and a line of text."""
FONT_SIZE = 12
COLUMN_NAME_CHARACTERS = 4
"""How much of a class's name fits above a column."""
MOST_CLASSES_WITH_COUNTS = 25
"""Matrices of more classes show colours only."""
INK, PAPER, CORRECT, WRONG = (38, 38, 38), (255, 255, 255), (24, 110, 60), (196, 40, 40)
FULL = (20, 84, 160)
"""The colour of a cell that has all samples of its row."""
GRID = (225, 225, 225)

Colour = tuple[int, ...]


def confusion(labels: Tensor, predictions: Tensor, names: Sequence[str]) -> Tensor:
    """A confusion matrix: a row for each label, a column for each prediction.

    The darker a cell, the larger its part of the row. `labels` and `predictions` are of shape (n,).
    """
    classes = len(names)
    counts = torch.zeros(classes, classes, dtype=torch.long)
    counts.index_put_((labels, predictions), torch.ones_like(labels), accumulate=True)
    font = _font()
    left = EDGE + max(12, *(round(font.getlength(name)) for name in names)) + EDGE
    top = 2 * CAPTION
    canvas, pen = _paper(left + classes * CELL + EDGE, top + classes * CELL + EDGE)
    pen.text((EDGE, EDGE), "rows: labels, columns: predictions", INK, font)
    for i, name in enumerate(names):
        middle = (i + 0.5) * CELL
        pen.text((left + middle, top - CAPTION + 2), name[:COLUMN_NAME_CHARACTERS], INK, font, "ma")
        pen.text((left - EDGE, top + middle), name, INK, font, "rm")
        row = counts[i].tolist()
        for j, count in enumerate(row):
            corner = (left + j * CELL, top + i * CELL)
            part = count / max(1, sum(row))
            _draw_cell(pen, corner, part)
            if count and classes <= MOST_CLASSES_WITH_COUNTS:
                _write_count(pen, corner, part, count)
    return _tensor(canvas)


def _draw_cell(pen: Any, corner: tuple[int, int], part: float) -> None:
    x, y = corner
    box = (x, y, x + CELL - 2, y + CELL - 2)
    pen.rectangle(box, _mix(PAPER, FULL, part), GRID)


def _write_count(pen: Any, corner: tuple[int, int], part: float, count: int) -> None:
    x, y = corner
    centre = (x + CELL / 2 - 1, y + CELL / 2 - 1)
    ink = PAPER if part > 0.5 else INK  # on a dark cell, dark ink could not be read
    pen.text(centre, str(count), ink, _font(), "mm")


def _mix(first: Colour, second: Colour, part: float) -> Colour:
    return tuple(round(a + (b - a) * part) for a, b in zip(first, second, strict=True))


def predictions(
    images: Tensor, labels: Tensor, predicted: Tensor, names: Sequence[str], across: int = 4
) -> Tensor:
    """Images in rows of `across`, each above its prediction, and above its label if that differs.

    The values of each image, of shape (channels, height, width), are scaled to their own range.
    """
    rows = -(-len(images) // across)
    column_step, row_step = TILE + EDGE, TILE + CAPTION + EDGE
    canvas, pen = _paper(EDGE + across * column_step, EDGE + rows * row_step)
    shown = zip(_tiles(images), labels.tolist(), predicted.tolist(), strict=True)
    for i, (tile, label, prediction) in enumerate(shown):
        row, column = divmod(i, across)
        x, y = EDGE + column * column_step, EDGE + row * row_step
        canvas.paste(tile, (x, y))
        caption, colour = names[prediction], CORRECT
        if prediction != label:
            caption, colour = f"{names[prediction]}, is {names[label]}", WRONG
        pen.text((x, y + TILE + 1), caption, colour, _font())
    return _tensor(canvas)


def _tiles(images: Tensor) -> list[Any]:
    """Each image in colour, `TILE` pixels wide and high."""
    from PIL import Image

    images = images.float()
    low = images.amin(dim=(1, 2, 3), keepdim=True)
    high = images.amax(dim=(1, 2, 3), keepdim=True)
    scaled = (images - low) / (high - low + 1e-6)  # an image of a single value has no range
    tiles = interpolate(scaled, size=(TILE, TILE), mode="nearest").expand(-1, 3, -1, -1)
    return [Image.fromarray((tile.permute(1, 2, 0) * 255).byte().cpu().numpy()) for tile in tiles]


def _paper(width: int, height: int) -> tuple[Any, Any]:
    from PIL import Image, ImageDraw

    canvas = Image.new("RGB", (width, height), PAPER)
    return canvas, ImageDraw.Draw(canvas)


def _font() -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(FONT_SIZE)


def _tensor(canvas: Any) -> Tensor:
    import numpy as np

    return torch.from_numpy(np.array(canvas)).permute(2, 0, 1)[None] / 255
