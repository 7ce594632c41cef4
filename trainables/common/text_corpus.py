"""Text that every machine has: lines of code from Python's standard library, labelled by module.

The modules differ a little between Python's releases, and so do the numbers of a training.
"""

from __future__ import annotations

import re
import sysconfig
import tokenize
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from raysweep.trainables.common.datasets import SPLIT_SEED
from raysweep.trainables.runtime.run import DataError

MODULES = (
    "_pydecimal",
    "argparse",
    "ast",
    "datetime",
    "inspect",
    "pickle",
    "statistics",
    "tarfile",
    "typing",
    "zipfile",
)
VOCABULARY_SIZE = 4096
"""Words are numbered 1 .. VOCABULARY_SIZE by a checksum; 0 is padding."""
MAX_WORDS = 40
"""Longer lines are cut off."""
MIN_WORDS = 4
"""Shorter lines, such as `else:`, say too little about their module."""
LINES_PER_MODULE = 400

Lines = list[tuple[list[int], int]]
"""Word numbers and the label, which is an index into `MODULES`, of each line."""


@dataclass(frozen=True)
class Corpus:
    """The lines in three splits."""

    train: Lines
    validation: Lines
    test: Lines

    def split(self, name: str) -> Lines:
        """`train`, `validation` or `test`."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return splits[name]


@lru_cache(maxsize=2)
def corpus(size: int | None = None) -> Corpus:
    """The lines of all modules, or `size` of them, in an order that never changes.

    A sixth is for validation and a sixth for the test. DataError if this Python has no sources.
    """
    lines = [
        (words(line), label) for label, module in enumerate(MODULES) for line in _lines(module)
    ]
    order = np.random.default_rng(SPLIT_SEED).permutation(len(lines))[:size]
    chosen = [lines[i] for i in order]
    held_out = len(chosen) // 6
    return Corpus(
        train=chosen[2 * held_out :],
        validation=chosen[:held_out],
        test=chosen[held_out : 2 * held_out],
    )


def words(line: str) -> list[int]:
    """The numbers of a line's words and signs, at most `MAX_WORDS` of them."""
    found = re.findall(r"\w+|[^\w\s]", line)[:MAX_WORDS]
    # crc32 is the same in every process, which Python's hash() is not.
    return [1 + zlib.crc32(word.encode()) % VOCABULARY_SIZE for word in found]


def _lines(module: str) -> list[str]:
    """The first distinct lines of a module with at least `MIN_WORDS` words."""
    library = Path(sysconfig.get_paths()["stdlib"])
    path = library / f"{module}.py"
    if not path.exists():  # a module in one release is a package in the next
        path = library / module / "__init__.py"
    try:
        with tokenize.open(path) as file:
            text = file.read()
    except OSError:
        raise DataError(
            "the text comes from the sources of Python's standard library, "
            f"and this Python has no {path}"
        ) from None
    distinct = dict.fromkeys(line.strip() for line in text.splitlines())
    enough = [line for line in distinct if len(re.findall(r"\w+", line)) >= MIN_WORDS]
    return enough[:LINES_PER_MODULE]
