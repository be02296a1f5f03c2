"""Which process holds a camera."""

from __future__ import annotations

import fcntl
import os
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
# struct flock: type, whence, start, length, process.
_LOCK = struct.Struct("@hhqqi")


@dataclass(frozen=True)
class Holder:
    """A process that uses a camera.

    Attributes:
        pid: its number.
        name: empty if this user may not see it.
        service: the systemd service that it belongs to; empty if none.
    """

    pid: int
    name: str
    service: str

    def __str__(self) -> str:
        return f"{self.name} (process {self.pid})" if self.name else f"process {self.pid}"

    @property
    def hint(self) -> str:
        """How to stop it."""
        if self.service:
            return f"stop it: `sudo systemctl stop {self.service}`"
        return f"stop it: `sudo kill {self.pid}`"


def holders(devices: Iterable[Path], *, proc: Path = _PROC) -> list[Holder]:
    """Processes that use one of the device files; this process is left out.

    Whoever uses a Pi's own camera has a lock on its media device, and every user who may open the
    device may ask for that process. For other devices the open files of all processes are
    searched; only root sees those of other users, so an empty list does not mean that nobody holds
    the device.
    """
    devices = list(devices)
    found = {pid for device in devices if (pid := _locker(device))}
    if not found:
        wanted = {str(device) for device in devices}
        folders = [folder for folder in proc.glob("[0-9]*") if wanted & _open_files(folder / "fd")]
        found = {int(folder.name) for folder in folders}
    return [_describe(pid, proc) for pid in sorted(found - {os.getpid()})]


def busy_words(devices: Iterable[Path], *, proc: Path = _PROC) -> tuple[str, str]:
    """What to say, and what to do, about a camera that another process holds."""
    devices = list(devices)
    found = holders(devices, proc=proc)
    if found:
        return f"held by {', '.join(map(str, found))}", found[0].hint
    names = " ".join(str(device) for device in devices)
    return "another process holds it", f"`sudo fuser -v {names}` names it; stop that one"


def _locker(device: Path) -> int:
    """The process that has a POSIX lock on a device; 0 if none has, or it cannot be told.

    Not to be called while this process holds the camera itself: closing any of its descriptors of
    the device would give the lock back.
    """
    try:
        descriptor = os.open(device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        asked = _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = _LOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    except OSError:
        return 0
    finally:
        os.close(descriptor)
    # A process of another container has no number here.
    return 0 if kind == fcntl.F_UNLCK else max(0, pid)


def _describe(pid: int, proc: Path) -> Holder:
    folder = proc / str(pid)
    group = _read(folder / "cgroup")
    service = re.search(r"/system\.slice/(?:.*/)?([^/\n]+\.service)", group)
    return Holder(pid, _read(folder / "comm").strip(), service[1] if service else "")


def _open_files(folder: Path) -> set[str]:
    try:
        descriptors = list(folder.iterdir())
    except OSError:  # ended meanwhile, or another user's
        return set()
    targets = set()
    for descriptor in descriptors:
        try:
            targets.add(str(descriptor.readlink()))
        except OSError:
            continue
    return targets


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # ended meanwhile, or hidden
        return ""
