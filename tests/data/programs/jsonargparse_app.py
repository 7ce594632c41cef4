"""A function as a command line, with jsonargparse."""

from typing import Literal, Optional

from jsonargparse import CLI


class Optimizer:
    def __init__(self, lr: float = 1e-3, momentum: float = 0.9):
        self.lr = lr


def main(
    optimizer: Optimizer = None,
    width: int = 32,
    activation: Literal["relu", "gelu"] = "relu",
    weight_decay: Optional[float] = None,
    bias: bool = True,
    epochs: int = 3,
):
    for epoch in range(epochs):
        print({"epoch": epoch, "val_mae": width / (epoch + 1)})


if __name__ == "__main__":
    CLI(main)
