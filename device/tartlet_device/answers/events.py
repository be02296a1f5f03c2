"""Answers about events that are kept: lists of them, and their files."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tartlet_device.events.audience import EventKeeper
from tartlet_device.events.recorder import Recorder
from tartlet_shared import errors
from tartlet_shared.event_messages import (
    PART_BYTES,
    EventFile,
    EventFilePart,
    EventFileRequest,
    EventFolder,
    Events,
    EventsRequest,
    ListedEvent,
)
from tartlet_shared.event_record import EventRecord

_SUFFIXES: dict[EventFolder, tuple[str, ...]] = {
    "pictures": (".jpg", ".json"),
    "clips": (".mp4", ".jsonl"),
}


def listed(request: EventsRequest, keeper: EventKeeper) -> Iterator[Events]:
    """The events that are asked for.

    Raises:
        DeviceError: none are kept, or the log cannot be read; says why.
    """
    recorder = _recorder(keeper)
    root = keeper.settings.folder_path
    yield Events(
        request_id=request.request_id,
        events=tuple(
            ListedEvent(record=record, files=_files(root, record))
            for record in recorder.log.listed(request.query)
        ),
    )


def sent(request: EventFileRequest, keeper: EventKeeper) -> Iterator[EventFilePart]:
    """A file, part by part; the last has its hash.

    Raises:
        DeviceError: no events are kept, or there is no such file any more.
    """
    _recorder(keeper)
    path = keeper.settings.folder_path / request.folder / request.name
    with _opened(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        offset = request.offset if request.offset <= size else 0
        digest = _skip(stream, offset, path)
        while True:
            content = stream.read(min(PART_BYTES, size - offset))
            digest.update(content)
            last = offset + len(content) >= size
            if not content and not last:
                raise _gone(path)
            yield EventFilePart(
                request_id=request.request_id,
                content=content,
                offset=offset,
                size=size,
                sha256=digest.hexdigest() if last else None,
            )
            offset += len(content)
            if last:
                return


def _recorder(keeper: EventKeeper) -> Recorder:
    recorder = keeper.recorder
    if recorder is None:
        raise errors.DeviceError(
            "events are not kept on this device",
            hint="put `[events]` and `enabled = true` into /etc/tartlet/device.toml there, and "
            "rules into [tracking]; then `sudo systemctl reload tartlet`",
        )
    return recorder


def _files(root: Path, record: EventRecord) -> tuple[EventFile, ...]:
    """Those that are there: one that is being written has another name."""
    found = []
    parts: tuple[tuple[EventFolder, str | None], ...] = (
        ("pictures", record.picture),
        ("clips", record.clip),
    )
    for folder, name in parts:
        for suffix in _SUFFIXES[folder] if name is not None else ():
            with contextlib.suppress(OSError):
                size = (root / folder / f"{name}{suffix}").stat().st_size
                found.append(EventFile(folder=folder, name=f"{name}{suffix}", size=size))
    return tuple(found)


def _opened(path: Path) -> BinaryIO:
    try:
        # A link would lead out of the folder, a pipe would block.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _gone(path) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _gone(path)
    return os.fdopen(descriptor, "rb")


def _skip(stream: BinaryIO, count: int, path: Path) -> hashlib._Hash:
    """Go on behind what the other side has; the hash of it."""
    digest = hashlib.sha256()
    while count:
        chunk = stream.read(min(PART_BYTES, count))
        if not chunk:
            raise _gone(path)
        digest.update(chunk)
        count -= len(chunk)
    return digest


def _gone(path: Path) -> errors.DeviceError:
    return errors.DeviceError(
        "there is no such file any more",
        where=path.name,
        hint="the oldest are deleted to make room; [events.storage] says how much is kept",
    )
