"""A fine-tuning program in the style of the examples that read their options with HfArgumentParser."""

import logging
import sys
from dataclasses import dataclass, field
from typing import Optional

import numpy as np
from transformers import HfArgumentParser, Trainer, TrainingArguments

logger = logging.getLogger(__name__)


@dataclass
class DataTrainingArguments:
    task_name: Optional[str] = field(default=None, metadata={"help": "The name of the task"})
    max_seq_length: int = field(default=128, metadata={"help": "The maximum total length"})
    pad_to_max_length: bool = field(default=True)
    max_train_samples: Optional[int] = field(default=None)


@dataclass
class ModelArguments:
    model_name_or_path: str = field(metadata={"help": "Path to pretrained model"})
    cache_dir: Optional[str] = field(default=None)
    use_fast_tokenizer: bool = field(default=True)


def main():
    parser = HfArgumentParser((ModelArguments, DataTrainingArguments, TrainingArguments))
    if len(sys.argv) == 2 and sys.argv[1].endswith(".json"):
        model_args, data_args, training_args = parser.parse_json_file(json_file=sys.argv[1])
    else:
        model_args, data_args, training_args = parser.parse_args_into_dataclasses()

    def compute_metrics(p):
        preds = np.argmax(p.predictions, axis=1)
        return {"accuracy": (preds == p.label_ids).astype(np.float32).mean().item()}

    logger.info("Training/evaluation parameters %s", training_args)
    trainer = Trainer(model=None, args=training_args, compute_metrics=compute_metrics)
    trainer.train(resume_from_checkpoint=None)


if __name__ == "__main__":
    main()
