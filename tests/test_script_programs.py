"""Training programs in the idioms of public ones, with no line changed for raysweep."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from raysweep.report_interval import EVERY_EPOCH, ReportInterval
from raysweep.trainables.runtime.import_trainable import load
from raysweep.trainables.runtime.metrics import ReportError
from raysweep.trainables.runtime.run import Objective, Run
from raysweep.trainables.runtime.script.command_line import CommandLine
from raysweep.trainables.runtime.script.sources import ReportSources
from raysweep.trainables.runtime.script.train import ScriptError
from tests.test_script import gone


def train(
    folder: Path,
    code: str,
    metric: str,
    epochs: int,
    interval: ReportInterval = EVERY_EPOCH,
    **sources: Any,
) -> list[dict[str, float]]:
    """The metrics that a program reports as a trial in `folder`."""
    (folder / "main.py").write_text(code)
    run = Run(
        epochs,
        lambda message: None,
        folder=folder / "trial",
        objective=Objective(metric, maximize=False),
        interval=interval,
    )
    try:
        load(str(folder / "main.py"))[0]({}, run, CommandLine(), ReportSources(**sources))
    finally:
        REPORTED[:] = [message["metrics"] for message in run.reports]
    return list(REPORTED)


REPORTED: list[dict[str, float]] = []
"""What the last program reported, also if it failed."""

MNIST = """\
import logging, sys, warnings
from tqdm import tqdm
logging.basicConfig(level=logging.INFO)
for epoch in range(1, 4):
    for batch in tqdm(range(30), desc=f"Epoch {epoch}", mininterval=0):
        if batch % 10 == 0:
            print('Train Epoch: {} [{}/{} ({:.0f}%)]\\tLoss: {:.6f}'.format(
                epoch, batch, 30, batch / 0.3, 1 / epoch))
    warnings.warn("the scheduler was called before the optimizer")
    print('\\nTest set: Average loss: {:.4f}, Accuracy: {}/{} ({:.0f}%)\\n'.format(
        1 / epoch, 9000 + epoch, 10000, 90 + epoch))
    logging.info("saved \\x1b[32mmnist_cnn.pt\\x1b[0m")
"""


def test_an_mnist_loop_with_progress_bars_and_prints(tmp_path: Path) -> None:
    pattern = r"Average loss: (?P<loss>[\d.]+), Accuracy: \d+/\d+ \((?P<accuracy>[\d.]+)%\)"
    assert train(tmp_path, MNIST, "accuracy", 3, patterns=[pattern]) == [
        {"accuracy": 91.0, "loss": 1.0},
        {"accuracy": 92.0, "loss": 0.5},
        {"accuracy": 93.0, "loss": 0.3333},
    ]


GPT = """\
max_iters, eval_interval = 40, 10
for iter_num in range(max_iters + 1):
    if iter_num % eval_interval == 0:
        train, val = 4 - iter_num / 20, 4.1 - iter_num / 20
        print(f"step {iter_num}: train loss {train:.4f}, val loss {val:.4f}")
        print("saving checkpoint to out")
    print(f"iter {iter_num}: loss 3.2101, time 61.52ms, mfu 22.10%")
"""


def test_a_gpt_loop_in_steps(tmp_path: Path) -> None:
    pattern = r"step (?P<step>\d+): train loss (?P<train_loss>\S+), val loss (?P<val_loss>\S+)"
    interval = ReportInterval("steps", 10)
    reports = train(tmp_path, GPT, "val_loss", 4, interval, patterns=[pattern])
    assert [report["val_loss"] for report in reports] == [3.6, 3.1, 2.6, 2.1]
    assert [report["train_loss"] for report in reports] == [3.5, 3.0, 2.5, 2.0]


RL = """\
import random, time
from tensorboardX import SummaryWriter
writer = SummaryWriter("runs/CartPole-v1__ppo__1__1700000000")
random.seed(0)
global_step, skill = 0, 20
while global_step < 2000:
    length = random.randint(1, 2 * skill)
    global_step += length
    print(f"global_step={global_step}, episodic_return={length}")
    writer.add_scalar("charts/episodic_return", length, global_step)
    writer.add_scalar("losses/value_loss", 0.5, global_step)
writer.close()
"""


def test_an_rl_loop_with_event_files_and_a_noisy_metric(tmp_path: Path) -> None:
    interval = ReportInterval("steps", 500)
    reports = train(
        tmp_path, RL, "charts/episodic_return", 4, interval, files=["runs/**/events*"], last=50
    )
    values = [report["charts/episodic_return"] for report in reports]
    assert len(values) == 4
    assert all(15 < value < 26 for value in values)  # episodes themselves last 1 to 40 steps
    assert reports[0]["losses/value_loss"] == 0.5


CSV = """\
import csv, os, time
os.makedirs("logs/version_0")
fields, rows = ["epoch", "step"], []
for epoch in range(3):
    rows += [{"epoch": epoch, "step": 10 * epoch + 4, "train_loss": 1.0}]
    rows += [{"epoch": epoch, "step": 10 * epoch + 9, "val/acc": epoch / 2}]
    for row in rows:
        fields += [name for name in row if name not in fields]
    with open("logs/version_0/metrics.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, fields)
        writer.writeheader()
        writer.writerows(rows)
    time.sleep(0.1)
"""


def test_a_csv_logger_that_rewrites_its_file(tmp_path: Path) -> None:
    reports = train(tmp_path, CSV, "val/acc", 3, files=["logs/**/metrics.csv"])
    assert [report["val/acc"] for report in reports] == [0.0, 0.5, 1.0]
    assert [report["train_loss"] for report in reports] == [1.0] * 3


HF = """\
import json, os
history = []
for epoch in (1, 2):
    history.append({"loss": 0.7, "grad_norm": 1.5, "epoch": epoch - 0.5, "step": 10 * epoch - 5})
    print({"loss": "0.7", "grad_norm": "1.5", "epoch": str(epoch - 0.5)})
    history.append({"eval_loss": 1 / epoch, "eval_runtime": 0.1, "epoch": float(epoch)})
    PRINT
    os.makedirs(f"out/checkpoint-{10 * epoch}")
    with open(f"out/checkpoint-{10 * epoch}/trainer_state.json", "w") as file:
        json.dump({"log_history": history}, file, indent=2)
print({"train_runtime": 3.2, "train_loss": 0.6, "epoch": 2.0})
"""


def test_the_trainer_of_transformers_by_what_it_prints(tmp_path: Path) -> None:
    code = HF.replace("PRINT", 'print({"eval_loss": 1 / epoch, "epoch": float(epoch)})')
    reports = train(tmp_path, code, "eval_loss", 2)
    assert reports[0] == {"eval_loss": 1.0, "loss": 0.7, "grad_norm": 1.5}
    assert reports[1]["eval_loss"] == 0.5


def test_the_trainer_of_transformers_by_its_state_in_half_epochs(tmp_path: Path) -> None:
    code = HF.replace("PRINT", "pass").replace('"eval_loss": 1 / epoch', '"loss": 0.5')
    interval = ReportInterval("epochs", 0.5)
    reports = train(tmp_path, code, "loss", 4, interval, files=["out/**/trainer_state.json"])
    assert [report["loss"] for report in reports] == [0.7, 0.5, 0.7, 0.5]


@pytest.mark.slow
def test_the_real_trainer_of_transformers(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    reports = train(tmp_path, REAL_TRAINER, "eval_loss", 2)
    assert len(reports) == 2
    assert all(report["eval_loss"] > 0 and report["eval_runtime"] > 0 for report in reports)


REAL_TRAINER = """\
import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
config = BertConfig(vocab_size=20, intermediate_size=8, **sizes)
model = BertForSequenceClassification(config)
rows = [{"input_ids": torch.randint(0, 20, (6,)), "labels": i % 2} for i in range(16)]
arguments = TrainingArguments(
    "out", num_train_epochs=2, eval_strategy="epoch", logging_steps=1, use_cpu=True,
    report_to="none",
)
Trainer(model, arguments, train_dataset=rows, eval_dataset=rows).train()
"""

FLOOD = """\
import sys
for epoch in (1, 2):
    for _ in range(300):
        sys.stdout.write("x" * 10_000 + ("\\r" if epoch == 1 else ""))
    sys.stdout.write('\\n{"epoch": %d, "loss": 0.5}\\n' % epoch)
"""


def test_a_flood_of_output_does_no_harm(tmp_path: Path) -> None:
    assert train(tmp_path, FLOOD, "loss", 2) == [{"loss": 0.5}] * 2


BYTES = """\
import os, random
random.seed(0)
for epoch in (1, 2):
    os.write(1, bytes(random.randrange(256) for _ in range(20_000)))
    os.write(1, b'\\n{"epoch": %d, "loss": 0.5, "\\xff": 1}\\n' % epoch)
"""


def test_bytes_that_are_no_text_do_no_harm(tmp_path: Path) -> None:
    reports = train(tmp_path, BYTES, "loss", 2)
    assert [report["loss"] for report in reports] == [0.5, 0.5]


WALL_CLOCK = """\
import itertools, time
for count in itertools.count():
    print(f"loss {1 / (count + 1)}", flush=True)
    time.sleep(0.05)
"""


def test_a_budget_in_seconds_ends_a_program_without_an_end(tmp_path: Path) -> None:
    pattern = r"loss (?P<loss>\S+)"
    interval = ReportInterval("seconds", 0.4)
    reports = train(tmp_path, WALL_CLOCK, "loss", 3, interval, patterns=[pattern])
    assert reports[0]["loss"] > reports[1]["loss"] > reports[2]["loss"]


def test_a_metric_that_is_printed_nowhere_is_one_line(tmp_path: Path) -> None:
    code = 'print("Accuracy: 97.1")\nprint(\'{"epoch": 1, "acuracy": 3}\')'
    text = r"^the metric 'accuracy' was not reported; reported: acuracy; did you mean 'acuracy'\?$"
    with pytest.raises(ReportError, match=text):
        train(tmp_path, code, "accuracy", 1)
    text = r"'accuracy' was not reported; reported: nothing; no new file matches logs/\*.csv$"
    with pytest.raises(ReportError, match=text):
        train(tmp_path, "print('done')", "accuracy", 1, files=["logs/*.csv"])


def test_a_program_that_fails_late_keeps_its_reports_and_shows_its_own_error(
    tmp_path: Path,
) -> None:
    code = (
        "import atexit\n"
        "atexit.register(print, 'wandb: synced 5 files')\n"
        "for epoch in (1, 2):\n"
        "    print({'loss': 1 / epoch, 'epoch': epoch})\n"
        "raise RuntimeError('CUDA error: device-side assert triggered')\n"
    )
    text = (
        r"^RuntimeError: CUDA error: device-side assert triggered \(main.py ended with exit code 1"
    )
    with pytest.raises(ScriptError, match=text):
        train(tmp_path, code, "loss", 3)
    assert REPORTED == [{"loss": 1.0}, {"loss": 0.5}]


def test_the_log_has_what_a_terminal_would_show(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pattern = r"Accuracy: \d+/\d+ \((?P<accuracy>[\d.]+)%\)"
    train(tmp_path, MNIST, "accuracy", 3, patterns=[pattern])
    shown = capsys.readouterr().out.splitlines()
    assert "Test set: Average loss: 1.0000, Accuracy: 9001/10000 (91%)" in shown
    assert "INFO:root:saved mnist_cnn.pt" in shown
    assert sum("Epoch 1" in line and "30/30" in line for line in shown) == 1
    assert sys.stdout.encoding


SUMMARY = """\
import sys
from pathlib import Path
rows = ["epoch,step,loss,val/acc"]
for epoch in range(2):
    rows += [f"{epoch},{epoch},,{epoch / 4}", f"{epoch},{epoch},{1 / (epoch + 1)},"]
    Path(sys.argv[0]).with_name("metrics.csv").write_text("\\n".join(rows) + "\\n")
print({"val/acc": 0.25, "loss": 0.5})
"""


def test_a_summary_that_is_printed_is_no_report_where_files_are_read(tmp_path: Path) -> None:
    """It is read at once, and the files once a second."""
    files = ["metrics.csv"]
    assert [
        metrics["val/acc"] for metrics in train(tmp_path, SUMMARY, "val/acc", 2, files=files)
    ] == [
        0.0,
        0.25,
    ]


SAVES_LATE = """\
import json, time
from pathlib import Path
for epoch in range(1, 3):
    print(json.dumps({"epoch": epoch, "loss": 1 / epoch}), flush=True)
time.sleep(6)
Path("model.pt").write_text("weights")
"""
TRAINS_ON = """\
import itertools, json, os, time
from pathlib import Path
Path("pid").write_text(str(os.getpid()))
for epoch in itertools.count(1):
    print(json.dumps({"epoch": epoch, "loss": 1 / epoch}), flush=True)
    time.sleep(0.5)
"""


def test_a_script_may_save_its_model_after_its_last_report(tmp_path: Path) -> None:
    assert len(train(tmp_path, SAVES_LATE, "loss", 2)) == 2
    assert (tmp_path / "model.pt").read_text() == "weights"


def test_a_script_that_trains_on_after_its_last_report_is_ended(tmp_path: Path) -> None:
    assert len(train(tmp_path, TRAINS_ON, "loss", 2)) == 2
    assert gone(int((tmp_path / "pid").read_text()))
