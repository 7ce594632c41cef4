"""The text classifier: its corpus, its batches of like length, and that padding changes nothing."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from raysweep.trainables.common.text_corpus import corpus, words
from raysweep.trainables.runtime.run import DataError, LocalRun
from raysweep.trainables.text import BucketSampler, build, collate


def test_lines_in_three_parts_that_do_not_overlap() -> None:
    whole = corpus()
    parts = [
        {(tuple(line), label) for line, label in part}
        for part in (whole.train, whole.validation, whole.test)
    ]
    assert sum(map(len, parts)) - len(set.union(*parts)) < 20, "few lines come out alike"
    assert len(whole.validation) == len(whole.test) == (len(whole.train) + 2 * len(whole.test)) // 6
    assert {label for _, label in whole.train} == set(range(10))
    assert corpus(60).train == corpus(60).split("train")
    assert len(corpus(60).train) == 40


def test_words_are_numbers_that_never_change() -> None:
    assert words("for x in range(3):") == [2553, 1668, 3663, 2634, 1912, 3740, 2018, 1600]
    assert len(words("a " * 100)) == 40


def test_no_sources_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"stdlib": "/nowhere"})
    corpus.cache_clear()
    with pytest.raises(
        DataError,
        match=(
            "the text comes from the sources of Python's standard library, and this Python has no "
            "/nowhere/_pyd"
        ),
    ):
        corpus()


def test_batches_hold_every_line_once_and_little_padding() -> None:
    lengths = [len(line) for line, _ in corpus().train]
    run = LocalRun(2, quiet=True)
    run.epoch = 1
    buckets = BucketSampler(lengths, 32, run)
    batches = list(buckets)
    assert len(batches) == len(buckets)
    assert sorted(itertools.chain.from_iterable(batches)) == list(range(len(lengths)))
    padding = sum(max(lengths[i] for i in batch) * len(batch) for batch in batches) / sum(lengths)
    assert padding < 1.15
    run.epoch = 2
    assert list(buckets) != batches


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
def test_padding_changes_nothing(kind: str) -> None:
    config: dict[str, Any] = {"model": kind, "width": 32, "layers": 1}
    model = build(config).eval()
    long, short = corpus().train[0], ([5, 6, 7, 8], 1)
    with torch.inference_mode():
        together, alone = model(collate([short, long])[0]), model(collate([short])[0])
    assert torch.allclose(together[0], alone[0], atol=1e-6)


def test_an_unknown_model_is_one_line() -> None:
    with pytest.raises(ValueError, match="model 'gru': expected one of lstm, transformer"):
        build({"model": "gru", "width": 32, "layers": 1})
