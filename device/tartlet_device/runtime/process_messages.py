"""What the daemon and the model's process say to each other, and the memory that they share."""

from __future__ import annotations

import fcntl
import math
import mmap
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tartlet_shared.manifest import Tensor
from tartlet_shared.messages import Failure

SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
SLOTS = 2
"""Inferences that may be under way at a time, one of them waiting."""
_ALIGNMENT = 64  # bytes; what the runtimes' kernels like


class _Message(msgspec.Struct, frozen=True, tag=True):
    """Told apart by name."""


class Load(_Message, frozen=True):
    """Load a model file; see `tartlet_device.runtime.load`.

    Attributes:
        limited: with no more memory than is free now; a process that needs more fails.
    """

    path: str
    runtime: str
    threads: int | None
    limited: bool = False


class Invoke(_Message, frozen=True):
    """Run it on the input that lies in this slot of the memory."""

    slot: int


Order = Load | Invoke


class Loaded(_Message, frozen=True):
    """It is loaded and has run once; the memory comes along."""

    version: str
    input: Tensor
    outputs: tuple[Tensor, ...]


class Invoked(_Message, frozen=True):
    """The outputs lie in the same slot."""


Answer = Loaded | Invoked | Failure


def size(tensors: Sequence[Tensor]) -> int:
    """Bytes of memory for all slots."""
    return SLOTS * sum(_room(each) for each in tensors)


def slot_views(memory: mmap.mmap, tensors: Sequence[Tensor]) -> list[list[NDArray[Any]]]:
    """The tensors of each slot, one after the other."""
    found: list[list[NDArray[Any]]] = []
    offset = 0
    for _ in range(SLOTS):
        found.append([])
        for each in tensors:
            count = math.prod(each.shape)
            flat = np.frombuffer(memory, np.dtype(each.dtype), count, offset)
            found[-1].append(flat.reshape(each.shape))
            offset += _room(each)
    return found


def _room(tensor: Tensor) -> int:
    bytes_ = math.prod(tensor.shape) * np.dtype(tensor.dtype).itemsize
    return max(1, -(-bytes_ // _ALIGNMENT)) * _ALIGNMENT
