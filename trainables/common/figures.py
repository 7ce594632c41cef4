"""What a classifier answers, as pictures for TensorBoard: a confusion matrix, and images with what they were taken for.

Drawn with Pillow, which comes with torchvision. Each is a float tensor of shape (1, 3, height, width), values 0 .. 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

CELL, TILE, EDGE, CAPTION = 30, 80, 4, 18
WIDEST = 4
"""Characters of a class's name over a column."""
MOST_NAMED = 25
"""Up to so many classes the counts are written into their cells."""
INK, PAPER, RIGHT, WRONG = (38, 38, 38), (255, 255, 255), (24, 110, 60), (196, 40, 40)
FULL = (20, 84, 160)


def confusion(labels: Tensor, guesses: Tensor, names: Sequence[str]) -> Tensor:
    """A row for each class, a column for each that it was taken for; the darker, the larger a part of the row."""
    count = len(names)
    table = torch.zeros(count, count, dtype=torch.long).index_put_(
        (labels, guesses), torch.ones_like(labels), accumulate=True
    )
    left = EDGE + max(12, *(round(_font().getlength(name)) for name in names)) + EDGE
    top = 2 * CAPTION
    canvas, pen = _paper(left + count * CELL + EDGE, top + count * CELL + EDGE)
    pen.text((EDGE, EDGE), "rows: labels, columns: guesses", INK, _font())
    for i, name in enumerate(names):
        pen.text((left + (i + 0.5) * CELL, top - CAPTION + 2), name[:WIDEST], INK, _font(), "ma")
        pen.text((left - EDGE, top + (i + 0.5) * CELL), name, INK, _font(), "rm")
        for j in range(count):
            _cell(
                pen,
                (left + j * CELL, top + i * CELL),
                int(table[i, j]),
                int(table[i].sum()),
                count <= MOST_NAMED,
            )
    return _tensor(canvas)


def _cell(pen: Any, corner: tuple[int, int], number: int, whole: int, named: bool) -> None:
    part = number / whole if whole else 0.0
    colour = tuple(
        round(paper + (full - paper) * part) for paper, full in zip(PAPER, FULL, strict=True)
    )
    x, y = corner
    pen.rectangle((x, y, x + CELL - 2, y + CELL - 2), colour, (225, 225, 225))
    if named and number:
        pen.text(
            (x + CELL / 2 - 1, y + CELL / 2 - 1),
            str(number),
            PAPER if part > 0.5 else INK,
            _font(),
            "mm",
        )


def answers(
    images: Tensor, labels: Tensor, guesses: Tensor, names: Sequence[str], across: int = 4
) -> Tensor:
    """Images in rows of `across`, each with its guess, and where that is wrong, its label. Each image's own range of values is shown."""
    down = -(-len(images) // across)
    step, deep = TILE + EDGE, TILE + CAPTION + EDGE
    canvas, pen = _paper(EDGE + across * step, EDGE + down * deep)
    for i, (tile, label, guess) in enumerate(
        zip(_tiles(images), labels.tolist(), guesses.tolist(), strict=True)
    ):
        x, y = EDGE + i % across * step, EDGE + i // across * deep
        canvas.paste(tile, (x, y))
        said = names[guess] if label == guess else f"{names[guess]}, is {names[label]}"
        pen.text((x, y + TILE + 1), said, RIGHT if label == guess else WRONG, _font())
    return _tensor(canvas)


def _tiles(images: Tensor) -> list[Any]:
    from PIL import Image

    flat = images.float().flatten(1)
    low, high = (
        flat.min(dim=1).values[:, None, None, None],
        flat.max(dim=1).values[:, None, None, None],
    )
    shown = interpolate(
        (images.float() - low) / (high - low + 1e-6), size=(TILE, TILE), mode="nearest"
    ).expand(-1, 3, -1, -1)
    return [Image.fromarray((one.permute(1, 2, 0) * 255).byte().cpu().numpy()) for one in shown]


def _paper(width: int, height: int) -> tuple[Any, Any]:
    from PIL import Image, ImageDraw

    canvas = Image.new("RGB", (width, height), PAPER)
    return canvas, ImageDraw.Draw(canvas)


def _font() -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(12)


def _tensor(canvas: Any) -> Tensor:
    import numpy as np

    return torch.from_numpy(np.array(canvas)).permute(2, 0, 1)[None] / 255
