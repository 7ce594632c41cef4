"""Train a model: `python src/train.py trainer=cpu trainer.max_epochs=2 model.optimizer.lr=0.01`.

Everything is instantiated from the configuration in `configs/`, as Hydra composes it.
"""

import sys
from pathlib import Path

import hydra
import lightning as L
from omegaconf import DictConfig

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


@hydra.main(version_base="1.3", config_path="../configs", config_name="train.yaml")
def main(cfg: DictConfig) -> float | None:
    L.seed_everything(cfg.seed, workers=True)
    datamodule = hydra.utils.instantiate(cfg.data)
    model = hydra.utils.instantiate(cfg.model)
    logger = hydra.utils.instantiate(cfg.logger)
    trainer = hydra.utils.instantiate(cfg.trainer, logger=logger)
    if cfg.get("train"):
        trainer.fit(model=model, datamodule=datamodule, ckpt_path=cfg.get("ckpt_path"))
    print(f"metrics: { {k: float(v) for k, v in trainer.callback_metrics.items()} }")


if __name__ == "__main__":
    main()
