"""Figures about the machine: memory, heat, power, disk, clock."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tartlet_shared import throttling
from tartlet_shared.health_messages import ProcessHealth

ROOT = Path("/")

_FIRMWARE_FILE = "sys/devices/platform/soc/soc:firmware/get_throttled"


def resident_bytes(root: Path = ROOT) -> int:
    """This process's resident memory."""
    return _resident_pages(root / "proc/self") * os.sysconf("SC_PAGE_SIZE")


def children(root: Path = ROOT) -> tuple[ProcessHealth, ...]:
    """The processes that this one started, and those that they started."""
    parents = dict(_parents(f"{root}/proc"))
    found: list[ProcessHealth] = []
    for pid in sorted(parents):
        if _descends(pid, os.getpid(), parents):
            folder = root / "proc" / str(pid)
            size = _resident_pages(folder) * os.sysconf("SC_PAGE_SIZE")
            found.append(ProcessHealth(name=process_name(folder), pid=pid, resident_bytes=size))
    return tuple(found)


def _parents(proc: str) -> Iterator[tuple[int, int]]:
    """Every process and the one that started it.

    Without pathlib: that would enter hundreds of names in Python's table of interned strings each
    time, which then grows.
    """
    try:
        names = os.listdir(proc)  # noqa: PTH208
    except OSError:  # macOS and Windows have none
        return
    for number in filter(str.isdecimal, names):
        with contextlib.suppress(OSError, IndexError, ValueError):  # it has ended meanwhile
            with open(f"{proc}/{number}/stat", "rb") as stat:  # noqa: PTH123
                # The name may contain anything, parentheses too.
                fields = stat.read().rpartition(b") ")[2]
            yield int(number), int(fields.split()[1])


def process_name(folder: Path) -> str:
    """What a process with this folder below /proc does: of ours "camera", not "python3"."""
    try:
        words = (folder / "cmdline").read_text(errors="replace").split("\0")
        if "-m" in words[:-1]:
            module = words[words.index("-m") + 1]
            return module.removeprefix("tartlet_device.").removesuffix(".process_main")
        return (folder / "comm").read_text().strip()
    except OSError:
        return ""


def _descends(pid: int, ancestor: int, parents: Mapping[int, int]) -> bool:
    seen: set[int] = set()
    while pid in parents and pid not in seen:
        seen.add(pid)
        pid = parents[pid]
        if pid == ancestor:
            return True
    return False


def _resident_pages(folder: Path) -> int:
    try:
        return int((folder / "statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def contiguous_memory(root: Path = ROOT) -> tuple[int, int] | None:
    """Free and total bytes of the memory that cameras need in one piece (CMA); None without."""
    try:
        text = (root / "proc/meminfo").read_text()
    except OSError:
        return None
    kilobytes = dict(re.findall(r"^Cma(Free|Total):\s*(\d+) kB$", text, re.MULTILINE))
    if int(kilobytes.get("Total", 0)) == 0 or "Free" not in kilobytes:
        return None
    return int(kilobytes["Free"]) * 1024, int(kilobytes["Total"]) * 1024


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
    flags = throttled_flags(root)
    return None if flags is None else throttling.words(flags)


def throttled_flags(root: Path = ROOT) -> int | None:
    """The same as the firmware's own bits, see `tartlet_shared.throttling`."""
    try:
        return int((root / _FIRMWARE_FILE).read_text().strip(), 16)
    except (OSError, ValueError):
        pass
    asked = _asked_firmware() if root == ROOT else None
    return _under_voltage(root) if asked is None else asked


def _under_voltage(root: Path) -> int | None:
    """What the kernel's voltage sensor knows: one bit of the firmware's."""
    for sensor in (root / "sys/class/hwmon").glob("hwmon*"):
        try:
            if (sensor / "name").read_text().strip() == "rpi_volt":
                return int((sensor / "in0_lcrit_alarm").read_text())
        except (OSError, ValueError):
            continue
    return None


def _asked_firmware() -> int | None:
    if shutil.which("vcgencmd") is None:
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
