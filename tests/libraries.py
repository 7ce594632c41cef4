"""A small training with each library, for tests of the integrations.

Each function is a train function, and without a `run` what a script would do. All of them fit the
same line, so that a callback that reports or resumes wrongly shows in the numbers.
"""

from __future__ import annotations

import functools
import importlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from raysweep.trainables.runtime.run import Run

EPOCHS = 4
"""How many epochs a script trains, and a train function in these tests."""


def samples() -> TensorDataset:
    x = torch.linspace(-1, 1, 24)[:, None]
    return TensorDataset(x, 3 * x + 1)


def network(dropout: float = 0.1) -> nn.Sequential:
    return nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Dropout(dropout), nn.Linear(4, 1))


def processes() -> int:
    """How many processes train this trial."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def folder_of(run: Run | None) -> Path:
    if run is None or run.folder is None:
        return Path(tempfile.mkdtemp())
    return run.folder


def line(package: str, keeps_objects: bool = False) -> Any:
    """The class of a module of a package of Lightning.

    `keeps_objects`: not all of its hyperparameters are numbers.
    """
    pl: Any = importlib.import_module(package)

    class Line(pl.LightningModule):  # type: ignore[misc]
        def __init__(self, lr: float, optimizer: Any = torch.optim.Adam) -> None:
            super().__init__()
            self.save_hyperparameters(ignore=() if keeps_objects else "optimizer")
            self.optimizer = optimizer
            self.layers = network()

        def training_step(self, batch: list[Tensor], i: int) -> Tensor:
            loss = nn.functional.mse_loss(self.layers(batch[0]), batch[1])
            self.log("train_loss", loss, on_step=False, on_epoch=True)
            return loss

        def validation_step(self, batch: list[Tensor], i: int) -> None:
            self.log("val_loss", nn.functional.mse_loss(self.layers(batch[0]), batch[1]))

        def configure_optimizers(self) -> Any:
            optimizer = self.optimizer(self.parameters(), self.hparams["lr"])
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)]

    return Line


def lightning(
    config: dict[str, Any], run: Run | None, package: str = "lightning.pytorch", **options: Any
) -> None:
    """`options` are those of the Trainer."""
    from raysweep.integrations.lightning import Report

    pl: Any = importlib.import_module(package)
    report = Report(*config.get("names", ()), run=run)
    epochs = EPOCHS if run is None else run.total_epochs
    if run is not None and processes() > 1:
        options = {"strategy": "ddp", "devices": 1, "num_nodes": processes()} | options
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    trainer = pl.Trainer(
        **{"max_epochs": epochs, "accelerator": "cpu", "enable_checkpointing": False}
        | quiet
        | options,
        callbacks=[report],
    )
    batches = DataLoader(samples(), 8, shuffle=True)
    path = None if config.get("forgets") else report.ckpt_path
    of_line = line(package, config.get("keeps_objects", False))
    module = of_line(config["lr"], functools.partial(torch.optim.Adam, eps=1e-7))
    trainer.fit(module, batches, DataLoader(samples(), 24), ckpt_path=path)


class Pairs(Dataset[dict[str, Tensor]]):
    """The samples as the Trainer of Hugging Face takes them."""

    def __len__(self) -> int:
        return len(samples())

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        inputs, labels = samples()[i]
        return {"inputs": inputs, "labels": labels}


class Regression(nn.Module):
    """A model as the Trainer of Hugging Face wants it: it computes its own loss."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.layers = network(dropout)

    def forward(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        out = self.layers(inputs)
        return {"loss": nn.functional.mse_loss(out, labels), "logits": out}


def transformers(
    config: dict[str, Any], run: Run | None, evaluation: Any = None, **options: Any
) -> Any:
    """`options` are training arguments, `evaluation` the data to evaluate with."""
    from transformers import Trainer, TrainingArguments

    from raysweep.integrations.transformers import Report

    report = Report(*config.get("names", ()), run=run)
    arguments: dict[str, Any] = {
        "output_dir": str(folder_of(run)),
        "num_train_epochs": EPOCHS if run is None else run.total_epochs,
        "learning_rate": config["lr"],
        "per_device_train_batch_size": 8 // processes(),
        "eval_strategy": "epoch",
        "save_strategy": "no",
        "logging_strategy": "epoch",
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
        "seed": 3,
    }
    trainer = Trainer(
        model=Regression(config.get("dropout", 0.1)),
        args=TrainingArguments(**arguments | options),
        train_dataset=Pairs(),
        eval_dataset=evaluation or Pairs(),
        callbacks=[report],
    )
    path = None if config.get("forgets") else report.checkpoint
    trainer.train(resume_from_checkpoint=path)
    return trainer


def accelerate(config: dict[str, Any], run: Run | None) -> None:
    from accelerate import Accelerator

    from raysweep.integrations.accelerate import Report

    accelerator = Accelerator(cpu=True, log_with=[Report(*config.get("names", ()), run=run)])
    accelerator.init_trackers("line")
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), config["lr"])
    batches = DataLoader(samples(), 8, shuffle=True)
    model, optimizer, batches = accelerator.prepare(model, optimizer, batches)
    epochs: Iterable[int] = range(1, EPOCHS + 1)
    if run is not None:
        epochs = run.epochs(model=accelerator.unwrap_model(model), optimizer=optimizer)
    for epoch in epochs:
        model.train()
        for inputs, labels in batches:
            loss = nn.functional.mse_loss(model(inputs), labels)
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            accelerator.log({"train_loss": loss.item()})
        accelerator.log({"val_loss": validate(model), "epoch": epoch}, step=epoch)
    accelerator.end_training()


def validate(model: nn.Module) -> float:
    model.eval()
    with torch.inference_mode():
        inputs, labels = samples().tensors
        return nn.functional.mse_loss(model(inputs), labels).item()


def ignite(config: dict[str, Any], run: Run | None) -> None:
    from ignite.engine import Events, create_supervised_evaluator, create_supervised_trainer
    from ignite.metrics import Loss

    from raysweep.integrations.ignite import Report

    model = network()
    optimizer = torch.optim.Adam(model.parameters(), config["lr"])
    loss = nn.functional.mse_loss
    trainer = create_supervised_trainer(model, optimizer, loss)
    evaluator = create_supervised_evaluator(model, metrics={"val_loss": Loss(loss)})
    state: dict[str, Any] = {} if run is None else {"model": model, "optimizer": optimizer}
    report = Report(trainer, *config.get("names", ()), run=run, **state)
    evaluator.add_event_handler(Events.COMPLETED, report)
    trainer.add_event_handler(
        Events.EPOCH_COMPLETED, lambda engine: evaluator.run(DataLoader(samples(), 24))
    )
    epochs = EPOCHS if run is None else run.total_epochs
    trainer.run(DataLoader(samples(), 8, shuffle=True), max_epochs=epochs)


def fastai(config: dict[str, Any], run: Run | None) -> None:
    from fastai.basics import DataLoaders, Learner
    from fastai.callback.schedule import fit_one_cycle  # noqa: F401  # a method of the learner

    from raysweep.integrations.fastai import Report

    loaders = DataLoaders(DataLoader(samples(), 8, shuffle=True), DataLoader(samples(), 24))
    learner = Learner(loaders, network(), loss_func=nn.functional.mse_loss, path=folder_of(run))
    report = Report(*config.get("names", ()), run=run)
    epochs = EPOCHS if run is None else run.total_epochs
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(epochs, config["lr"], cbs=report)


def names_of_the_documentation(name: str) -> dict[str, Any]:
    """What the train functions that the documentation shows take for granted."""
    loaders = {
        "batches": DataLoader(samples(), 8, shuffle=True),
        "validation_batches": DataLoader(samples(), 24),
    }
    if name == "lightning":
        return loaders | {"Classifier": line("lightning.pytorch")}
    if name == "transformers":
        return {"model_of": lambda config: Regression(0.1), "lines": Pairs(), "held_out": Pairs()}
    if name == "fastai":
        from fastai.basics import DataLoaders, Learner
        from fastai.callback.schedule import fit_one_cycle  # noqa: F401

        return {
            "Learner": functools.partial(Learner, loss_func=nn.functional.mse_loss),
            "loaders": DataLoaders(loaders["batches"], loaders["validation_batches"]),
            "model_of": lambda config: network(),
        }
    loss = nn.functional.mse_loss
    return loaders | {"model_of": lambda config: network(), "loss_of": loss, "validate": validate}
