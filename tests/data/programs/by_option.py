"""A program whose only option is the file with its configuration."""

import argparse
import json

parser = argparse.ArgumentParser()
parser.add_argument("--config", default="by_option.json")
parser.add_argument("--device", default="cpu")
args = parser.parse_args()
with open(args.config) as file:
    config = json.load(file)
for epoch in range(1, config["max_epochs"] + 1):
    print(json.dumps({"epoch": epoch, "val_f1": 1 - config["lr"] / epoch}))
