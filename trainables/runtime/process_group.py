"""The processes that train one trial together: of one, unless the file says `resources: {workers: 2}`.

Every process runs the same train function on its share of each batch; gradients are averaged (DistributedDataParallel), so that the curve
is that of one process. What looks at a batch as a whole sees only a share of it: batch normalization, and dropout's draws. `run.report`
counts in the first process alone.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

PATIENCE = timedelta(seconds=60)
"""So long a process tries to reach the first one's machine."""


@dataclass
class Team:
    """`rank` 0 .. workers - 1 is this process. A train function finds it as `run.team`."""

    rank: int = 0
    workers: int = 1
    _samplers: list[Any] = field(default_factory=list)

    def spread(self, model: nn.Module) -> nn.Module:
        """The model to call in training, whose gradients are those of all processes. Report, save and evaluate `model` itself."""
        if self.workers == 1 or not any(one.requires_grad for one in model.parameters()):
            return model
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(model)

    def sampler(self, dataset: Any, seed: int = 0) -> Any:
        """For a DataLoader, with a batch size of `batch_size // run.team.workers`: this process's part of a new random order each epoch."""
        from torch.utils.data import DistributedSampler

        one: DistributedSampler[Any] = DistributedSampler(
            dataset, self.workers, self.rank, seed=seed
        )
        self._samplers.append(one)
        return one

    def begin(self, seed: int, epoch: int) -> None:
        """Called at the start of each epoch. All but the first process draw from generators of their own."""
        for one in self._samplers:
            one.set_epoch(epoch)
        if self.rank:
            import torch

            torch.manual_seed((seed * 1_000_003 + epoch * 1009 + self.rank) % 2**63)

    def share(self, batch: Tensor) -> Tensor:
        """This process's part of a batch; of one that has not a piece for each process, the whole."""
        return batch[self.rank :: self.workers] if len(batch) >= self.workers else batch

    def weight(self, size: int) -> float:
        """What a loss that is summed over a share and divided by the batch's size must be multiplied by, as gradients are averaged."""
        return float(self.workers) if size >= self.workers else 1.0

    def total(self, number: Tensor) -> float:
        """The mean over the processes."""
        if self.workers > 1:
            import torch

            torch.distributed.all_reduce(number)
        return number.item() / self.workers


def joined(rank: int, workers: int, meeting: str, device: str) -> Team:
    """Meet the others: at `file://PATH`, or at a store that waits for them at `tcp://HOST:PORT`.

    nccl where each process has a GPU of its own; gloo else, and where the meeting's name ends with `#shared`.
    """
    from torch import distributed
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    place, _, shared = meeting.partition("#")
    backend = "nccl" if device == "cuda" and not shared else "gloo"
    if place.startswith("file://"):
        distributed.init_process_group(backend, init_method=place, rank=rank, world_size=workers)
    else:
        host, _, port = place.removeprefix("tcp://").rpartition(":")
        store = TCPStore(host, int(port), timeout=PATIENCE)
        distributed.init_process_group(backend, store=store, rank=rank, world_size=workers)
    return Team(rank, workers)


def opened(host: str) -> tuple[str, Any]:
    """A meeting on a free port of this machine's address `host`, and on no other address; there as long as what comes second is held."""
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    waiting = socket.create_server((host, 0))
    port = waiting.getsockname()[1]
    store = TCPStore(
        host, port, is_master=True, wait_for_workers=False, master_listen_fd=waiting.detach()
    )
    return f"tcp://{host}:{port}", store
