"""Settings of the C library's memory, for programs that run long with large arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping

# Options of mallopt, from malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -3, -4, -8


def return_memory_early() -> None:
    """Make the C library give freed memory back instead of keeping it for each thread.

    Pictures come and go in several threads, each of which would keep its own peak otherwise.
    """
    _set_allocator({_M_ARENA_MAX: 2, _M_MMAP_THRESHOLD: 4 << 20})


def keep_freed_memory() -> None:
    """Make the C library keep freed memory for the rest of the process's life.

    Each step of a training allocates the same large tensors anew. glibc maps them from the system
    and back, which then clears every page again: a third of the time of a step on a CPU.
    """
    _set_allocator({_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: -1})


def _set_allocator(options: Mapping[int, int]) -> None:
    """Set glibc's; does nothing where the C library is another."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # Windows has no such library
        return
    for option, value in options.items():
        mallopt(option, value)
