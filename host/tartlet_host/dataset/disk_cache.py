"""Decoded, shrunk pictures on disk: reading one back takes a fraction of decoding it.

An entry is named after the picture's file (its size and time too) and its kept size, so that a
changed file or another canvas finds none. It is written aside and renamed; a damaged one does not
match its checksum and is made again. Entries of this run are never thrown out for others of it:
a data set larger than the cache would throw out each just before it is wanted.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import platformdirs

from tartlet_device.image import Picture
from tartlet_host.dataset.sample import ArchiveMember, PicturePlace, Sample, VideoFrame

logger = logging.getLogger(__name__)

Size = tuple[int, int]
"""Width and height, pixels."""

VERSION = 1  # of decoding and shrinking: to be raised when they give other pixels
_HEADER = struct.Struct("<4sIII")  # magic, rows, columns, CRC-32 of the pixels
_MAGIC = b"tlpc"
_SUFFIX = ".rgb"
_CLOCK_STEP = 1.0  # seconds by which a file's time may lie before the clock's
_ABANDONED = 3600.0  # seconds after which a file written aside is what a killed process left


class DiskCache:
    """Pictures by their sample and size; processes may share one folder."""

    def __init__(
        self, folder: Path, limit_bytes: int, *, run_started: float, processes: int = 1
    ) -> None:
        """Open a folder, and trim it.

        Args:
            folder: made when the first picture is kept.
            limit_bytes: of all entries together.
            run_started: time in seconds since the epoch; entries used since then stay.
            processes: how many write at the same time; each takes its part of the room.
        """
        self._folder = folder
        self._limit = limit_bytes
        self._run_started = run_started - _CLOCK_STEP
        self._processes = processes
        self._room = 0
        self._writes = True
        self._make_room(0)

    def get(self, sample: Sample, size: Size) -> Picture | None:
        """The picture, RGB uint8 (rows, columns, 3), or None if it is not there or damaged."""
        try:
            path = self._path(sample, size)
            content = path.read_bytes()
        except OSError:
            return None
        picture = _decode(content)
        if picture is None:
            logger.warning("%s was damaged; its picture is decoded again", path)
            path.unlink(missing_ok=True)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # the oldest is the one longest not used
        return picture

    def put(self, sample: Sample, size: Size, picture: Picture) -> None:
        """Keep a picture if there is room, or can be made from runs before this one."""
        needed = _HEADER.size + picture.nbytes
        if not self._writes or (needed > self._room and not self._make_room(needed)):
            return
        try:
            _write(self._path(sample, size), picture)
        except OSError as error:
            # A cache must not end a training: without it things are slower, not worse.
            self._writes = False
            logger.warning("no more pictures are kept in %s: %s", self._folder, error.strerror)
            return
        self._room -= needed

    def _path(self, sample: Sample, size: Size) -> Path:
        stat = _file(sample.picture).stat()
        identity = (
            VERSION,
            Path(str(sample.picture)).absolute(),
            stat.st_size,
            stat.st_mtime_ns,
            sample.width,
            sample.height,
            *size,
        )
        name = hashlib.sha256(" ".join(map(str, identity)).encode()).hexdigest()
        return self._folder / name[:2] / (name + _SUFFIX)

    def _make_room(self, needed: int) -> bool:
        """Remove the oldest entries of earlier runs until `needed` bytes fit; whether they do."""
        entries, total = [], 0
        for path in self._folder.glob("??/*"):
            try:
                stat = path.stat()
            except OSError:  # another process removed it
                continue
            if path.suffix == _SUFFIX:
                entries.append((stat.st_mtime, stat.st_size, path))
                total += stat.st_size
            elif stat.st_mtime < self._run_started - _ABANDONED:
                path.unlink(missing_ok=True)
        for used, size, path in sorted(entries):
            if total + needed <= self._limit or used >= self._run_started:
                break
            path.unlink(missing_ok=True)
            total -= size
        self._room = (self._limit - total) // self._processes
        # Looking through the folder is slow; once this run fills it, nothing changes any more.
        self._writes = needed <= self._room
        return self._writes


def default_folder() -> Path:
    """Where pictures are kept unless told otherwise: the user's cache folder."""
    return Path(platformdirs.user_cache_dir("tartlet", appauthor=False)) / "pictures"


def _file(place: PicturePlace) -> Path:
    if isinstance(place, ArchiveMember):
        return place.archive
    return place.video if isinstance(place, VideoFrame) else place


def _decode(content: bytes) -> Picture | None:
    if len(content) < _HEADER.size:
        return None
    magic, rows, columns, checksum = _HEADER.unpack_from(content)
    pixels = np.frombuffer(content, np.uint8, offset=_HEADER.size)
    if magic != _MAGIC or pixels.size != rows * columns * 3 or zlib.crc32(pixels.data) != checksum:
        return None
    return pixels.reshape(rows, columns, 3)


def _write(path: Path, picture: Picture) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.ascontiguousarray(picture)
    header = _HEADER.pack(_MAGIC, *pixels.shape[:2], zlib.crc32(pixels.data))
    # Not fsynced: an entry that a power cut damages does not match its checksum.
    handle, name = tempfile.mkstemp(prefix="aside-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(header)
            stream.write(pixels.data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
