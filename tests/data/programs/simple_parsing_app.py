"""Nested dataclasses as options, with simple-parsing."""

from dataclasses import dataclass

from simple_parsing import ArgumentParser


@dataclass
class OptimizerConfig:
    lr: float = 1e-3  # learning rate
    momentum: float = 0.9
    nesterov: bool = False


@dataclass
class ModelConfig:
    num_layers: int = 2
    dropout: float = 0.1


parser = ArgumentParser()
parser.add_argument("--max_epochs", type=int, default=3)
parser.add_arguments(OptimizerConfig, dest="optimizer")
parser.add_arguments(ModelConfig, dest="model")
args = parser.parse_args()
for epoch in range(args.max_epochs):
    print(f"epoch {epoch + 1} | train loss 1.0 | valid perplexity {2 - args.optimizer.lr:.3f}")
