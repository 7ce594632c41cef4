"""A program with commands, made with click."""

import click


@click.group()
def cli():
    """Train and evaluate."""


@cli.command()
@click.argument("data", type=click.Path())
@click.option("--lr", "-l", default=1e-3, show_default=True, help="Learning rate.")
@click.option("--hidden", type=click.IntRange(8, 96), default=64)
@click.option("--dropout", type=click.FloatRange(0, 1), default=0.1)
@click.option("--activation", type=click.Choice(["relu", "gelu"]), default="relu")
@click.option("--shuffle/--no-shuffle", default=True)
@click.option("--epochs", default=5)
@click.option("--output-dir", default="outputs")
def train(data, lr, hidden, dropout, activation, shuffle, epochs, output_dir):
    """Train a model."""
    for epoch in range(1, epochs + 1):
        click.echo(f"Epoch {epoch}/{epochs} - loss: {1 / epoch:.4f} - val_acc: {1 - lr / epoch:.4f}")


@cli.command()
@click.option("--checkpoint", required=True)
def evaluate(checkpoint):
    """Evaluate a model."""


if __name__ == "__main__":
    cli()
