"""Asks every node of a cluster what a trial would find there.

The questions travel by value, because a node may lack raysweep altogether.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ANSWER_SECONDS = 90.0
"""Seconds that a node has for its answer: it may have to import torch from a slow disk."""
FETCH_SECONDS = 3600.0
"""Seconds that a node has to fetch the data."""
VERSIONED = ("ray", "torch", "numpy")
"""Packages whose versions must be the same on every machine."""
MARKER = ".preflight"
"""The file in the run directory by which a node shows that it sees the same storage."""


@dataclass(frozen=True)
class Question:
    """What each node is asked.

    `trainable`: the train function, as a job names it. `storage`: the run directory, or its URL.
    `marker`: what the driver wrote into MARKER there. `source`: the digest of the train function's
    file; a node that has another file does not import it. `constants`: what every configuration
    of the sweep holds. `environment`: variables that trials get from the driver.
    """

    trainable: str
    storage: str
    marker: str
    source: str
    constants: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What a node answers.

    `storage`, `trainable`, `data`: what is wrong with them there, "" for nothing. `trouble`: why
    there is no answer.
    """

    node: str
    address: str = ""
    trouble: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    storage: str = ""
    trainable: str = ""
    source: str = ""
    data: str = ""


def probe(ray: Any, question: Question) -> list[Answer]:
    """What a trial would find on each alive node, within ANSWER_SECONDS."""
    return _asked(ray, look, question, ANSWER_SECONDS)


def gather(ray: Any, question: Question) -> list[Answer]:
    """The same, after each node has fetched what its trials need, within FETCH_SECONDS."""
    return _asked(ray, bring, question, FETCH_SECONDS)


def _asked(
    ray: Any,
    function: Callable[[dict[str, Any]], dict[str, Any]],
    question: Question,
    seconds: float,
) -> list[Answer]:
    """The answers of all alive nodes, asked at once."""
    from ray import cloudpickle
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from raysweep.tune.executors.ray.by_value import finding

    find = finding()

    def answer(question: dict[str, Any]) -> dict[str, Any]:
        with contextlib.suppress(ImportError):  # the answer says that raysweep is missing
            find()
        return function(question)

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        ask = ray.remote(num_cpus=0, max_retries=0)(answer)
        nodes = [node for node in ray.nodes() if node["Alive"]]
        asked = [
            (
                node,
                ask.options(
                    scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                ).remote(vars(question)),
            )
            for node in nodes
        ]
        ray.wait([reference for _, reference in asked], num_returns=len(asked), timeout=seconds)
        answers = [(node["NodeID"], _answer(ray, node, reference)) for node, reference in asked]
        alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
        # A node that died meanwhile will hold no trial.
        return [answer for node, answer in answers if node in alive or not answer.trouble]
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def _answer(ray: Any, node: dict[str, Any], reference: Any) -> Answer:
    name, address = node["NodeName"] or node["NodeManagerHostname"], node["NodeManagerAddress"]
    try:
        said = ray.get(reference, timeout=0.1)
    except Exception as error:  # whatever the node died of: it did not answer
        return Answer(
            name, address, (str(error).strip().splitlines() or [type(error).__name__])[-1]
        )
    return Answer(said.pop("host"), address, **said)


def look(question: dict[str, Any]) -> dict[str, Any]:
    """What a trial would find in this process. Runs on a node, or in the driver for comparison."""
    os.environ.update(question["environment"])
    found = source(question["trainable"])
    return {
        "host": socket.gethostname(),
        "versions": versions(),
        "storage": _storage(question["storage"], question["marker"]),
        "trainable": _trainable(question["trainable"]) if found == question["source"] else "",
        "source": found,
    }


def bring(question: dict[str, Any]) -> dict[str, Any]:
    """Call `prepare_data(constants)` of the train function's module, if it has such a function.

    A lock keeps several processes of a machine from fetching at once.
    """
    from raysweep.trainables.runtime.import_trainable import load

    os.environ.update(question["environment"])
    with _function_at_hand(question["trainable"]) as reference:
        prepare = getattr(load(reference)[1], "prepare_data", None)
    said = {"host": socket.gethostname(), "data": ""}
    if prepare is None:
        return said
    with open(Path(tempfile.gettempdir()) / f"raysweep-{os.getuid()}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            prepare(question["constants"])
        except Exception as error:
            name = "" if type(error).__name__ == "DataError" else f"{type(error).__name__}: "
            said["data"] = name + (str(error).strip().splitlines() or [""])[0]
    return said


def versions() -> dict[str, str]:
    """The versions that must be the same everywhere; of raysweep, a digest of its sources."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in VERSIONED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "missing"
    return found | {"raysweep": _sources()}


def _sources() -> str:
    try:
        from raysweep.finder import PACKAGE
    except ImportError:
        return "missing"
    digest = hashlib.sha256()
    for folder, _, files in sorted(os.walk(PACKAGE, followlinks=True)):
        for name in sorted(name for name in files if name.endswith(".py")):
            path = Path(folder, name)
            digest.update(path.relative_to(PACKAGE).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _storage(place: str, marker: str) -> str:
    """Read what the driver wrote, and write beside it. Returns what is wrong, or ""."""
    mine = f"{MARKER}-{socket.gethostname()}"
    try:
        if "://" in place:
            from raysweep.results.storage.object_store import ObjectStore

            bucket = ObjectStore(place)
            read = (bucket.read(MARKER) or b"").decode()
            bucket.write(mine, b"")
            bucket.delete(mine)
        else:
            read = (Path(place) / MARKER).read_text()
            (Path(place) / mine).touch()
            (Path(place) / mine).unlink()
    except (OSError, ImportError) as error:
        return f"{type(error).__name__}: {error}"
    return "" if read == marker else "another file lies there"


def _trainable(reference: str) -> str:
    try:
        from raysweep.trainables.runtime.import_trainable import TrainableError, load
    except ImportError as error:
        return f"raysweep is not installed there: {error}"
    try:
        with _function_at_hand(reference) as local:
            load(local)
    except (TrainableError, OSError) as error:
        return str(error)
    return ""


def _function_at_hand(reference: str) -> AbstractContextManager[str]:
    """The reference as this machine can load it: a pickled function may be in object storage."""
    from raysweep.tune.executors.ray.checkpoint_sync import function_at_hand

    return function_at_hand(reference)


def source(reference: str) -> str:
    """A digest of the file that holds the train function; "" if there is none.

    A pickled function has none: it lies in the run directory, so every machine has the same one.
    """
    from raysweep.references import is_script
    from raysweep.trainables.runtime.import_trainable import split_reference

    place = split_reference(reference)[0]
    if not place.endswith(".py") and not is_script(reference):
        try:
            spec = importlib.util.find_spec(place)
        except (ImportError, ValueError):
            spec = None
        place = (spec.origin or "") if spec else ""
    path = Path(place)
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.is_file() else ""
