"""What this computer has to train with."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Accelerator:
    """A CUDA device: its name, and bytes of memory in all and free."""

    name: str
    memory: int
    free: int


@dataclass(frozen=True)
class Machine:
    """A computer.

    Attributes:
        processor: as the maker calls it.
        cores: that this process may use.
        memory, free: bytes in all and available, within this process's limits; None if unknown.
        accelerators: CUDA devices.
        threads: that torch computes with.
        torch: its version.
    """

    processor: str
    cores: int
    memory: int | None
    free: int | None
    accelerators: tuple[Accelerator, ...]
    threads: int
    torch: str

    def __str__(self) -> str:
        """One line for people."""
        parts = [self.processor, f"{self.cores} cores", f"{self.threads} threads"]
        if self.free is not None:
            parts.append(f"{self.free / 1e9:.1f} GB free")
        parts += [f"{each.name} ({each.free / 1e9:.1f} GB free)" for each in self.accelerators]
        return ", ".join(parts)

    @property
    def training_memory(self) -> int | None:
        """Free bytes where training would happen: the first accelerator's, else the computer's."""
        return self.accelerators[0].free if self.accelerators else self.free


def examine() -> Machine:
    """Look at this computer. Never raises for something that cannot be found out."""
    import torch

    accelerators = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        accelerators.append(Accelerator(torch.cuda.get_device_name(index), total, free))
    memory, free_memory = _memory()
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else _all_cores(),
        memory=memory,
        free=free_memory,
        accelerators=tuple(accelerators),
        threads=torch.get_num_threads(),
        torch=str(torch.__version__),
    )


def _all_cores() -> int:
    return os.cpu_count() or 1


def _processor() -> str:
    names = _fields(Path("/proc/cpuinfo"))
    for key in ("model name", "Model"):
        if names.get(key):
            return names[key]
    if platform.system() == "Darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        try:
            return subprocess.run(
                command, capture_output=True, text=True, check=True
            ).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            pass
    return platform.processor() or platform.machine()


def _memory(
    proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")
) -> tuple[int | None, int | None]:
    """Bytes in all and available; a container's limit counts where it is lower."""
    stated = _fields(proc / "meminfo")
    try:
        total = int(stated["MemTotal"].split()[0]) * 1024
        free = int(stated["MemAvailable"].split()[0]) * 1024
    except (KeyError, ValueError, IndexError):
        return _memory_of_system()
    try:
        limit = int((groups / "memory.max").read_text())
        used = int((groups / "memory.current").read_text())
    except (OSError, ValueError):  # no such group, or "max"
        return total, free
    return min(total, limit), min(free, max(0, limit - used))


def _memory_of_system() -> tuple[int | None, None]:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), None
    except (ValueError, OSError, AttributeError):
        return None, None


def _fields(path: Path) -> dict[str, str]:
    """ "name: value" lines of a system file; the first of a name counts."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    return fields
