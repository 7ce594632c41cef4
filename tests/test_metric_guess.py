"""The metric that is guessed from what a program prints or logs, and the pattern that finds it."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysweep.errors import did_you_mean
from raysweep.search_spaces.drafting.doubts import doubt
from raysweep.search_spaces.drafting.formats import lines
from raysweep.search_spaces.drafting.interface import Interface, Option
from raysweep.search_spaces.drafting.metric_guess import Guess, guesses, named, unsettled
from raysweep.search_spaces.drafting.printed_metrics import printed_metrics
from raysweep.search_spaces.drafting.program import Program, Source
from raysweep.search_spaces.drafting.sections import metric
from raysweep.trainables.runtime.script.patterns import divided


def found(code: str, config: Mapping[str, Any] | None = None) -> list[Guess]:
    path = Path("train.py").resolve()
    program = Program("train.py", Source(path, code, ast.parse(code)))
    return guesses(program, Interface("", config=config or {}))


PRINTED = [
    # the code, a line that it prints, the metric, its value, and the position
    (
        r"print('\nTest set: Average loss: {:.4f}, Accuracy: {}/{} ({:.0f}%)\n'.format("
        "test_loss, correct, len(loader.dataset), 100. * correct / len(loader.dataset)))",
        "Test set: Average loss: 0.0432, Accuracy: 9871/10000 (99%)",
        ("accuracy", 0.9871, {}),
    ),
    (
        "print(f\"step {iter_num}: train loss {losses['train']:.4f}, val loss "
        "{losses['val']:.4f}\")",
        "step 500: train loss 1.2000, val loss 1.3000",
        ("val_loss", 1.3, {"step": "500"}),
    ),
    (
        "print('Epoch [%d/%d], Step [%d/%d], Loss: %.4f' % (epoch + 1, epochs, i + 1, n, loss))",
        "Epoch [2/5], Step [100/600], Loss: 0.2345",
        ("loss", 0.2345, {"epoch": "2"}),
    ),
    (
        "print('Epoch', epoch, 'val_acc', val_acc)",
        "Epoch 3 val_acc 0.91",
        ("val_acc", 0.91, {"epoch": "3"}),
    ),
    (
        "for phase in ['train', 'val']:\n"
        "    print('{} Loss: {:.4f} Acc: {:.4f}'.format(phase, epoch_loss, epoch_acc))",
        "val Loss: 0.2215 Acc: 0.9346",
        ("val_epoch_acc", 0.9346, {}),
    ),
    (
        "logger.info('epoch:% 3d, train_loss: %.4f, test_accuracy: %.2f', epoch, loss, acc * 100)",
        "epoch:  3, train_loss: 0.1000, test_accuracy: 97.50",
        ("test_accuracy", 97.5, {"epoch": "3"}),
    ),
    (
        "print(f'| end of epoch {epoch:3d} | time: {t:5.2f}s | valid loss {val_loss:5.2f} | "
        "valid ppl {math.exp(val_loss):8.2f}')",
        "| end of epoch   1 | time: 12.34s | valid loss  5.60 | valid ppl   270.43",
        ("valid_loss", 5.6, {"epoch": "1"}),
    ),
    (
        "print(f'global_step={global_step}, episodic_return={info[\"r\"]}')",
        "global_step=1234, episodic_return=21.0",
        ("episodic_return", 21.0, {"step": "1234"}),
    ),
    (
        "print('Epoch: {:03d}, Train: {:.4f}, Val: {:.4f}, Test: {:.4f}'.format("
        "epoch, train_acc, val_acc, test_acc))",
        "Epoch: 012, Train: 0.9911, Val: 0.7920, Test: 0.8110",
        ("val_acc", 0.792, {"epoch": "012"}),
    ),
    (
        "print({'epoch': epoch, 'val_mae': mae})",
        "{'epoch': 3, 'val_mae': 0.25}",
        ("val_mae", 0.25, {"epoch": "3"}),
    ),
    (
        "tqdm.write(f'Epoch {epoch+1}/{n} - loss: {l:.4f} - val_accuracy: {a:.4f}')",
        "Epoch 2/10 - loss: 0.3123 - val_accuracy: 0.9012",
        ("val_accuracy", 0.9012, {"epoch": "2"}),
    ),
    (
        # torchvision's references: the meters of the progress lines have other names
        "print(f'{header} Acc@1 {metric_logger.acc1.global_avg:.3f} Acc@5 "
        "{metric_logger.acc5.global_avg:.3f}')",
        "Test:  Acc@1 28.431 Acc@5 55.000",
        ("acc_1", 28.431, {}),
    ),
    ("print('Loss is %s.' % loss)", "Loss is 0.25.", ("loss", 0.25, {})),
    ("print(f'test loss: {loss:.2e}')", "test loss: 1.25e-03", ("test_loss", 1.25e-3, {})),
    ("print(f'val_loss={val_loss}')", "val_loss=nan", ("val_loss", float("nan"), {})),
]


@pytest.mark.parametrize(("code", "line", "expected"), PRINTED)
def test_a_pattern_finds_the_metric_in_what_is_printed(
    code: str, line: str, expected: tuple[str, float, dict[str, str]]
) -> None:
    name, value, position = expected
    guess = found(code)[0]
    match = re.search(guess.pattern, line)
    assert match is not None, guess.pattern
    groups = divided(match.groupdict())
    assert float(groups.pop(name)) == pytest.approx(value, nan_ok=True)
    assert groups == position


@pytest.mark.parametrize(
    ("code", "name", "goal", "way"),
    [
        (
            "import wandb\nwandb.log({'train/loss': a, 'val/acc': b})",
            "val/acc",
            "maximize",
            "wandb",
        ),
        (
            "import wandb\nrun = wandb.init()\nrun.log(dict(epoch=1, val_loss=b))",
            "val_loss",
            "minimize",
            "wandb",
        ),
        ("writer.add_scalar('Loss/val', a, epoch)", "Loss/val", "minimize", "tensorboard"),
        ("print(json.dumps({'val': {'f1': a}}))", "val/f1", "maximize", "json"),
        (
            "import lightning\nclass A:\n    def f(self):\n        self.log('val_acc', a)",
            "val_acc",
            "maximize",
            "lightning",
        ),
        (
            "import lightning\nModelCheckpoint(monitor='val_quality', mode='max')\n"
            "class A:\n    def f(self):\n        self.log('val_loss', a)",
            "val_quality",
            "maximize",
            "lightning",
        ),
        (
            "from transformers import TrainingArguments\n"
            "TrainingArguments(metric_for_best_model='matthews', greater_is_better=True)",
            "eval_matthews",
            "maximize",
            "transformers",
        ),
        ("import mlflow\nmlflow.log_metric('test_rmse', a)", "test_rmse", "minimize", "mlflow"),
    ],
)
def test_a_logged_metric_is_found_by_its_name(code: str, name: str, goal: str, way: str) -> None:
    guess = found(code)[0]
    assert (guess.name, guess.goal, guess.way) == (name, goal, way)


@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        ("validation_step", "on_step=True", "valid_loss_epoch"),
        ("validation_step", "prog_bar=True", "valid_loss"),
        ("validation_step", "on_step=True, on_epoch=False", "valid_loss"),
        ("training_step", "on_epoch=True", "valid_loss_epoch"),
        ("training_step", "on_step=False, on_epoch=True", "valid_loss"),
    ],
)
def test_lightnings_mean_over_the_epoch_is_taken(function: str, arguments: str, name: str) -> None:
    code = (
        f"import lightning\nclass A:\n    def {function}(self, batch):\n"
        f"        self.log('valid_loss', loss, {arguments})\n"
    )
    assert [guess.name for guess in found(code)] == [name]
    monitored = found(code + "ModelCheckpoint(monitor='valid_loss', mode='min')\n")[0]
    assert (monitored.name, monitored.score) == (name, 60)
    assert did_you_mean("valid_loss", ["valid_loss_step", "valid_loss_epoch"]) == (
        "; did you mean 'valid_loss_epoch'?"
    )


def test_what_a_configuration_monitors_comes_first() -> None:
    config = {"callbacks": {"early_stopping": {"monitor": "val/psnr", "mode": "max"}}}
    guess = found("print(f'val loss {val_loss}')", config)[0]
    assert (guess.name, guess.goal) == ("val/psnr", "maximize")


def test_validation_comes_before_test_and_test_before_training() -> None:
    code = "print(f'train loss {a} test loss {b} val loss {c}')\nprint(f'best val acc {d}')"
    assert [guess.name for guess in found(code)] == [
        "val_loss",
        "test_loss",
        "best_val_acc",
        "train_loss",
    ]


def test_a_named_metric_is_found_however_it_is_spelt() -> None:
    metrics = found("print(f'Val Acc: {a}')\nwriter.add_scalar('test/loss', b, 1)")
    assert named(metrics, "val_acc") is named(metrics, "val/acc") is not None
    assert named(metrics, "test_loss") is not None
    assert named(metrics, "val") is None


TIMM = """
for i, batch in enumerate(loader):
    last_batch = i == last_idx
    if last_batch or i % 10 == 0:
        _logger.info(
            f'{log_name}: [{i:>4d}/{last_idx}]  '
            f'Time: {batch_time_m.val:.3f} ({batch_time_m.avg:.3f})  '
            f'Loss: {losses_m.val:>7.3f} ({losses_m.avg:>6.3f})  '
            f'Acc@1: {top1_m.val:>7.3f} ({top1_m.avg:>7.3f})'
        )
log_name = 'Test'
"""
IMAGENET = """
for i, (images, target) in enumerate(val_loader):
    if i % args.print_freq == 0:
        print('Test: [{0}/{1}]\\t'
              'Loss {loss.val:.4f} ({loss.avg:.4f})\\t'
              'Acc@1 {top1.val:.3f} ({top1.avg:.3f})'.format(
               i, len(val_loader), loss=losses, top1=top1))
"""
STAR = "print(' * Acc@1 {top1.avg:.3f}'.format(top1=top1))"


def test_of_progress_lines_the_average_in_the_last_one_is_taken() -> None:
    guess = found(TIMM)[0]
    printed = [
        "Test: [   0/59]  Time: 0.512 (0.512)  Loss:   2.302 ( 2.302)  Acc@1:  12.500 ( 12.500)",
        "Test: [  50/59]  Time: 0.010 (0.021)  Loss:   2.100 ( 2.200)  Acc@1:   0.000 ( 28.000)",
        "Test: [  59/59]  Time: 0.010 (0.020)  Loss:   2.000 ( 2.190)  Acc@1:   0.000 ( 28.431)",
    ]
    values = [match["Test_acc_1"] for line in printed if (match := re.search(guess.pattern, line))]
    assert values == ["28.431"]


def test_a_progress_line_without_a_last_one_is_no_metric_but_said() -> None:
    assert found(IMAGENET) == []
    path = Path("train.py").resolve()
    program = Program("train.py", Source(path, IMAGENET, ast.parse(IMAGENET)))
    assert unsettled(program) == ["loss (train.py:4)", "acc_1 (train.py:4)"]


def test_the_line_behind_a_star_is_told_from_progress_lines() -> None:
    guess = found(IMAGENET + STAR)[0]
    progress = "Test: [10/59]\tLoss 2.0 (2.1)\tAcc@1 12.500 (28.000)"
    assert re.search(guess.pattern, progress) is None
    match = re.search(guess.pattern, " * Acc@1 28.431")
    assert match is not None
    assert match["acc_1"] == "28.431"


def test_timms_summary_has_the_metric_that_its_option_names() -> None:
    code = (
        TIMM
        + """
def validate(model, loader):
    metrics = OrderedDict([('loss', losses_m.avg), ('top1', top1_m.avg), ('top5', top5_m.avg)])
    return metrics
utils.update_summary(epoch, train, validate(a, b), filename=os.path.join(out, 'summary.csv'))
"""
    )
    path = Path("train.py").resolve()
    program = Program("train.py", Source(path, code, ast.parse(code)))
    guess = guesses(program, Interface("", options=(Option("eval-metric", "text", "top1"),)))[0]
    assert (guess.name, guess.goal, guess.file) == ("eval_top1", "maximize", "summary.csv")


@given(st.text(alphabet="abc loss acc:{}/()%,|[]epoch\t\n", max_size=40), st.integers(0, 4))
def test_any_format_gives_patterns_that_compile(text: str, values: int) -> None:
    arguments = ", ".join(["loss", "epoch", "x.avg", "100 * a", "y[0]"][:values])
    for code in (f"print({text!r}.format({arguments}))", f"print({text!r} % ({arguments}))"):
        for line in lines(ast.parse(code)):
            for printed in printed_metrics(line, "val"):
                re.compile(printed.pattern)


IN_BATCHES = """\
for epoch in range(epochs):
    for i, (images, labels) in enumerate(train_loader):
        print('Epoch [%d/%d], Step [%d/%d], Loss: %.4f' % (epoch + 1, epochs, i + 1, n, loss))
"""


@pytest.mark.parametrize(
    ("more", "name", "doubted"),
    [
        ("", "loss", True),
        ("    print('Epoch %d mean loss %.4f' % (epoch, mean_loss))\n", "mean_loss", False),
        ("    print('Epoch %d val loss %.4f' % (epoch, val_loss))\n", "val_loss", False),
    ],
)
def test_what_is_printed_for_batches_is_averaged_unless_a_whole_epoch_is_said(
    more: str, name: str, doubted: bool
) -> None:
    guessed = found(IN_BATCHES + more)
    assert guessed[0].name == name
    section = {line.key: line for line in metric(guessed[0], guessed)}
    assert ("last" in section) is doubted
    assert ("of single batches" in section["name"].comment) is doubted
    assert (doubt(guessed) is not None) is doubted


@pytest.mark.parametrize(
    ("printed", "is_gan"),
    [
        ("'[%d/%d] Loss_D: %.4f Loss_G: %.4f' % (epoch, n, errD, errG)", True),
        ("f'epoch {epoch} [D loss: {d_loss}] [G loss: {g_loss}]'", True),
        ("f'epoch {epoch} D loss: {d_loss} G loss: {g_loss} FID: {fid}'", False),
        ("f'epoch {epoch} loss_d: {loss_d} loss_e: {loss_e}'", False),
    ],
)
def test_a_gans_losses_are_no_metric(printed: str, is_gan: bool) -> None:
    said = doubt(found(f"print({printed})"))
    assert (said is not None and said.comment.startswith("FILL IN")) is is_gan
