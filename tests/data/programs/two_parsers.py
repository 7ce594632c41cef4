"""A trainer with many options and a parser for the configuration before the parser itself."""

import argparse
import csv
import logging
import os
from collections import OrderedDict

import yaml

_logger = logging.getLogger("train")

# The first arg parser parses out only the --config argument
config_parser = parser = argparse.ArgumentParser(description="Training Config", add_help=False)
parser.add_argument("-c", "--config", default="", type=str, metavar="FILE")

parser = argparse.ArgumentParser(description="Image Training")
group = parser.add_argument_group("Dataset parameters")
parser.add_argument("data", nargs="?", metavar="DIR", const=None, help="path to dataset")
group.add_argument("--data-dir", metavar="DIR", help="path to dataset (root dir)")
group.add_argument("--dataset", metavar="NAME", default="")
group.add_argument("--train-split", metavar="NAME", default="train")
group.add_argument("--num-classes", type=int, default=None, metavar="N")
group = parser.add_argument_group("Model parameters")
group.add_argument("--model", default="resnet50", type=str, metavar="MODEL")
group.add_argument("--pretrained", action="store_true", default=False)
group.add_argument("--resume", default="", type=str, metavar="PATH")
group.add_argument("--img-size", type=int, default=None, metavar="N")
group.add_argument("-b", "--batch-size", type=int, default=128, metavar="N")
group.add_argument("-vb", "--validation-batch-size", type=int, default=None, metavar="N")
group = parser.add_argument_group("Optimizer parameters")
group.add_argument("--opt", default="sgd", type=str, metavar="OPTIMIZER")
group.add_argument("--opt-eps", default=None, type=float, metavar="EPSILON")
group.add_argument("--opt-betas", default=None, type=float, nargs="+", metavar="BETA")
group.add_argument("--momentum", type=float, default=0.9, metavar="M")
group.add_argument("--weight-decay", type=float, default=2e-5)
group.add_argument("--clip-grad", type=float, default=None, metavar="NORM")
group.add_argument("--layer-decay", type=float, default=None)
group = parser.add_argument_group("Learning rate schedule parameters")
group.add_argument("--sched", type=str, default="cosine", metavar="SCHEDULER")
group.add_argument("--lr", type=float, default=None, metavar="LR")
group.add_argument("--lr-base", type=float, default=0.1, metavar="LR")
group.add_argument("--lr-noise", type=float, nargs="+", default=None, metavar="pct, pct")
group.add_argument("--warmup-lr", type=float, default=1e-5, metavar="LR")
group.add_argument("--min-lr", type=float, default=0, metavar="LR")
group.add_argument("--epochs", type=int, default=300, metavar="N")
group.add_argument("--decay-epochs", type=float, default=90, metavar="N")
group.add_argument("--warmup-epochs", type=int, default=5, metavar="N")
group = parser.add_argument_group("Augmentation and regularization parameters")
group.add_argument("--no-aug", action="store_true", default=False)
group.add_argument("--scale", type=float, nargs="+", default=[0.08, 1.0], metavar="PCT")
group.add_argument("--hflip", type=float, default=0.5)
group.add_argument("--color-jitter", type=float, default=0.4, metavar="PCT")
group.add_argument("--reprob", type=float, default=0.0, metavar="PCT")
group.add_argument("--mixup", type=float, default=0.0)
group.add_argument("--cutmix", type=float, default=0.0)
group.add_argument("--smoothing", type=float, default=0.1)
group.add_argument("--drop", type=float, default=0.0, metavar="PCT")
group.add_argument("--drop-path", type=float, default=None, metavar="PCT")
group.add_argument("--model-ema", action="store_true", default=False)
group.add_argument("--model-ema-decay", type=float, default=0.9998)
group = parser.add_argument_group("Miscellaneous parameters")
group.add_argument("--seed", type=int, default=42, metavar="S")
group.add_argument("--log-interval", type=int, default=50, metavar="N")
group.add_argument("-j", "--workers", type=int, default=4, metavar="N")
group.add_argument("--amp", action="store_true", default=False)
group.add_argument("--output", default="", type=str, metavar="PATH")
group.add_argument("--experiment", default="", type=str, metavar="NAME")
group.add_argument("--eval-metric", default="top1", type=str, metavar="EVAL_METRIC")
group.add_argument("--local-rank", default=0, type=int)


def _parse_args():
    args_config, remaining = config_parser.parse_known_args()
    if args_config.config:
        with open(args_config.config) as f:
            parser.set_defaults(**yaml.safe_load(f))
    return parser.parse_args(remaining)


def main():
    logging.basicConfig(level=logging.INFO)
    args = _parse_args()
    output_dir = os.path.join(args.output or "./output/train", args.experiment or "run")
    os.makedirs(output_dir, exist_ok=True)
    best_metric = None
    for epoch in range(args.epochs):
        top1 = 100 * (1 - 1 / (2 + epoch)) - abs(args.lr_base - 0.3)
        metrics = OrderedDict([("loss", 1 / (1 + epoch)), ("top1", top1)])
        _logger.info(
            "Test: [{:>4d}/{}]  Loss: {:>7.3f}  Acc@1: {:>7.3f}".format(
                3, 3, metrics["loss"], metrics["top1"]
            )
        )
        with open(os.path.join(output_dir, "summary.csv"), "a") as file:
            row = OrderedDict(epoch=epoch, eval_loss=metrics["loss"], eval_top1=metrics["top1"])
            writer = csv.DictWriter(file, fieldnames=row.keys())
            if epoch == 0:
                writer.writeheader()
            writer.writerow(row)
        best_metric = max(best_metric or 0, top1)
    _logger.info("*** Best metric: {0} (epoch {1})".format(best_metric, args.epochs))


if __name__ == "__main__":
    main()
