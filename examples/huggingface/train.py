"""The Trainer of Hugging Face in a sweep, by means of a callback.

A tiny BERT, made from a configuration, learns which module of Python's standard library a line of
code is from. Nothing is downloaded. Needs: pip install raysweep[transformers]
"""

from typing import Any

import numpy as np
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    EvalPrediction,
    Trainer,
    TrainingArguments,
)

import raysweep as rs
from raysweep.integrations.transformers import Report
from raysweep.trainables.common.text_corpus import MAX_WORDS, MODULES, VOCABULARY_SIZE, corpus


def samples(split: str) -> list[dict[str, Any]]:
    """The lines of a split as numbers of words, padded with 0."""
    return [
        {
            "input_ids": words + [0] * (MAX_WORDS - len(words)),
            "attention_mask": [1] * len(words) + [0] * (MAX_WORDS - len(words)),
            "labels": label,
        }
        for words, label in corpus().split(split)
    ]


def build(config: dict[str, Any]) -> BertForSequenceClassification:
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=VOCABULARY_SIZE + 1,
            hidden_size=config["width"],
            intermediate_size=2 * config["width"],
            num_hidden_layers=config["layers"],
            num_attention_heads=4,
            max_position_embeddings=MAX_WORDS,
            hidden_dropout_prob=config["dropout"],
            num_labels=len(MODULES),
        )
    )


def accuracy(prediction: EvalPrediction) -> dict[str, float]:
    return {"accuracy": float(np.mean(prediction.predictions.argmax(-1) == prediction.label_ids))}


def evaluate(
    config: dict[str, Any], model: BertForSequenceClassification, split: str = "validation"
) -> dict[str, float]:
    lines = samples(split)
    model.eval()
    with torch.inference_mode():
        logits = model(
            torch.tensor([line["input_ids"] for line in lines]).to(model.device),
            torch.tensor([line["attention_mask"] for line in lines]).to(model.device),
        ).logits
    correct = logits.argmax(-1).cpu() == torch.tensor([line["labels"] for line in lines])
    prefix = "eval" if split == "validation" else split
    return {f"{prefix}_accuracy": float(np.mean(correct.numpy()))}


def train(config: dict[str, Any], run: rs.Run) -> None:
    report = Report("eval_loss", "eval_accuracy", run=run)
    trainer = Trainer(
        model=build(config),
        args=TrainingArguments(
            str(run.folder),
            num_train_epochs=run.total_epochs,
            learning_rate=config["lr"],
            weight_decay=config["weight_decay"],
            per_device_train_batch_size=config["batch_size"],
            per_device_eval_batch_size=256,
            eval_strategy="epoch",
            save_strategy="no",  # the callback has the Trainer save with each report
            logging_strategy="epoch",
            report_to="none",
            disable_tqdm=True,
            use_cpu=run.device == "cpu",
            seed=run.seed % 2**32,
        ),
        train_dataset=samples("train"),
        eval_dataset=samples("validation"),
        compute_metrics=accuracy,
        callbacks=[report],
    )
    trainer.train(resume_from_checkpoint=report.checkpoint)
