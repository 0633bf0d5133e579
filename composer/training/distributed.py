"""A process group that trains as one process would.

`torchrun` starts the processes, and sets rank and size in the environment. All make the same batches, and each takes
its shard of the rows. Losses and gradients are summed (all-reduce), which gives those of the whole batch: training
equals that of one process, up to rounding. In bf16 rounding is coarser, since each process rounds its own gradient.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from composer.data.batches import Chunk
from composer.devices import choose_device
from composer.errors import BadOption, TrainingFailed, printable

if TYPE_CHECKING:
    import torch
    from torch import nn

PATIENCE = timedelta(days=1)
"""How long a process waits for the others, for example while rank 0 validates."""


@dataclass(frozen=True)
class ProcessGroup:
    """The process group of a run: rank, size, and local rank on this machine. Rank 0 is the main process."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    device: str = "cpu"  # whose memory collective operations use

    @property
    def leads(self) -> bool:
        """Whether this is the main process, which validates, reports and writes."""
        return self.rank == 0

    def share(self, chunk: Chunk) -> Chunk:
        """Take this process's shard of a chunk's rows; it may be empty."""
        if self.size == 1:
            return chunk
        inputs, targets = (np.ascontiguousarray(a[self.rank :: self.size]) for a in (chunk.inputs, chunk.targets))
        return Chunk(inputs, targets, None if chunk.rows is None else len(inputs))

    def set_seed(self, seed: int, batch: int) -> None:
        """Seed this process's random numbers for a batch: reproducible, and different on each rank."""
        import torch

        if not self.leads:
            torch.manual_seed(int(np.random.SeedSequence((seed, batch, self.rank)).generate_state(1, np.uint64)[0]))

    def summed(self, loss: torch.Tensor, parameters: Sequence[nn.Parameter]) -> torch.Tensor:
        """Sum the loss over all processes, and the gradients in place (all-reduce)."""
        if self.size == 1:
            return loss
        import torch
        from torch import distributed

        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([loss.detach().reshape(1), *(gradient.flatten() for gradient in gradients)])
        distributed.all_reduce(flat)
        parts = flat[1:].split([parameter.numel() for parameter in parameters])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part.view_as(parameter)
        return flat[0]

    def broadcast(self, find: Callable[[], float]) -> float:
        """Return the value that the main process finds; the other processes wait for it."""
        if self.size == 1:
            return find()
        import torch
        from torch import distributed

        found = torch.tensor(find() if self.leads else 0.0, dtype=torch.float64, device=self.device)
        distributed.broadcast(found, 0)
        return float(found)

    def broadcast_weights(self, step: int, modules: Sequence[nn.Module]) -> None:
        """Broadcast the weights of rank 0. Raises TrainingFailed if the processes are not at the same step."""
        if self.size == 1:
            return
        from torch import distributed

        if self.broadcast(lambda: float(step)) != step:
            raise TrainingFailed("the processes are not at the same step; all must see the folder of the run.")
        for module in modules:
            for parameter in module.parameters():
                distributed.broadcast(parameter.data, 0)

    @contextmanager
    def let_local_main_first(self) -> Iterator[None]:
        """Run a block on one process of each machine first; the others then find its files."""
        if self.local_rank:
            self._wait()
        yield
        if not self.local_rank:
            self._wait()

    def _wait(self) -> None:
        self.broadcast(lambda: 0.0)


ALONE = ProcessGroup()


@contextmanager
def join_process_group(device: str = "auto") -> Iterator[ProcessGroup]:
    """Join the process group that `torchrun` has started this process in; ALONE without one.

    The backend is gloo on CPUs, and NCCL on GPUs, with one GPU a process. Raises BadOption, TrainingFailed.
    """
    size = os.environ.get("WORLD_SIZE", "")
    if not size.isdecimal() or int(size) < 2:
        yield ALONE
        return
    from torch import distributed

    here = int(os.environ.get("LOCAL_RANK", "0"))
    chosen = _choose_device(device, here)
    options: dict[str, Any] = {"backend": "nccl", "device_id": chosen} if chosen.type == "cuda" else {"backend": "gloo"}
    try:
        distributed.init_process_group(timeout=PATIENCE, **options)
    except (ValueError, RuntimeError) as error:
        why = printable(" ".join(str(error).split()), 160)
        raise TrainingFailed(
            f"the {size} processes do not find each other ({why}); start them with torchrun."
        ) from error
    try:
        yield ProcessGroup(distributed.get_rank(), distributed.get_world_size(), here, str(chosen))
    finally:
        distributed.destroy_process_group()


def _choose_device(device: str, here: int) -> torch.device:
    """Choose the device of a process on this machine. A GPU becomes torch's current 'cuda' device."""
    import torch

    chosen = choose_device(device)
    if chosen.type != "cuda":
        return chosen
    if chosen.index is not None:
        raise BadOption(f"several processes take a GPU each; give --device cuda, and not {device}.")
    if here >= torch.cuda.device_count():
        raise BadOption(f"there are more processes than GPUs on this machine; it has {torch.cuda.device_count()}.")
    torch.cuda.set_device(here)
    return torch.device("cuda", here)
