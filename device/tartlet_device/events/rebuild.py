"""At the start of the log: what kills, power cuts and damage left of it is put in order."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Collection
from pathlib import Path

import msgspec

from tartlet_device import files
from tartlet_device.events import database, side_files
from tartlet_shared.event_record import EventRecord

_log = logging.getLogger(__name__)


def set_aside(path: Path) -> None:
    """Rename a damaged database, over the one that was damaged before.

    Raises:
        OSError: the disk does not let it be renamed.
    """
    _log.warning("%s is damaged: it is rebuilt from the events' side files", path)
    for suffix in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").replace(f"{path}.broken{suffix}")
    files.sync_folder(path.parent)


def reconcile(
    connection: sqlite3.Connection, records: Path, going_on: Collection[str]
) -> tuple[int, list[EventRecord]]:
    """Put back the events that only their side files know, and close those that a restart ended.

    Args:
        records: folder of the side files.
        going_on: IDs of events that this process began: they are left as they are.

    Returns:
        The highest sequence number; the events that were closed.

    Raises:
        OSError, sqlite3.Error, DatabaseBroken: it cannot be read or written.
    """
    known = database.sequences(connection)
    names = {f"{sequence:010d}-{event_id}" for event_id, sequence in known.items()}
    used = set(known.values())
    on_disk = side_files.names(records)
    found = []
    for each in side_files.read(records, sorted(on_disk - names)):
        if each.event_id not in known and each.sequence not in used:
            found.append(each)
            used.add(each.sequence)
    if found:
        _log.warning("%d events were put back from their side files", len(found))
    database.put(connection, found)
    unsure = [each for each in database.still_open(connection) if each.event_id not in going_on]
    # The end of an event may be in its side file only.
    beside = side_files.read(records, [each.name for each in unsure if each.name in on_disk])
    newer = {each.event_id: each for each in beside}
    closed = [_closed(newer.get(each.event_id, each)) for each in unsure]
    database.put(connection, closed)
    return max(used, default=0), closed


def _closed(found: EventRecord) -> EventRecord:
    if found.ended_by is not None:
        return found
    return msgspec.structs.replace(found, ended_by="restart")
