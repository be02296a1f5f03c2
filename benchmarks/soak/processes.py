"""What a process and its children take, from ``/proc``."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from tartlet_device import machine

_PROC = Path("/proc")


@dataclass(frozen=True)
class Usage:
    """Of one process.

    Attributes:
        name: what it does.
        resident: bytes.
        proportional: the same; pages that several processes share count by their part.
        own: of them those that are no file's; pages that several processes share count by their
            part. What leaks is here, and who else uses the same libraries changes nothing.
        descriptors, threads: how many.
    """

    name: str
    resident: int
    proportional: int
    own: int
    descriptors: int
    threads: int


def family(pid: int) -> dict[int, Usage]:
    """A process and all that it started, by number; those that end meanwhile are left out."""
    parents: dict[int, int] = {}
    for folder in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = (folder / "stat").read_text().rpartition(") ")[2].split()
            parents[int(folder.name)] = int(fields[1])
    members = {pid}
    while True:
        more = {each for each, parent in parents.items() if parent in members} - members
        if not more:
            break
        members |= more
    found = {}
    for each in sorted(members):
        with contextlib.suppress(OSError, KeyError, ValueError):
            found[each] = _usage(_PROC / str(each))
    return found


def _usage(folder: Path) -> Usage:
    sizes = _fields(folder / "smaps_rollup")
    return Usage(
        name=machine.process_name(folder),
        resident=sizes["Rss"] * 1024,
        proportional=sizes["Pss"] * 1024,
        own=(sizes["Pss_Anon"] + sizes["Pss_Shmem"]) * 1024,
        descriptors=len(list((folder / "fd").iterdir())),
        threads=_fields(folder / "status")["Threads"],
    )


def _fields(path: Path) -> dict[str, int]:
    found = {}
    for line in path.read_text().splitlines():
        name, _, rest = line.partition(":")
        with contextlib.suppress(ValueError, IndexError):
            found[name] = int(rest.split()[0])
    return found
