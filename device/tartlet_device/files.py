"""Writing files on the device so that a power cut leaves the old one or the new one, never half."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from tartlet_shared import errors

_CHUNK = 1 << 18


def sync_folder(folder: Path) -> None:
    """Make what was created, renamed or removed in ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_synced(path: Path, content: bytes) -> None:
    """Write a new file and fsync it; the caller renames it, or the folder around it."""
    with path.open("xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` aside, fsync, rename over ``path``, fsync the folder."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    try:
        write_synced(temporary, content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def copy_hashed(source: Path, target: Path) -> tuple[int, str]:
    """Copy a regular file to a new one, fsynced; return its size and SHA-256 as read.

    Hash and copy see the same bytes, so that a file changed meanwhile cannot slip through. Links
    are not followed and a pipe does not block: whoever may upload could have left one there.

    Raises:
        OSError: it cannot be read or written; ``ENXIO`` if it is no regular file.
    """
    descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as reading:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.ENXIO, "not a regular file", str(source))
        size, digest = 0, hashlib.sha256()
        with target.open("xb") as writing:
            while chunk := reading.read(_CHUNK):
                size += len(chunk)
                digest.update(chunk)
                writing.write(chunk)
            writing.flush()
            os.fsync(writing.fileno())
    return size, digest.hexdigest()


def remove_folder(folder: Path) -> None:
    """Remove a folder and all in it; one that is gone, or that cannot be removed, is no error."""
    shutil.rmtree(folder, ignore_errors=True)


def free_bytes(folder: Path) -> int:
    """Free disk space for an ordinary user where ``folder`` lies."""
    return shutil.disk_usage(folder).free


@contextlib.contextmanager
def full_disk_named(folder: Path, needed: int) -> Iterator[None]:
    """Turn "no space left" into `StorageFull` that says how much is needed and how much is free."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise storage_full(folder, needed) from error


def storage_full(folder: Path, needed: int) -> errors.StorageFull:
    """The error for a disk without room for ``needed`` bytes."""
    with contextlib.suppress(OSError):
        free = f", {free_bytes(folder) / 1e6:.1f} MB are free"
        return errors.StorageFull(
            f"{needed / 1e6:.1f} MB are needed{free}",
            where=str(folder),
            hint="free some space on the device, `sudo apt clean` for example, then push again",
        )
    return errors.StorageFull(f"{needed / 1e6:.1f} MB are needed", where=str(folder))
