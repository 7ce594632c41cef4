"""The processes that train one trial: one, unless the file says `resources: {workers: 2}`.

Every process runs the same train function on its shard of each batch. Gradients are averaged
(DistributedDataParallel), so the curve is that of one process. Only what looks at a batch as a
whole sees a difference, because it sees a shard: batch normalization, and the draws of dropout.
`run.report` counts in the process of rank 0 alone.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

RENDEZVOUS_TIMEOUT = timedelta(seconds=60)
"""How long a process tries to reach the machine of rank 0."""


@dataclass
class ProcessGroup:
    """`run.process_group` of a train function. `rank`, 0 .. world_size - 1, is this process's."""

    rank: int = 0
    world_size: int = 1
    _samplers: list[Any] = field(default_factory=list)

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model to call in training, whose gradients are averaged over the processes.

        Report, save and evaluate `model` itself.
        """
        # DistributedDataParallel refuses a model without a gradient: one that is wholly frozen.
        if self.world_size == 1 or not any(weight.requires_grad for weight in model.parameters()):
            return model
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(model)

    def sampler(self, dataset: Any, seed: int = 0) -> Any:
        """A sampler for a DataLoader: this process's shard of a new random order each epoch.

        The DataLoader's batch size is `batch_size // run.process_group.world_size`.
        """
        from torch.utils.data import DistributedSampler

        sampler: DistributedSampler[Any] = DistributedSampler(
            dataset, self.world_size, self.rank, seed=seed
        )
        self._samplers.append(sampler)
        return sampler

    def begin_epoch(self, seed: int, epoch: int) -> None:
        """Prepare samplers and generators. The run calls it at the start of each epoch.

        All processes but that of rank 0 draw from generators of their own, so that no two of them
        drop out the same units.
        """
        for sampler in self._samplers:
            sampler.set_epoch(epoch)
        if self.rank:
            import torch

            # Two primes spread seeds, epochs and ranks over the generator's range of seeds.
            torch.manual_seed((seed * 1_000_003 + epoch * 1009 + self.rank) % 2**63)

    def shard(self, batch: Tensor) -> Tensor:
        """This process's part of a batch.

        A batch of fewer samples than processes is not split: each process takes all of it.
        """
        if len(batch) < self.world_size:
            return batch
        return batch[self.rank :: self.world_size]

    def loss_weight(self, batch_size: int) -> float:
        """The factor for a loss that is summed over a shard and divided by the size of the batch.

        Averaging the gradients divides by the number of processes, which this undoes, except for a
        batch that is not split.
        """
        if batch_size < self.world_size:
            return 1.0
        return float(self.world_size)

    def mean(self, number: Tensor) -> float:
        """The mean of a number over the processes."""
        if self.world_size > 1:
            import torch

            torch.distributed.all_reduce(number)
        return number.item() / self.world_size


def join_process_group(rank: int, world_size: int, rendezvous: str, device: str) -> ProcessGroup:
    """Meet the other processes at `file://PATH` or at a store that listens at `tcp://HOST:PORT`.

    The backend is nccl if each process has a GPU of its own. It is gloo on the CPU, and if the
    rendezvous ends with `#shared`, which says that processes share a GPU: nccl does not allow it.
    """
    from torch import distributed
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    place, _, shared = rendezvous.partition("#")
    backend = "gloo"
    if device == "cuda" and not shared:
        backend = "nccl"
    if place.startswith("file://"):
        distributed.init_process_group(backend, init_method=place, rank=rank, world_size=world_size)
    else:
        host, _, port = place.removeprefix("tcp://").rpartition(":")
        store = TCPStore(host, int(port), timeout=RENDEZVOUS_TIMEOUT)
        distributed.init_process_group(backend, store=store, rank=rank, world_size=world_size)
    os.environ.update(_launched(rank, world_size, place))
    return ProcessGroup(rank, world_size)


def _launched(rank: int, world_size: int, place: str) -> dict[str, str]:
    """The variables by which torchrun tells a process its rank, and libraries that it has one.

    As on machines of one process each, because every process sees its own GPU alone.
    """
    host = "127.0.0.1"
    if place.startswith("tcp://"):
        host = place.removeprefix("tcp://").rpartition(":")[0]
    return {
        "RANK": str(rank),
        "WORLD_SIZE": str(world_size),
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": "1",
        "GROUP_RANK": str(rank),
        "NODE_RANK": str(rank),  # Lightning's name for it
        "MASTER_ADDR": host,  # Accelerate asks for it, although the processes have met already
    }


def open_rendezvous(host: str) -> tuple[str, Any]:
    """Open a rendezvous on a free port of this machine's address `host`, and on no other address.

    Returns its name and the store behind it, which listens for as long as it is held.
    """
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    # The store would listen on every address of the machine, so it is given a socket of ours.
    listener = socket.create_server((host, 0))
    port = listener.getsockname()[1]
    store = TCPStore(
        host,
        port,
        is_master=True,
        wait_for_workers=False,
        master_listen_fd=listener.detach(),
        use_libuv=False,  # which takes no socket before torch 2.7
    )
    return f"tcp://{host}:{port}", store
