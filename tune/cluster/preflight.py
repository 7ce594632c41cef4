"""What must hold before a sweep starts on a cluster: judged from what its nodes answer, and said in one line where it does not."""

from __future__ import annotations

import importlib.util
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from raysweep.errors import UserError
from raysweep.results.storage.object_store import ObjectStore, is_url
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


class PreflightError(UserError):
    """Why a sweep cannot run on this cluster as it is, in one line."""


@dataclass(frozen=True)
class Code:
    """A user's own code, to be copied to every machine: the folder, and the train function as it is named from there."""

    folder: Path
    trainable: str


def preflight(ray: Any, address: str, sweep: Sweep, run: str) -> str:
    """Ask all nodes of the connected cluster whether they can train for this run, copy the user's own code to them where they lack it, and
    have them fetch the data.

    `run`: the run folder or its URL. Returns the train function's name for the workers. PreflightError where something is wrong.
    """
    with _marked(run) as marker:
        name = for_workers(sweep.trainable)
        question = Question(
            name, run, marker, source(name), dict(sweep.space.constants), forwarded()
        )
        answers = probe(ray, question)
        judge(answers, _here(question), run)
        code = (
            code_of(name) if any(answer.source != question.source for answer in answers) else None
        )
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
    """A marker in the run folder, as long as it is needed. OSError where it cannot be written."""
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
    """PreflightError for the first thing that is wrong with the machines, compared to the driver's own answer."""
    _silent(answers)
    _stored(answers, storage)
    _alike(answers, here)


def imported(answers: Sequence[Answer]) -> None:
    """PreflightError where the train function does not import."""
    _silent(answers)
    if failed := _where(answers, lambda answer: answer.trainable):
        raise PreflightError(f"on {_names(failed)}: {failed[0].trainable}")


def fetched(answers: Sequence[Answer]) -> None:
    """PreflightError where the data are not there and cannot be fetched."""
    _silent(answers)
    if failed := _where(answers, lambda answer: answer.data):
        raise PreflightError(f"on {_names(failed)}: {failed[0].data}")


def code_of(trainable: str) -> Code | None:
    """What to copy for a train function; None where it belongs to an installed package. PreflightError for a home folder."""
    place, colon, function = (
        trainable.rpartition(":") if not trainable.endswith(".py") else (trainable, "", "")
    )
    if place.endswith(".py"):
        folder, trainable = Path(place).resolve().parent, f"{Path(place).name}{colon}{function}"
    else:
        spec = importlib.util.find_spec(place.partition(".")[0])
        origin = Path(spec.origin) if spec and spec.origin else None
        if origin is None or "site-packages" in origin.parts:
            return None
        folder = origin.parent.parent if origin.name == "__init__.py" else origin.parent
    if folder in (Path.home(), Path("/")):
        raise PreflightError(
            f"the nodes lack {trainable}, and its folder, {folder}, is too much to copy: give it a folder of its own"
        )
    return Code(folder, trainable)


def _silent(answers: Sequence[Answer]) -> None:
    silent = [answer for answer in answers if answer.trouble]
    if silent:
        raise PreflightError(f"{_names(silent)} did not answer: {silent[0].trouble}")


def _stored(answers: Sequence[Answer], storage: str) -> None:
    if failed := _where(answers, lambda answer: answer.storage):
        raise PreflightError(
            f"{_names(failed)} cannot read and write {storage} ({failed[0].storage}); on several machines the run folder must lie where "
            "all of them reach it: --storage with a shared folder, s3://... or gs://..."
        )


def _alike(answers: Sequence[Answer], here: Answer) -> None:
    for name, version in here.versions.items():
        if other := [answer for answer in answers if answer.versions.get(name) != version]:
            there = other[0].versions.get(name)
            raise PreflightError(
                f"{name} is {version} here and {there} on {_names(other)}: install the same on every machine (ray up with constraints.txt)"
            )


def _where(answers: Sequence[Answer], wrong: Callable[[Answer], object]) -> list[Answer]:
    return [answer for answer in answers if wrong(answer)]


def _names(answers: Sequence[Answer]) -> str:
    """`w1 (10.0.0.2) and w2 (10.0.0.3)`; of many, the first three and how many more."""
    names = [
        f"{answer.node} ({answer.address})" if answer.address else answer.node for answer in answers
    ]
    if len(names) > 4:
        names = [*names[:3], f"{len(names) - 3} more nodes"]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
