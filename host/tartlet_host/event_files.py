"""Events of a device: listed, and their files fetched: whole ones only, resumed where they broke.

A folder of fetched events looks as the device's own: ``pictures/``, ``clips/``, and ``records/``
with a JSON file for each event.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from tartlet_host.files import sync_folder, write_atomically
from tartlet_host.remote.lasting import Clock, LastingSession
from tartlet_host.remote.session import Session
from tartlet_shared import errors
from tartlet_shared.event_messages import EventFile, ListedEvent
from tartlet_shared.event_record import EventQuery

PATIENCE_S = 120.0
"""For so long nothing may come."""
_RECORDS = "records"
_PART = ".part"
_PAGE = 500


def listed(
    device: LastingSession,
    wanted: dict[str, Any],
    *,
    limit: int | None = None,
    clock: Clock | None = None,
) -> list[ListedEvent]:
    """The newest events, the oldest of them first.

    Args:
        device: connected.
        wanted: fields of `EventQuery` that say which.
        limit: at most so many; None for all.
        clock: the device's own, for tests.
    """
    clock = clock or Clock()
    found: list[ListedEvent] = []
    while limit is None or len(found) < limit:
        count = _PAGE if limit is None else min(_PAGE, limit - len(found))
        after = found[-1].record.sequence if found else None

        def page(session: Session, after: int | None = after, count: int = count) -> Any:
            query = EventQuery(**wanted, after=after, order="newest", limit=count)
            return session.client.events(query)

        patience = _Patience(clock)
        events = device.call(page, patience.until_s)
        found += events
        if len(events) < count:
            break
    return found[::-1]


@dataclass
class Pulled:
    """How far fetching is.

    Attributes:
        files, size: to be fetched in all, and their bytes.
        done, fetched: files that are here now, and bytes that came.
        present: files that were here before.
        gone: names of files that the device deleted meanwhile.
        going_on: events that go on, or whose clip is still being written.
    """

    files: int = 0
    size: int = 0
    done: int = 0
    fetched: int = 0
    present: int = 0
    gone: list[str] = field(default_factory=list)
    going_on: int = 0


def pull(
    device: LastingSession,
    events: Sequence[ListedEvent],
    folder: Path,
    *,
    progress: Callable[[Pulled], None] = lambda pulled: None,
    clock: Clock | None = None,
) -> Pulled:
    """Fetch the files of these events that are not here yet.

    What is fetched is written aside and renamed once its hash is right; a file that broke off is
    gone on with, now or the next time.

    Args:
        device: connected.
        events: from `listed`.
        folder: where; made if it is missing.
        progress: called as bytes come.
        clock: the device's own, for tests.

    Raises:
        ConnectionLost: and it did not come back for `PATIENCE_S` seconds.
        OSError: the disk here does not take it.
    """
    clock = clock or Clock()
    pulled = Pulled()
    wanted: dict[Path, EventFile] = {}
    present: set[Path] = set()
    for event in events:
        _write_record(folder, event)
        pulled.going_on += _goes_on(event)
        for file in event.files:
            path = folder / file.folder / file.name
            # The picture of an event that goes on may be replaced by a better one.
            final = event.record.ended_by is not None or file.folder == "clips"
            if final and _size(path) == file.size:
                present.add(path)
            else:
                wanted[path] = file
    pulled.present = len(present)
    pulled.files, pulled.size = len(wanted), sum(file.size for file in wanted.values())
    for path, file in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        patience = _Patience(clock)

        def came(count: int, patience: _Patience = patience) -> None:
            patience.renew()
            pulled.fetched += count
            progress(pulled)

        try:
            device.call(partial(_fetch, path=path, file=file, came=came), patience.until_s)
        except errors.DeviceError:
            pulled.gone.append(file.name)
            _aside(path).unlink(missing_ok=True)
        else:
            pulled.done += 1
        progress(pulled)
    return pulled


class _Patience:
    """When to give up: later if something comes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.renew()

    def renew(self) -> None:
        """Something came."""
        self._until_s = self._clock.now_s() + PATIENCE_S

    def until_s(self) -> float:
        """On the clock."""
        return self._until_s


def _write_record(folder: Path, event: ListedEvent) -> None:
    content = msgspec.json.encode(event.record)
    path = folder / _RECORDS / f"{event.record.name}.json"
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == content:
            return
    write_atomically(path, content)


def _goes_on(event: ListedEvent) -> bool:
    record = event.record
    clip_there = any(file.folder == "clips" for file in event.files)
    clip_comes = record.clip is not None and "clip" not in record.removed and not clip_there
    return record.ended_by is None or clip_comes


def _fetch(
    session: Session,
    *,
    path: Path,
    file: EventFile,
    came: Callable[[int], None],
) -> None:
    aside = _aside(path)
    with aside.open("a+b") as stream:
        stream.seek(0)
        digest = hashlib.file_digest(stream, "sha256")
        have = stream.tell()
        for part in session.client.event_file(file.folder, file.name, offset=have):
            if part.offset != have:
                # Another file of that name than the one of which we have the beginning.
                stream.truncate(0)
                digest, have = hashlib.sha256(), part.offset
            stream.write(part.content)
            digest.update(part.content)
            have += len(part.content)
            came(len(part.content))
        stream.flush()
        os.fsync(stream.fileno())
    if part.sha256 != digest.hexdigest():
        aside.unlink()
        raise errors.ConnectionLost(
            "the file arrived damaged", where=file.name, hint="fetch it again"
        )
    aside.replace(path)
    sync_folder(path.parent)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}{_PART}")


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
