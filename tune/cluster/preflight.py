"""Checks a cluster before a sweep starts on it, by what its nodes answer.

What is wrong is a PreflightError, in one line.
"""

from __future__ import annotations

import importlib.util
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from raysweep.errors import UserError
from raysweep.references import is_script
from raysweep.results.storage.object_store import ObjectStore, is_url
from raysweep.trainables.runtime.script.process import module_root
from raysweep.tune.executors.ray.connect import join
from raysweep.tune.executors.ray.node_checks import (
    MARKER,
    Answer,
    Question,
    gather,
    look,
    probe,
    source,
)
from raysweep.tune.make_job import for_workers, forwarded
from raysweep.tune.sweep import Sweep

MAX_NAMED = 3
"""Nodes that a message names."""


class PreflightError(UserError):
    """Why a sweep cannot run on this cluster as it is, in one line."""


@dataclass(frozen=True)
class Code:
    """A user's own code, to be copied to every machine.

    `folder`: what is copied. `trainable`: the train function's name, as seen from that folder.
    """

    folder: Path
    trainable: str


def preflight(ray: Any, address: str, sweep: Sweep, run: str) -> str:
    """Ask all nodes of the connected cluster whether they can train for this run.

    The user's own code is copied to them if a node lacks it, and each node fetches the data.
    `run`: the run directory or its URL. Returns the train function's name for the workers. Raises
    PreflightError if something is wrong.
    """
    with _marked(run) as marker:
        name = for_workers(sweep.trainable)
        question = Question(
            name, run, marker, source(name), dict(sweep.space.constants), forwarded()
        )
        answers = probe(ray, question)
        judge(answers, _here(question), run)
        code = None
        if any(answer.source != question.source for answer in answers):
            code = code_of(name, needed_folders(sweep))
        if code is not None:
            ray.shutdown()
            join(ray, address, code.folder)
            question = replace(question, trainable=code.trainable)
            answers = probe(ray, question)
        imported(answers)
        fetched(gather(ray, question))
    return question.trainable


def _here(question: Question) -> Answer:
    """The driver's own answer, without the import of the train function: that is for workers."""
    said = look({**vars(question), "source": "not here"})
    return Answer(said.pop("host"), **said)


@contextmanager
def _marked(run: str) -> Iterator[str]:
    """Keep a marker in the run directory during the body. Raises OSError if that is impossible."""
    marker = uuid.uuid4().hex
    if is_url(run):
        ObjectStore(run).write(MARKER, marker.encode())
    else:
        (Path(run) / MARKER).write_text(marker)
    try:
        yield marker
    finally:
        if is_url(run):
            ObjectStore(run).delete(MARKER)
        else:
            (Path(run) / MARKER).unlink(missing_ok=True)


def judge(answers: Sequence[Answer], here: Answer, storage: str) -> None:
    """Raise PreflightError for the first thing that is wrong with the machines.

    `here`: the driver's own answer, to which theirs are compared.
    """
    _silent(answers)
    _stored(answers, storage)
    _alike(answers, here)


def imported(answers: Sequence[Answer]) -> None:
    """Raise PreflightError if the train function does not import on some node."""
    _silent(answers)
    if failed := [answer for answer in answers if answer.trainable]:
        raise PreflightError(f"on {_names(failed)}: {failed[0].trainable}")


def fetched(answers: Sequence[Answer]) -> None:
    """Raise PreflightError if some node has no data and cannot fetch them."""
    _silent(answers)
    if failed := [answer for answer in answers if answer.data]:
        raise PreflightError(f"on {_names(failed)}: {failed[0].data}")


def needed_folders(sweep: Sweep) -> list[Path]:
    """The folders besides its own that a script needs: where it works, and its package's."""
    line, script = sweep.command_line, Path(sweep.trainable)
    if line is None:
        return []
    needed = [module_root(script, line.module)] if line.module else []
    if line.folder is not None and not line.folder.startswith(("/", "{")):
        # What follows a placeholder is made by the trial.
        needed.append(Path(os.path.normpath(script.parent / line.folder.partition("{")[0])))
    return needed


def code_of(trainable: str, needed: Sequence[Path] = ()) -> Code | None:
    """What to copy for a train function; None if it belongs to an installed package.

    `needed`: folders that a script needs, too. Raises PreflightError for a home folder.
    """
    place, colon, function = trainable, "", ""
    if not is_script(trainable):
        place, colon, function = trainable.rpartition(":")
    if place.endswith(".py") or is_script(trainable):
        file = Path(place).resolve()
        folder = Path(os.path.commonpath([file.parent, *needed]))
        trainable = f"{file.relative_to(folder).as_posix()}{colon}{function}"
    else:
        spec = importlib.util.find_spec(place.partition(".")[0])
        origin = Path(spec.origin) if spec and spec.origin else None
        if origin is None or "site-packages" in origin.parts:
            return None
        folder = origin.parent.parent if origin.name == "__init__.py" else origin.parent
    if folder in (Path.home(), Path("/")):
        raise PreflightError(
            f"the nodes lack {trainable}, and its folder, {folder}, is too much to copy: "
            "give it a folder of its own"
        )
    return Code(folder, trainable)


def _silent(answers: Sequence[Answer]) -> None:
    silent = [answer for answer in answers if answer.trouble]
    if silent:
        raise PreflightError(f"{_names(silent)} did not answer: {silent[0].trouble}")


def _stored(answers: Sequence[Answer], storage: str) -> None:
    if failed := [answer for answer in answers if answer.storage]:
        raise PreflightError(
            f"{_names(failed)} cannot read and write {storage} ({failed[0].storage}); on several "
            "machines the run directory must lie where all of them reach it: "
            "--storage with a shared folder, s3://... or gs://..."
        )


def _alike(answers: Sequence[Answer], here: Answer) -> None:
    for name, version in here.versions.items():
        if other := [answer for answer in answers if answer.versions.get(name) != version]:
            there = other[0].versions.get(name)
            raise PreflightError(
                f"{name} is {version} here and {there} on {_names(other)}: "
                "install the same on every machine (ray up with constraints.txt)"
            )


def _names(answers: Sequence[Answer]) -> str:
    """`w1 (10.0.0.2) and w2 (10.0.0.3)`; of many, the first few and how many more."""
    names = [_node_name(answer) for answer in answers]
    if len(names) > MAX_NAMED + 1:
        names = [*names[:MAX_NAMED], f"{len(names) - MAX_NAMED} more nodes"]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _node_name(answer: Answer) -> str:
    return f"{answer.node} ({answer.address})" if answer.address else answer.node
