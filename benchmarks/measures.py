"""Measure how the code reads: `python benchmarks/measures.py [REVISION ...]`.

Prints one column for each git revision and one for HEAD: lengths of functions, long
lines, comments, conditional expressions, typed functions, commit subjects and the README's words.
The aims are those of the project, drawn from the same measures of starlette and optuna. Measured
is the code that is installed; tests and benchmarks are not counted.
"""

from __future__ import annotations

import argparse
import ast
import io
import subprocess
import sys
import tarfile
import tempfile
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

ROOMS = ("raysweep", "tune", "trainables", "search_spaces", "schedulers", "results")
AIMS = {
    "modules": "",
    "lines of code": "fewer",
    "function lines, median / 90 %": "at most 8 / 20",
    "lines over 100 characters": "0",
    "comment lines": "3 % or more",
    "conditional expressions per 1,000 lines": "at most 8",
    "functions with every type stated": "100 %",
    "commit subjects, median / 90 %": "at most 60 / 72",
    "README words": "at most 1,200",
}


@dataclass
class Counts:
    """What was counted in the modules of one tree."""

    modules: int = 0
    lines: int = 0
    long_lines: int = 0
    comments: int = 0
    conditionals: int = 0
    typed: int = 0
    function_lines: list[int] = field(default_factory=list)

    def add(self, text: str) -> None:
        """Count one module."""
        lines = text.splitlines()
        self.modules += 1
        self.lines += len(lines)
        self.long_lines += sum(len(line) > 100 for line in lines)
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        self.comments += sum(token.type == tokenize.COMMENT for token in tokens)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.IfExp):
                self.conditionals += 1
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self.function_lines.append(_body_lines(node))
                self.typed += _is_typed(node)


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function from its `def` to its end, without its docstring."""
    total = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is None:
        return total
    return total - ((first.end_lineno or first.lineno) - first.lineno + 1)


def _is_typed(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    needed = [argument for argument in every if argument.arg not in ("self", "cls")]
    return function.returns is not None and all(argument.annotation for argument in needed)


def modules(root: Path) -> Iterator[Path]:
    """The modules of the rooms. Links from one room to another are not followed."""
    for room in ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            if not any((root / part).is_symlink() for part in _parents(path, root)):
                yield path


def _parents(path: Path, root: Path) -> list[Path]:
    return [root / parent for parent in path.relative_to(root).parents]


def measure(root: Path, revision: str) -> dict[str, str]:
    """The row of each measure for the tree at `root`, whose history is that of `revision`."""
    counts = Counts()
    for path in modules(root):
        counts.add(path.read_text())
    per_thousand = 1000 * counts.conditionals / counts.lines
    typed = 100 * counts.typed / len(counts.function_lines)
    subjects = [len(subject) for subject in _git("log", "--format=%s", revision).splitlines()]
    readme = (root / "README.md").read_text()
    return {
        "modules": f"{counts.modules}",
        "lines of code": f"{counts.lines:,}",
        "function lines, median / 90 %": _spread(counts.function_lines),
        "lines over 100 characters": f"{100 * counts.long_lines / counts.lines:.1f} %",
        "comment lines": f"{100 * counts.comments / counts.lines:.1f} %",
        "conditional expressions per 1,000 lines": f"{per_thousand:.1f}",
        "functions with every type stated": f"{typed:.0f} %",
        "commit subjects, median / 90 %": _spread(subjects),
        "README words": f"{len(readme.split()):,}",
    }


def _spread(values: list[int]) -> str:
    return f"{np.median(values):.0f} / {np.percentile(values, 90):.0f}"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def _measure_revision(revision: str, since: str | None) -> dict[str, str]:
    """Measure a revision. The commit subjects counted are those after the revision `since`."""
    commits = f"{since}..{revision}" if since else revision
    archive = subprocess.run(["git", "archive", revision], capture_output=True, check=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(folder, filter="data")
        return measure(Path(folder), commits)


def main() -> int:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("revisions", nargs="*", metavar="REVISION", help="earlier commits")
    revisions = [*parser.parse_args().revisions, "HEAD"]
    columns = [
        _measure_revision(revision, since)
        for revision, since in zip(revisions, [None, *revisions], strict=False)
    ]
    print("| measure | " + " | ".join([*revisions, "aim"]) + " |")
    print("| --- " * (len(revisions) + 2) + "|")
    for name, aim in AIMS.items():
        print(f"| {name} | " + " | ".join([*(column[name] for column in columns), aim]) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
