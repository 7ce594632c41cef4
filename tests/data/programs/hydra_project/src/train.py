"""A project in the style of the templates of Lightning and Hydra, without either's weight."""

import csv
import os
from pathlib import Path

import hydra
from omegaconf import DictConfig


@hydra.main(version_base="1.3", config_path="../configs", config_name="train.yaml")
def main(cfg: DictConfig) -> float:
    out = Path(cfg.paths.output_dir) / "csv" / "version_0"
    acc = 0.0
    if cfg.get("logger"):
        out.mkdir(parents=True, exist_ok=True)
        with open(out / "metrics.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, ["epoch", "step", "train/loss", "val/acc"])
            writer.writeheader()
            for epoch in range(cfg.trainer.max_epochs):
                acc = 1 - cfg.model.optimizer.lr / (1 + epoch)
                writer.writerow({"epoch": epoch, "step": 10 * epoch, "val/acc": acc})
                file.flush()
    os.makedirs(cfg.paths.output_dir, exist_ok=True)
    return acc


if __name__ == "__main__":
    main()
