"""What the verbs print: at two widths, and with text that tries to be markup."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from raysweep.formatting import clean, duration, number, size, wrapped
from raysweep.results.storage.ledger import NAME, Ledger
from raysweep.results.storage.run_directory import RunError, load
from raysweep.results.views import listing, terminal
from raysweep.results.views.sparkline import spark
from raysweep.tune.cli.app import main
from tests.made_up import Story, write_run

STORIES = [
    Story("random", [0.5, 0.9, 0.8], {"lr": 0.1, "data": "digits"}),
    Story(
        "bohb",
        [0.4],
        {"lr": 0.01, "data": "digits"},
        "stopped",
        "epoch 1: 0.4 behind 0.5 (best third of 3)",
    ),
    Story(
        "bohb", [], {"lr": 1.0, "data": "digits"}, "failed", "ValueError: [red]bold[/red] \x1b[31m"
    ),
]


def printed(what: RenderableType, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(what)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_the_summary_has_a_row_a_searcher(tmp_path: Path) -> None:
    run = load(write_run(tmp_path / "run", STORIES))
    lines = printed(terminal.summary(run.histories, run.metric)).splitlines()
    assert lines[0].split() == ["searcher", "best", "acc", "at", "trials", "epochs", "training"]
    assert lines[1].split() == ["random", "0.9", "epoch", "2", "of", "random-0", "1", "3", "3", "s"]
    assert lines[2].split() == ["bohb", "0.4", "epoch", "1", "of", "bohb-0", "2", "1", "1", "s"]


def test_the_summary_of_several_seeds_has_their_mean(tmp_path: Path) -> None:
    run = load(
        write_run(tmp_path / "run", [Story("bohb.0", [0.4]), Story("bohb.1", [0.6])], seeds=2)
    )
    header, row = printed(terminal.summary(run.histories, run.metric, seeds=2)).splitlines()
    assert "mean of 2" in header
    assert row.split()[:3] == ["bohb", "0.6", "0.5"]


@pytest.mark.parametrize("width", [80, 120])
def test_the_listing_is_one_line_a_trial_best_first(tmp_path: Path, width: int) -> None:
    run = load(write_run(tmp_path / "run", STORIES))
    text = printed(listing.trials(run, width=width), width)
    lines = text.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["random-0", "bohb-0", "bohb-1"]
    assert len(lines) == 5
    assert max(map(len, lines)) <= width
    assert "lr=0.01" in text
    assert "digits" not in text
    assert ("behind" in text) == (width == 120)


def test_the_users_text_is_no_markup(tmp_path: Path) -> None:
    run = load(write_run(tmp_path / "run", STORIES))
    text = printed(terminal.show(run, "bohb-1"))
    assert "ValueError: [red]bold[/red] ?[31m" in text
    assert "\x1b" not in text


def test_show_has_every_epoch_and_the_traceback(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", [*STORIES, Story("grid", [0.1], status="running")])
    ledger = Ledger(folder)
    notes = {"traceback": "Traceback: [here]", "peak_memory": 3 * 2**20}
    ledger.append(
        {
            "event": "ended",
            "trial": "grid-0",
            "status": "failed",
            "reason": "no",
            "notes": notes,
            "time": 1.0,
        }
    )
    ledger.close()
    text = printed(terminal.show(load(folder), "grid-0"))
    assert "Traceback: [here]" in text
    assert "3 MiB" in text
    text = printed(terminal.show(load(folder), "random-0"))
    assert "▁█▆" in text
    assert [line.split() for line in text.splitlines() if line.strip().startswith("2 ")] == [
        ["2", "0.9", "2", "s"]
    ]
    with pytest.raises(RunError, match="did you mean"):
        terminal.show(load(folder), "grid-00")


def test_best_names_the_epoch_and_the_configuration(tmp_path: Path) -> None:
    text = printed(terminal.best(load(write_run(tmp_path / "run", STORIES))))
    assert text.startswith("acc 0.9 in epoch 2 of random-0, the best of 3 trials")
    assert "lr" in text


def test_an_empty_run_prints(tmp_path: Path) -> None:
    run = load(write_run(tmp_path / "run", []))
    assert "no trials yet" in printed(listing.trials(run))
    assert "searcher" in printed(terminal.summary(run.histories, run.metric))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.123456, "0.1235"),
        (1e-9, "1e-09"),
        (12345, "12,345"),
        (math.nan, "NaN"),
        (-math.inf, "-∞"),
        (None, "–"),
        (True, "True"),
        (3, "3"),
    ],
)
def test_numbers(value: object, expected: str) -> None:
    assert number(value) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (0.004, "<0.01 s"),
        (0.42, "0.42 s"),
        (42.4, "42 s"),
        (119.9, "120 s"),
        (185, "3 min 05 s"),
        (7440, "2 h 04 min"),
        (None, "–"),
    ],
)
def test_durations(seconds: float | None, expected: str) -> None:
    assert duration(seconds) == expected


def test_sizes_and_safe_text() -> None:
    assert [size(None), size(10), size(3 * 2**30)] == ["–", "10 B", "3.0 GiB"]
    assert clean("a\tb\nc\x07\x1b[2J") == "a    b\nc??[2J"


def test_a_flat_curve_and_one_with_gaps() -> None:
    assert spark([1.0, 1.0]) == "▁▁"
    assert spark([0.0, math.nan, 1.0]) == "▁ █"
    assert spark([]) == ""


@pytest.mark.parametrize("width", [80, 120])
def test_the_runs_of_a_folder_are_a_line_each(tmp_path: Path, width: int) -> None:
    folders = [
        write_run(tmp_path / name, [Story("bohb", [0.5, 0.75])])
        for name in ("cnn-20261124-015531", "cnn-20261124-015614")
    ]
    text = printed(listing.runs(folders, width), width)
    assert [line.split()[0] for line in text.splitlines() if line.strip()] == [
        "run",
        "cnn-20261124-015531",
        "cnn-20261124-015614",
    ]
    assert text.count("acc 0.75") == 2
    assert ("searchers" in text) == (width == 120)


def test_damaged_runs_are_listed_beside_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("garbage", "good", "gone", "other", "unreadable"):
        write_run(tmp_path / name, [Story("bohb", [0.5, 0.75])])
    (tmp_path / "garbage" / NAME).write_bytes(b"garbage\n")
    (tmp_path / "gone" / "sweep.yaml").unlink()
    book = Ledger(tmp_path / "other")
    book.append({"event": "reported", "trial": "no-1"})
    book.close()
    (tmp_path / "unreadable" / NAME).unlink()
    (tmp_path / "unreadable" / NAME).mkdir()  # permissions do not keep root from reading
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["ls", str(tmp_path)]) == 0
    said = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[1:]}
    assert list(said) == ["good", "garbage", "gone", "other", "unreadable"]
    assert "acc 0.75" in said["good"]
    assert "damaged: ledger.jsonl:1: the line is damaged: its checksum" in said["garbage"]
    assert "damaged: sweep.yaml cannot be read: No such file or directory" in said["gone"]
    assert "damaged: it cannot be understood: KeyError: " in said["other"]
    assert "damaged: ledger.jsonl cannot be read: Is a directory" in said["unreadable"]
    assert main(["ls", str(tmp_path), "--json"]) == 0
    rows = {row["run"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["garbage"]["problem"].startswith("ledger.jsonl:1: ")
    assert [name for name, row in rows.items() if row["state"] != "damaged"] == ["good"]


def test_constants_come_after_what_was_tuned(tmp_path: Path) -> None:
    config = {"data": "digits", "model": {"kind": "cnn", "width": 8}, "lr": 0.1}
    space = {
        "data": "digits",
        "model.kind": "cnn",
        "model.width": {"int": [1, 9]},
        "lr": {"float": [0.0, 1.0]},
    }
    run = load(write_run(tmp_path / "run", [Story("random", [0.5], config)], space=space))
    names = ["model.width", "lr", "data", "model.kind"]
    for text in (printed(terminal.best(run)), printed(terminal.show(run, "random-0"))):
        shown = [line.split()[0] for line in text.splitlines() if line.strip()]
        assert [name for name in shown if name in names] == names


def test_what_ended_badly_is_counted_with_one_by_name(tmp_path: Path) -> None:
    stories = [
        Story("random", [0.5]),
        Story("random", [], status="failed", reason="ValueError: a"),
        Story("random", [math.nan], status="diverged", reason="epoch 1: acc is not finite"),
        Story("random", [], status="failed", reason="ValueError: b"),
    ]
    run = load(write_run(tmp_path / "run", stories))
    assert terminal.ended_badly(run.histories) == (
        "2 trials failed (random-1: ValueError: a); "
        "1 trial diverged (random-2: epoch 1: acc is not finite)"
    )
    good = load(write_run(tmp_path / "good", stories[:1]))
    assert terminal.ended_badly(good.histories) == ""


def test_prose_is_broken_between_words_and_paths_stay_whole() -> None:
    path = "/home/somebody/ray_results/" + "cnn-20261124-015531/" * 4
    lines = wrapped(f"model        {path}: loaded and evaluated again", 60, 13).splitlines()
    assert path + ":" in " ".join(lines).split()
    assert all(len(line) <= 60 for line in lines if path not in line)
    assert wrapped("report  a-hyphenated-name", 12).split() == ["report", "a-hyphenated-name"]
