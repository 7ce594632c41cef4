"""TensorBoard's event files, as they grow."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from raysweep.trainables.runtime.script.file_formats import RecordOf
from raysweep.trainables.runtime.script.growing_file import GrowingFile
from raysweep.trainables.runtime.script.records import Record

HEADER, FOOTER = 12, 4
"""Bytes round an event: its length (8) with a checksum (4), and a checksum of its content (4), as
in TensorFlow's TFRecord."""
MOST_EVENT_BYTES = 2**28
"""An event longer than this is no event, but a file that is something else."""
FLOAT, DOUBLE = 1, 2
"""TensorFlow's numbers of the types of a tensor (`types.proto`)."""


class EventFile:
    """Reads the scalars of an event file. Those of one step are one record.

    A scalar called `epoch`, as Lightning writes it beside the others, says the epoch of its step.
    """

    def __init__(self, path: Path, record_of: RecordOf) -> None:
        self._file, self._record_of = GrowingFile(path), record_of
        self._rest = b""
        self._step: int | None = None
        self._scalars: dict[str, float] = {}

    def read(self, ended: bool) -> list[Record]:
        content = self._file.read()
        if self._file.was_replaced:
            self._rest = b""
        is_quiet = not content
        records = self._parse(content)
        # The other scalars of the last step may follow: they are written in a row.
        if is_quiet or ended:
            records += self._finish_step()
        return records

    def skip(self) -> None:
        self._file.skip()

    def _parse(self, content: bytes) -> list[Record]:
        # Imported here: it takes 0.1 s, which scripts without event files do not have to wait.
        from tensorboard.compat.proto.event_pb2 import Event

        records = []
        for body in self._bodies(content):
            try:
                event = Event.FromString(body)
            except Exception:  # a damaged event; protobuf has no base class for its errors
                continue
            scalars = _scalars(event)
            if not scalars:
                continue
            if event.step != self._step:
                records += self._finish_step()
            self._step = event.step
            self._scalars |= scalars
        return records

    def _bodies(self, content: bytes) -> list[bytes]:
        """The whole events that have been read so far."""
        content, start, bodies = self._rest + content, 0, []
        while len(content) - start >= HEADER:
            (length,) = struct.unpack_from("<Q", content, start)
            if length > MOST_EVENT_BYTES:
                start = len(content)  # it is no event file, or a damaged one: nothing is left of it
                break
            end = start + HEADER + length + FOOTER
            if end > len(content):
                break
            bodies.append(content[start + HEADER : end - FOOTER])
            start = end
        self._rest = content[start:]
        return bodies

    def _finish_step(self) -> list[Record]:
        if not self._scalars:
            return []
        scalars: dict[str, Any] = dict(self._scalars)
        epoch = scalars.get("epoch")
        if epoch is not None and epoch.is_integer():
            scalars["epoch"] = int(epoch)  # it counts epochs; transformers' amounts have fractions
        self._scalars = {}
        return [self._record_of(scalars, step=self._step)]


def _scalars(event: Any) -> dict[str, float]:
    """The scalars of an event by their tags; {} if it has none."""
    scalars = {}
    for value in event.summary.value:
        number = _number(value)
        if number is not None:
            scalars[value.tag] = number
    return scalars


def _number(value: Any) -> float | None:
    """A scalar, as PyTorch writes it, or as TensorFlow does, which wraps it in a tensor."""
    if value.HasField("simple_value"):
        return float(value.simple_value)
    if not value.HasField("tensor") or value.tensor.tensor_shape.dim:
        return None
    tensor = value.tensor
    if tensor.dtype == FLOAT:
        return _first(tensor.float_val, tensor.tensor_content, "<f")
    if tensor.dtype == DOUBLE:
        return _first(tensor.double_val, tensor.tensor_content, "<d")
    return None


def _first(values: Any, content: bytes, form: str) -> float | None:
    if len(values):
        return float(values[0])
    if len(content) == struct.calcsize(form):
        return float(struct.unpack(form, content)[0])
    return None
