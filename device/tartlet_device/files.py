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
from typing import BinaryIO

from tartlet_shared import errors

DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""Errors that are the disk's, and not a file's."""
_CHUNK = 1 << 18
_MOUNTS = Path("/proc/self/mountinfo")


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


@contextlib.contextmanager
def opened_upload(path: Path) -> Iterator[BinaryIO]:
    """A regular file that somebody else may have made, for reading.

    Links are not followed and a pipe does not block: whoever may upload could have left one there.

    Raises:
        OSError: it cannot be read; ``ENXIO`` if it is no regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as reading:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.ENXIO, "not a regular file", str(path))
        yield reading


def hashed(path: Path, most: int) -> tuple[int, str]:
    """Size and SHA-256 of an upload as it is now; of one that is longer than ``most``, ``(0, "")``.

    Raises:
        OSError: as `opened_upload`.
    """
    with opened_upload(path) as reading:
        size, digest = 0, hashlib.sha256()
        while chunk := reading.read(_CHUNK):
            size += len(chunk)
            if size > most:
                return 0, ""
            digest.update(chunk)
    return size, digest.hexdigest()


def copy_hashed(source: Path, target: Path, *, limit: int) -> tuple[int, str]:
    """Copy an upload to a new file, fsynced; return its size and SHA-256 as read.

    Of a file larger than ``limit`` bytes only a part is copied, which is larger too: a file with
    holes is sent in no time and would fill the disk.

    Hash and copy see the same bytes, so that a file changed meanwhile cannot slip through.

    Raises:
        OSError: it cannot be written, or as `opened_upload`.
    """
    with opened_upload(source) as reading:
        size, digest = 0, hashlib.sha256()
        with target.open("xb") as writing:
            while size <= limit and (chunk := reading.read(_CHUNK)):
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


def is_read_only(folder: Path) -> bool:
    """Whether the file system of ``folder`` takes nothing, as after a fault of the card."""
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return True
    # Recent kernels say only here that a file system has stopped writing after an error.
    device = folder.stat().st_dev
    place = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = _MOUNTS.read_text().splitlines()
    except OSError:
        return False
    options = (line.split()[-1] for line in mounts if line.split()[2] == place)
    return any("emergency_ro" in each.split(",") for each in options)


@contextlib.contextmanager
def disk_faults_named(folder: Path, needed: int) -> Iterator[None]:
    """Say in plain words what is wrong with the disk.

    Raises:
        StorageFull: there is no space left; says how much is needed and how much is free.
        DeviceError: it is mounted read-only, or fails.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FAULTS:
            raise
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise storage_full(folder, needed) from error
        raise errors.DeviceError(
            f"the disk cannot be written: {error.strerror}",
            where=str(folder),
            hint="a card that fails is mounted read-only: `dmesg` on the device says more; make a "
            "copy of the card and try another one",
        ) from error


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
