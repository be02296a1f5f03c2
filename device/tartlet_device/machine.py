"""Figures about the machine: memory, heat, power, disk, clock."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path("/")

# Bits of the Raspberry Pi firmware's get_throttled, see the documentation of vcgencmd.
_THROTTLED = (
    (0, "under-voltage now"),
    (1, "clock capped now"),
    (2, "throttled now"),
    (3, "soft temperature limit now"),
    (16, "under-voltage has occurred"),
    (17, "clock was capped"),
    (18, "throttling has occurred"),
    (19, "soft temperature limit was reached"),
)
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # from malloc.h
_FIRMWARE_FILE = "sys/devices/platform/soc/soc:firmware/get_throttled"


def resident_bytes(root: Path = ROOT) -> int:
    """This process's resident memory."""
    try:
        pages = int((root / "proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_bytes(root: Path = ROOT) -> int:
    """The most resident memory that this process had so far; 0 where the system does not tell."""
    try:
        text = (root / "proc/self/status").read_text()
    except OSError:
        return _peak_by_usage()
    # Not getrusage here: on Linux it counts what the process was before it became this program.
    found = re.search(r"^VmHWM:\s*(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _peak_by_usage() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def return_memory_early() -> None:
    """Make the C library give freed memory back instead of keeping it for each thread.

    Pictures come and go in several threads, each of which would keep its own peak otherwise.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # not glibc
        return
    mallopt(_M_ARENA_MAX, 2)
    mallopt(_M_MMAP_THRESHOLD, 4 << 20)


def load() -> float | None:
    """Work for each core in the last minute, 1 for as much as it can do; None where unknown."""
    try:
        return os.getloadavg()[0] / (os.cpu_count() or 1)
    except (AttributeError, OSError):  # Windows
        return None


def temperature_c(root: Path = ROOT) -> float | None:
    """The hottest thermal zone, degrees Celsius; None where there is none."""
    readings = []
    for zone in (root / "sys/class/thermal").glob("thermal_zone*/temp"):
        try:
            readings.append(int(zone.read_text()) / 1000)
        except (OSError, ValueError):
            continue
    return max(readings, default=None)


def throttled(root: Path = ROOT) -> tuple[str, ...] | None:
    """What a Raspberry Pi's firmware says about power and heat; None on other machines."""
    flags = _throttled_flags(root)
    if flags is None:
        return None
    return tuple(words for bit, words in _THROTTLED if flags & 1 << bit)


def _throttled_flags(root: Path) -> int | None:
    try:
        return int((root / _FIRMWARE_FILE).read_text().strip(), 16)
    except (OSError, ValueError):
        pass
    if root != ROOT or shutil.which("vcgencmd") is None:
        return None
    try:
        answer = subprocess.run(
            ["vcgencmd", "get_throttled"], capture_output=True, text=True, timeout=2, check=True
        ).stdout
        return int(answer.strip().partition("=")[2], 16)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def clock_synchronized(root: Path = ROOT) -> bool:
    """Whether a time server has set the clock since the start; a Pi has no clock of its own."""
    # systemd-timesyncd touches this file; other clients set the kernel's flag instead.
    if (root / "run/systemd/timesync/synchronized").exists():
        return True
    return _kernel_clock_synchronized()


def _kernel_clock_synchronized() -> bool:
    # adjtimex with modes=0 only reads. The answer is TIME_ERROR (5) while not synchronized.
    buffer = ctypes.create_string_buffer(256)
    try:
        state = ctypes.CDLL(None).adjtimex(buffer)
    except (AttributeError, OSError):
        return False
    return state not in (-1, 5)


def description(root: Path = ROOT) -> str:
    """The machine in words, such as "Raspberry Pi 5 Model B Rev 1.0 (aarch64)"."""
    try:
        model = (root / "sys/firmware/devicetree/base/model").read_text().strip("\0\n ")
    except OSError:
        model = platform.system()
    return f"{model} ({platform.machine()})"
