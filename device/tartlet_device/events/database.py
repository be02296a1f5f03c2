"""The log's SQLite file: opened, checked, and asked.

Write-ahead log with ``synchronous=NORMAL``: a transaction that was committed survives the process;
it survives a power cut once the write-ahead log is fsynced, which `sync` does. A cut in between
loses transactions from the end, and never breaks the database, as the log's frames carry checksums
(https://www.sqlite.org/wal.html).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import msgspec

from tartlet_shared.event_record import EventQuery, EventRecord, Part

VERSION = 1
_SCHEMA = f"""
CREATE TABLE events(
  sequence INTEGER PRIMARY KEY,
  event_id TEXT NOT NULL UNIQUE,
  began_s REAL NOT NULL,
  label TEXT NOT NULL,
  rule TEXT NOT NULL,
  zone TEXT,
  open INTEGER NOT NULL,
  picture TEXT,
  clip TEXT,
  record BLOB NOT NULL
) STRICT;
CREATE INDEX events_open ON events(sequence) WHERE open;
CREATE INDEX events_picture ON events(picture) WHERE picture IS NOT NULL;
CREATE INDEX events_clip ON events(clip) WHERE clip IS NOT NULL;
PRAGMA user_version = {VERSION};
"""
_UPSERT = """
INSERT INTO events VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT(event_id) DO UPDATE SET
  open = excluded.open, picture = excluded.picture, clip = excluded.clip, record = excluded.record
"""
_BUSY_S = 2.0
_CACHE_KIB = 1024


class DatabaseBroken(Exception):
    """The file is no database of ours, or a damaged one."""


def open_database(path: Path) -> sqlite3.Connection:
    """Open and check it; make it if it is missing.

    Raises:
        DatabaseBroken: it is damaged.
        sqlite3.Error: the disk does not let it be opened.
    """
    connection = sqlite3.connect(
        path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        _check(connection)
    except sqlite3.DatabaseError as error:
        connection.close()
        if is_broken(error):
            raise DatabaseBroken(str(error)) from error
        raise
    except BaseException:
        connection.close()
        raise
    return connection


def is_broken(error: Exception) -> bool:
    """Whether it says that the file is damaged, rather than that the disk is full or read-only."""
    if isinstance(error, DatabaseBroken):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and (code & 0xFF) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def sync(path: Path) -> None:
    """Make what was committed survive a power cut.

    Raises:
        OSError: the disk did not take it.
    """
    # SQLite writes the write-ahead log through another descriptor; fsync is for the file. It holds
    # no lock on this file that closing the descriptor could drop.
    try:
        descriptor = os.open(Path(f"{path}-wal"), os.O_RDONLY)
    except FileNotFoundError:  # all of it was moved into the database, which is synced then
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put(connection: sqlite3.Connection, records: Iterable[EventRecord]) -> None:
    """Insert or replace these, all or none."""
    with _transaction(connection):
        connection.executemany(_UPSERT, map(_row, records))


def get(connection: sqlite3.Connection, event_id: str) -> EventRecord | None:
    """That event."""
    query = "SELECT record FROM events WHERE event_id = ?"
    found = _decode(connection.execute(query, (event_id,)))
    return found[0] if found else None


def listed(connection: sqlite3.Connection, query: EventQuery) -> list[EventRecord]:
    """The events that it asks for."""
    newest = query.order == "newest"
    conditions = {
        "began_s >= ?": query.since_s,
        "began_s < ?": query.until_s,
        "label = ?": query.label,
        "rule = ?": query.rule,
        "zone = ?": query.zone,
        f"sequence {'<' if newest else '>'} ?": query.after,
    }
    set_ = {text: value for text, value in conditions.items() if value is not None}
    where = " AND ".join(set_) or "1"
    direction = "DESC" if newest else "ASC"
    sql = f"SELECT record FROM events WHERE {where} ORDER BY sequence {direction} LIMIT ?"
    return _decode(connection.execute(sql, (*set_.values(), query.limit)))


def still_open(connection: sqlite3.Connection) -> list[EventRecord]:
    """Events that did not end."""
    return _decode(connection.execute("SELECT record FROM events WHERE open ORDER BY sequence"))


def with_file(connection: sqlite3.Connection, part: Part, name: str) -> list[EventRecord]:
    """Events whose picture or clip has this name."""
    return _decode(connection.execute(f"SELECT record FROM events WHERE {part} = ?", (name,)))


def file_names(connection: sqlite3.Connection, part: Part) -> set[str]:
    """Names of all pictures, or clips, that events have."""
    query = f"SELECT DISTINCT {part} FROM events WHERE {part} IS NOT NULL"
    return {row[0] for row in connection.execute(query)}


def sequences(connection: sqlite3.Connection) -> dict[str, int]:
    """Event ID -> sequence number, of all events."""
    return dict(connection.execute("SELECT event_id, sequence FROM events"))


def surplus(connection: sqlite3.Connection, most: int) -> list[EventRecord]:
    """The oldest events beyond ``most``: those that ended, then those that go on."""
    count = connection.execute("SELECT count(*) FROM events").fetchone()[0]
    query = "SELECT record FROM events ORDER BY open, sequence LIMIT ?"
    return _decode(connection.execute(query, (max(0, count - most),)))


def probe(connection: sqlite3.Connection) -> bool:
    """Write something that changes nothing: true, or the error that a disk gives."""
    with _transaction(connection):
        connection.execute(f"PRAGMA user_version = {VERSION}")
    return True


def delete(connection: sqlite3.Connection, records: Iterable[EventRecord]) -> None:
    """Forget these events, all or none."""
    with _transaction(connection):
        connection.executemany(
            "DELETE FROM events WHERE sequence = ?", [(each.sequence,) for each in records]
        )


class _transaction:  # noqa: N801  (used as a function)
    """All or nothing, also where the disk fails in the middle."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._connection.execute("COMMIT")
        finally:
            # After a full disk SQLite may have rolled back by itself.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def _row(record: EventRecord) -> tuple[object, ...]:
    return (
        record.sequence,
        record.event_id,
        record.began.time_s,
        record.label,
        record.rule,
        record.zone,
        record.ended_by is None,
        None if "picture" in record.removed else record.picture,
        None if "clip" in record.removed else record.clip,
        msgspec.json.encode(record),
    )


def _decode(cursor: sqlite3.Cursor) -> list[EventRecord]:
    try:
        return [msgspec.json.decode(row[0], type=EventRecord) for row in cursor]
    except msgspec.DecodeError as error:
        raise DatabaseBroken(f"a row is no event: {error}") from error


def _check(connection: sqlite3.Connection) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if not version and not tables:
        connection.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
        return
    if version != VERSION:
        raise DatabaseBroken(f"version {version} of the database, {VERSION} is known")
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise DatabaseBroken(found)
