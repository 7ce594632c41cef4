"""A project in the layout of victoresque/pytorch-template.

By hand: python train.py -c config.json --optimizer.args.lr=0.01
"""

import os
from pathlib import Path

import torch
from data_loader import data_loaders
from model import metric, model
from parse_config import parse
from trainer.trainer import Trainer

config = parse()
torch.manual_seed(int(os.environ.get("RAYSWEEP_SEED", "0")))
torch.set_num_threads(1)
loader = getattr(data_loaders, config["data_loader"]["type"])(**config["data_loader"]["args"])
network = getattr(model, config["arch"]["type"])(**config["arch"]["args"])
optimizer = getattr(torch.optim, config["optimizer"]["type"])(
    network.parameters(), **config["optimizer"]["args"]
)
folder = Path(os.environ.get("RAYSWEEP_FOLDER", config["trainer"]["save_dir"]))
folder.mkdir(parents=True, exist_ok=True)
epochs = int(os.environ.get("RAYSWEEP_EPOCHS", config["trainer"]["epochs"]))
trainer = Trainer(
    network,
    getattr(metric, config["loss"]),
    [getattr(metric, name) for name in config["metrics"]],
    optimizer,
)
trainer.train(loader, loader.split_validation(), epochs, config["trainer"]["monitor"], folder)
