"""A queue that survives the process: what others must be told stays here until they were told.

A SQLite database in WAL mode with ``synchronous=FULL``: what `QueueOnDisk.append` returned from is
there after a kill or a power cut. Delivery is at least once, so each entry has a key by which the
other side can tell a repetition. Why SQLite: docs/adr/0014-outputs.md.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tartlet_device import files
from tartlet_shared import errors

_SCHEMA = """
CREATE TABLE IF NOT EXISTS waiting (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    content BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS counted (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT OR IGNORE INTO counted VALUES ('entries', 0), ('bytes', 0), ('dropped', 0);
CREATE TRIGGER IF NOT EXISTS came AFTER INSERT ON waiting BEGIN
    UPDATE counted SET value = value + 1 WHERE name = 'entries';
    UPDATE counted SET value = value + LENGTH(NEW.content) WHERE name = 'bytes';
END;
CREATE TRIGGER IF NOT EXISTS went AFTER DELETE ON waiting BEGIN
    UPDATE counted SET value = value - 1 WHERE name = 'entries';
    UPDATE counted SET value = value - LENGTH(OLD.content) WHERE name = 'bytes';
END;
"""
_BUSY_S = 2.0
_WAL_BYTES = 1 << 20


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Something that waits.

    Attributes:
        number: orders entries; never used twice in one queue.
        key: the same for each delivery of the same thing.
        content: what to deliver.
    """

    number: int
    key: str
    content: bytes


class QueueOnDisk:
    """A bounded queue in one file; any thread may use it.

    The file is opened at first use, and again after a fault: a disk that is full or read-only for a
    while does no lasting harm. A damaged file is moved aside, to ``*.damaged``, and a new one made.
    """

    def __init__(self, path: Path, *, max_entries: int, max_bytes: int) -> None:
        """
        Args:
            path: of the database; its folder is made if missing.
            max_entries, max_bytes: beyond either the oldest entries are dropped. Bytes are those of
                the contents; the file takes a little more, and keeps its largest size.
        """
        self.path = path
        self._max_entries, self._max_bytes = max_entries, max_bytes
        self._lock = threading.Lock()
        self._open: sqlite3.Connection | None = None
        self._entries = self._bytes = self._dropped = 0
        self.damaged = 0

    def __len__(self) -> int:
        return self._entries

    @property
    def content_bytes(self) -> int:
        """Bytes of all contents that wait."""
        return self._bytes

    @property
    def dropped(self) -> int:
        """Entries dropped for lack of room, over the life of the file."""
        return self._dropped

    def open(self) -> None:
        """Open the file now; until then nothing seems to wait.

        Raises:
            DeviceError: the file cannot be used.
        """
        with self._connected():
            pass

    def append(self, key: str, content: bytes) -> None:
        """Add an entry, unless one with this key waits already; on disk when this returns.

        Raises:
            StorageFull: the disk is full.
            DeviceError: the file cannot be written.
        """
        with self._transaction() as connection:
            known = connection.execute("SELECT 1 FROM waiting WHERE key = ?", (key,)).fetchone()
            if known is not None:
                return
            if len(content) > self._max_bytes:
                _count_dropped(connection, 1)
                return
            connection.execute("INSERT INTO waiting (key, content) VALUES (?, ?)", (key, content))
            self._make_room(connection, len(content))

    def first(self, *, after: int = 0, limit: int = 1) -> tuple[Entry, ...]:
        """The oldest entries with a number above ``after``, at most ``limit``.

        Raises:
            DeviceError: the file cannot be read.
        """
        with self._connected() as connection:
            rows = connection.execute(
                "SELECT number, key, content FROM waiting WHERE number > ? ORDER BY number LIMIT ?",
                (after, limit),
            ).fetchall()
        return tuple(Entry(number=row[0], key=row[1], content=row[2]) for row in rows)

    def acknowledge(self, number: int) -> None:
        """Remove an entry that was delivered; one that is gone is no error.

        Raises:
            DeviceError: the file cannot be written.
        """
        with self._transaction() as connection:
            connection.execute("DELETE FROM waiting WHERE number = ?", (number,))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._close()

    # -- with the lock held

    def _make_room(self, connection: sqlite3.Connection, added: int) -> None:
        entries, held = self._entries + 1, self._bytes + added
        removed = 0
        rows = connection.execute("SELECT number, LENGTH(content) FROM waiting ORDER BY number")
        doomed = []
        for number, size in rows:
            if entries <= self._max_entries and held <= self._max_bytes:
                break
            doomed.append((number,))
            entries, held, removed = entries - 1, held - size, removed + 1
        rows.close()
        connection.executemany("DELETE FROM waiting WHERE number = ?", doomed)
        if removed:
            _count_dropped(connection, removed)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise
            self._measure(connection)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                if self._open is None:
                    self._open = self._connect_or_replace()
                    self._measure(self._open)
                yield self._open
            except (sqlite3.Error, OSError) as error:
                self._close()
                if _is_damage(error):
                    self._move_aside()
                raise self._named(error) from error

    def _connect_or_replace(self) -> sqlite3.Connection:
        try:
            return _connect(self.path)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
        self._move_aside()
        return _connect(self.path)

    def _move_aside(self) -> None:
        self.damaged += 1
        with contextlib.suppress(OSError):
            self.path.replace(self.path.with_name(f"{self.path.name}.damaged"))
            for suffix in ("-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            files.sync_folder(self.path.parent)

    def _measure(self, connection: sqlite3.Connection) -> None:
        counted = dict(connection.execute("SELECT name, value FROM counted").fetchall())
        self._entries, self._bytes = counted["entries"], counted["bytes"]
        self._dropped = counted["dropped"]

    def _close(self) -> None:
        if self._open is not None:
            with contextlib.suppress(sqlite3.Error):
                self._open.close()
            self._open = None

    def _named(self, error: Exception) -> errors.DeviceError:
        full = isinstance(error, sqlite3.Error) and (
            getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
        )
        if full:
            return errors.StorageFull("no space left for the queue", where=str(self.path))
        return errors.DeviceError(
            f"the queue cannot be used: {error}",
            where=str(self.path),
            hint="is the folder writable, and the disk healthy?",
        )


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(
        path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(f"quick_check: {found}")
        connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def _is_damage(error: Exception) -> bool:
    # Its subclasses are about the disk, locks and wrong statements; damage is the plain class.
    return type(error) is sqlite3.DatabaseError


def _count_dropped(connection: sqlite3.Connection, number: int) -> None:
    connection.execute("UPDATE counted SET value = value + ? WHERE name = 'dropped'", (number,))
