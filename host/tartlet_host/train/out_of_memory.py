"""Running out of memory: recognised here, answered with smaller parts of the same batch."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import torch

from tartlet_shared.errors import ModelError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

# What torch says on the CPU, on Linux and on Windows; CUDA has an exception type of its own.
_MESSAGES = ("can't allocate memory", "not enough memory", "out of memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that there is no memory left."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(message in text for message in _MESSAGES)


def in_parts(
    compute: Callable[[int], Result], clear: Callable[[], None], *, parts: int, most: int
) -> tuple[Result, int]:
    """`compute(parts)`, with twice the parts each time that memory does not suffice.

    Args:
        compute: the work, done in so many parts one after the other.
        clear: forgets what a failed attempt left behind.
        parts: to begin with.
        most: parts that cannot be divided further.

    Returns:
        The result, and the parts that it took: begin with those the next time.

    Raises:
        ModelError: even the smallest parts are too large.
    """
    while True:
        try:
            return compute(parts), parts
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if parts >= most:
                raise ModelError(
                    "there is not enough memory for a single picture",
                    where="train",
                    hint="make the canvas (input) or the network smaller, or free some memory",
                ) from error
        # Only here, outside the handler, is the failed attempt's traceback gone, and with it the
        # tensors that it held on to.
        clear()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        parts = min(most, 2 * parts)
        logger.warning("out of memory: going on with every batch in %d parts", parts)
