"""A program made with typer. It reports JSON lines."""

import json
from enum import Enum
from pathlib import Path

import typer

app = typer.Typer()


class Optimizer(str, Enum):
    adam = "adam"
    sgd = "sgd"


@app.command()
def main(
    data: Path = Path("data"),
    learning_rate: float = typer.Option(3e-4, help="Learning rate."),
    optimizer: Optimizer = Optimizer.adam,
    num_layers: int = typer.Option(2, min=1, max=3),
    nesterov: bool = False,
    num_epochs: int = 4,
):
    for epoch in range(1, num_epochs + 1):
        print(json.dumps({"epoch": epoch, "train": {"loss": 2 / epoch}, "val": {"loss": 1 / epoch}}))


if __name__ == "__main__":
    app()
