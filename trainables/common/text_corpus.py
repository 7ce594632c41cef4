"""Real text that every machine has: lines of code from Python's own standard library. Of which module is a line?

The modules differ a little between Python's releases, and so do the numbers.
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
WORDS = 4096
"""Words are numbered 1 .. WORDS by a checksum; 0 is padding."""
LONGEST = 40
FEWEST = 4
EACH = 400
"""Lines of each module."""

Lines = list[tuple[list[int], int]]


@dataclass(frozen=True)
class Corpus:
    """Lines as numbers of words, and the number of the module each is from."""

    train: Lines
    validation: Lines
    test: Lines

    def split(self, name: str) -> Lines:
        """`train`, `validation` or `test`."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return splits[name]


@lru_cache(maxsize=2)
def corpus(size: int | None = None) -> Corpus:
    """The lines of all modules in an order that never changes, a sixth for validation and a sixth for the test; `size`: only so many."""
    lines = [(words(line), label) for label, name in enumerate(MODULES) for line in _lines(name)]
    order = np.random.default_rng(SPLIT_SEED).permutation(len(lines))[:size]
    chosen = [lines[i] for i in order]
    held = len(chosen) // 6
    return Corpus(chosen[2 * held :], chosen[:held], chosen[held : 2 * held])


def words(line: str) -> list[int]:
    """A line as numbers of its words and signs, at most `LONGEST`."""
    return [1 + zlib.crc32(word.encode()) % WORDS for word in re.findall(r"\w+|[^\w\s]", line)][
        :LONGEST
    ]


def _lines(module: str) -> list[str]:
    """Different lines of a module that have something to tell."""
    path = Path(sysconfig.get_paths()["stdlib"]) / f"{module}.py"
    path = path if path.exists() else path.with_suffix("") / "__init__.py"
    try:
        with tokenize.open(path) as file:
            text = file.read()
    except OSError:
        raise DataError(
            f"the text comes from the sources of Python's standard library, and this Python has no {path}"
        ) from None
    stripped = dict.fromkeys(line.strip() for line in text.splitlines())
    return [line for line in stripped if len(re.findall(r"\w+", line)) >= FEWEST][:EACH]
