"""The examples that the help of each verb ends with, if its own module has none."""

from __future__ import annotations

EXAMPLES = {
    "run": (
        "raysweep run --space cnn.yaml --name cnn",
        "raysweep run train.py --param lr=1e-5..1e-1:log --metric val_acc:max --trials 20",
    ),
    "resume": ("raysweep resume cnn", "raysweep resume cnn --set budget.trials=80"),
    "status": ("raysweep status cnn", "raysweep status cnn --json"),
    "logs": ("raysweep logs cnn", "raysweep logs cnn bohb-7", "raysweep logs cnn bohb-7 --follow"),
    "pause": ("raysweep pause cnn", "raysweep resume cnn"),
    "retry": ("raysweep retry cnn bohb-7",),
    "ls": ("raysweep ls", "raysweep ls ray_results/cnn --all", "raysweep ls --json"),
    "best": ("raysweep best ray_results/cnn",),
    "show": ("raysweep show ray_results/cnn bohb-7",),
    "reproduce": ("raysweep reproduce ray_results/cnn bohb-7",),
    "export": ("raysweep export ray_results/cnn --out model",),
    "report": ("raysweep report ray_results/cnn",),
    "compare": (
        "raysweep compare ray_results/cnn",
        "raysweep compare ray_results/monday ray_results/tuesday --by seconds",
    ),
    "simulate": ("raysweep simulate ray_results/recorded --searchers random,tpe --seeds 10",),
    "rm": ("raysweep rm ray_results/cnn",),
    "convert": ("raysweep convert wandb.yaml > sweep.yaml",),
    "check-cluster": ("raysweep check-cluster cluster.yaml",),
    "drain-node": ("raysweep drain-node", "raysweep drain-node --node w2 --seconds 600"),
    "jobs": ("raysweep jobs", "raysweep jobs raysweep-cnn --stop"),
}
"""Commands by verb."""


def epilog(verb: str) -> str:
    """The examples of a verb as its help shows them; "" if it has none here."""
    commands = EXAMPLES.get(verb, ())
    if not commands:
        return ""
    word = "examples" if len(commands) > 1 else "example"
    return "\n".join([f"{word}:", *(f"  $ {command}" for command in commands)])
