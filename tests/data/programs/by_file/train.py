"""A program that reads a file by hand."""

import yaml

with open("config.yaml") as file:
    config = yaml.safe_load(file)

for epoch in range(config["training"]["epochs"]):
    val_loss = config["optimizer"]["lr"] + 1 / (epoch + 1)
    print(f"[epoch {epoch + 1}] val/loss={val_loss:.5f}")
