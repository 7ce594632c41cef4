"""The random-number generators of a trial that shares its process with others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from raysweep.trainables.runtime.checkpoint import random_states, set_random_states


class Randomness:
    """The states of the global generators as this trial left them.

    `generator`: torch's, from which the trial's dropout is drawn while it is trained with others.
    It draws what the global one would draw.
    """

    def __init__(self, device: str) -> None:
        self.generator = torch.Generator(device)
        self._states: dict[str, Any] = {}
        self._keep()

    @contextmanager
    def used(self) -> Iterator[None]:
        """Let the global generators continue as this trial's while the body runs."""
        self._set_device_state(self.generator.get_state())
        set_random_states(self._states)
        try:
            yield
        finally:
            self._keep()

    def copy(self) -> Randomness:
        """Another one that draws the same. The global generators stay as they are."""
        copied = Randomness(self.generator.device.type)
        copied._states = dict(self._states)
        copied.generator.set_state(self.generator.get_state())
        return copied

    def _keep(self) -> None:
        self._states = random_states()
        on_gpu = self.generator.device.type == "cuda"
        self.generator.set_state(self._states["cuda"][0] if on_gpu else self._states["torch"])

    def _set_device_state(self, state: torch.Tensor) -> None:
        if self.generator.device.type == "cuda":
            self._states["cuda"] = [state, *self._states["cuda"][1:]]
        else:
            self._states["torch"] = state
