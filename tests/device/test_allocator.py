"""What is asked of the C library's allocator."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from tartlet_device.allocator import return_memory_early

PROGRAM = """
import ctypes, resource, sys
from tartlet_device.allocator import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
size = 64 << 20

def use():
    block = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(size)))
    ctypes.memset(block, 1, size)
    libc.free(block)

use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries do as they like")
def test_pages_are_not_fetched_anew_for_every_step() -> None:
    faults = {
        way: int(
            subprocess.run(
                [sys.executable, "-c", PROGRAM, way], capture_output=True, check=True, text=True
            ).stdout
        )
        for way in ("keep", "give back")
    }
    # 64 MB are 16384 pages of 4 KB, or 32 of 2 MB.
    assert faults["keep"] < 16
    assert faults["give back"] > 10 * faults["keep"]


def test_memory_is_returned_after_the_switch() -> None:
    return_memory_early()  # must not harm, on any C library
