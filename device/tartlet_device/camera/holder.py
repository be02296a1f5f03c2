"""Which process holds a camera."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def holders(devices: Iterable[Path], *, proc: Path = Path("/proc")) -> list[str]:
    """Processes that have one of the device files open, such as "motion (process 812)".

    This process is left out. Only root sees the files of other users' processes, so an empty list
    does not mean that nobody holds the device.
    """
    wanted = {str(device) for device in devices}
    found = []
    for folder in sorted(proc.glob("[0-9]*"), key=lambda each: int(each.name)):
        if folder.name == str(os.getpid()):
            continue
        if wanted & _open_files(folder / "fd"):
            found.append(f"{_name(folder)} (process {folder.name})")
    return found


def busy_words(devices: Iterable[Path], *, proc: Path = Path("/proc")) -> tuple[str, str]:
    """What to say, and what to do, about a camera that another process holds."""
    devices = list(devices)
    found = holders(devices, proc=proc)
    if found:
        return f"held by {', '.join(found)}", f"stop {found[0]}"
    names = " ".join(str(device) for device in devices)
    return "another process holds it", f"`sudo fuser -v {names}` names it; stop that one"


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


def _name(folder: Path) -> str:
    try:
        return (folder / "comm").read_text().strip()
    except OSError:
        return "a process"
