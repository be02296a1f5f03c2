"""Several processes train one network, as torchrun starts them.

Every process computes the gradients of its own pictures; one message a step averages them, with
the loss, the batch-norm statistics that were just taken, and the wish to stop. All weights stay
equal because all start equal and take equal steps.

The sum of one flat message is used in place of torch's DistributedDataParallel: the network is a
few megabytes, so there is nothing to gain from sending while still computing, and parts of it may
be frozen for a while, which that wrapper must not see. Each process normalises with its own
batch's statistics (a synchronised batch norm exists for CUDA only); the running ones are averaged.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import distributed

from tartlet_shared.errors import ConfigError

# The others wait as long while the first one validates or writes a state.
PATIENCE = datetime.timedelta(hours=1)


@dataclass(frozen=True)
class Processes:
    """This process's place among those that train together.

    Attributes:
        rank: 0 is the one that writes, validates and reports.
        size: how many there are.
        local_rank: place among those on this machine, which picks the GPU.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        return self.rank == 0


ALONE = Processes()


@contextlib.contextmanager
def joined() -> Iterator[Processes]:
    """Join the processes that torchrun started; without torchrun this one is alone.

    Raises:
        ConfigError: torchrun's variables are there in part only, or the others do not answer.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    try:
        here = Processes(
            int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_RANK"])
        )
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if _cuda() else "gloo", timeout=PATIENCE
        )
    except (KeyError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"cannot join the other processes: {error}",
            where="WORLD_SIZE, RANK, LOCAL_RANK, MASTER_ADDR, MASTER_PORT",
            hint="start them with: torchrun --nproc-per-node 2 -m tartlet_host train ...",
        ) from error
    try:
        yield here
    finally:
        distributed.destroy_process_group()


def device_of(processes: Processes) -> torch.device:
    """The GPU of this process, or the CPU where there is none."""
    return torch.device("cuda", processes.local_rank) if _cuda() else torch.device("cpu")


def average(processes: Processes, tensors: Sequence[torch.Tensor]) -> None:
    """Replace each floating-point tensor, in place, by its mean over all processes.

    All processes must call it with the same shapes, in the same order.
    """
    if processes.size == 1 or not tensors:
        return
    message = torch.cat([tensor.detach().reshape(-1).float() for tensor in tensors])
    distributed.all_reduce(message)
    message /= processes.size
    at = 0
    for tensor in tensors:
        part = message[at : at + tensor.numel()]
        tensor.detach().copy_(part.reshape(tensor.shape))
        at += tensor.numel()


def from_first(processes: Processes, value: float) -> float:
    """The first process's number, in all processes."""
    if processes.size == 1:
        return value
    # On the CPU, in 64 bits: the number decides which weights are kept.
    message = torch.tensor([value], dtype=torch.float64)
    distributed.broadcast(message, src=0)
    return float(message[0])


def any_of(processes: Processes, flag: bool) -> bool:
    """Whether the flag is up in any process; all get the same answer."""
    if processes.size == 1:
        return flag
    message = torch.tensor([float(flag)])
    distributed.all_reduce(message)
    return bool(message[0] > 0)


def _cuda() -> bool:
    return torch.cuda.is_available()
