"""The log of events, which survives kills, power cuts, full disks and its own database.

What is promised, in this order:

- Once `EventLog.begin` or `EventLog.end` returned without a fault, the process may be killed at any
  moment and the event is there at the next start.
- Once `EventLog.keep` has synced, which it does at most every second and at least then if it is
  called so often, a power cut does not lose it either: it loses what happened after
  the last sync, never more, and never the database.
- A database that is damaged nevertheless is moved aside and rebuilt from the events' side files.
- A disk that is full or read-only is a fault that is told; events wait in memory, up to a number,
  until it takes them. No method raises for it but `EventLog.listed`.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

import msgspec

from tartlet_device.events import database, rebuild, record, side_files
from tartlet_device.events.database import DatabaseBroken
from tartlet_device.events.fault import Fault
from tartlet_shared import errors
from tartlet_shared.event_record import EventQuery, EventRecord, Part
from tartlet_shared.observation import EventBegan, EventEnded

_log = logging.getLogger(__name__)

DATABASE = "events.db"
RECORDS = "records"
MOST_WAITING = 1000
"""So many events wait in memory for a disk that takes nothing; then the oldest are lost."""
SYNC_INTERVAL_S = 1.0
_REOPEN_INTERVAL_S = 5.0
_T = TypeVar("_T")


class EventLog:
    """Events on disk; for any number of threads, in one process."""

    def __init__(
        self,
        folder: Path,
        *,
        most: int = 20_000,
        boot_id: str | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open it; events that did not end are closed as "ended by a restart".

        Args:
            folder: its database and the folder of side files lie there; made if it is missing.
            most: so many events are remembered.
            boot_id: of this boot; None for what the system says.
            monotonic: seconds.
        """
        self._path = folder / DATABASE
        self._records = folder / RECORDS
        self._most = most
        self._boot_id = record.boot_id() if boot_id is None else boot_id
        self._monotonic = monotonic
        self._lock = threading.RLock()
        self._fault = Fault("event log")
        self._sync_fault = Fault("side files of events")
        self._connection: sqlite3.Connection | None = None
        self._next = 0  # sequence number; 0 while none is known
        self._ours: set[str] = set()  # began in this process and go on
        self._unsaved: dict[str, EventRecord] = {}  # not in the database yet
        self._unsynced: dict[str, EventRecord] = {}  # a power cut would lose them
        self._lost = 0
        self._broken = False  # to be rebuilt when it is opened
        self._synced_at = self._opened_at = float("-inf")
        self._closed = False
        with self._lock:
            self._open_if_due()

    @property
    def fault(self) -> str | None:
        """Why events are not being written at the moment; None while they are."""
        return self._fault.text or self._sync_fault.text

    @property
    def lost(self) -> int:
        """How many events were lost, since too many waited for the disk."""
        return self._lost

    def begin(self, event: EventBegan) -> EventRecord | None:
        """Enter an event; None if the log could not even be opened, so that it is not kept.

        Raises:
            ValueError: its ID cannot be a file's name.
        """
        with self._lock:
            self._open_if_due()
            if not self._next:
                record.begun(event, 0, self._boot_id)  # a wrong ID is told in any case
                self._lost += 1
                return None
            entered = record.begun(event, self._next, self._boot_id)
            self._next += 1
            self._ours.add(event.event_id)
            self._put(entered)
            return entered

    def end(self, event: EventEnded) -> EventRecord | None:
        """Enter an event's end; None if it is not known."""
        with self._lock:
            self._ours.discard(event.event_id)
            return self._change(event.event_id, lambda found: record.ended(found, event))

    def attach(self, event_id: str, part: Part, name: str | None) -> EventRecord | None:
        """Enter the name of an event's picture or clip; None for the name if there is none now."""
        return self._change(event_id, lambda found: msgspec.structs.replace(found, **{part: name}))

    def mark_removed(self, part: Part, names: Collection[str]) -> None:
        """Pictures, or clips, of these names were deleted."""
        with self._lock:
            for name in names:
                found = self._try(functools.partial(database.with_file, part=part, name=name))
                for each in found or ():
                    self._put(_without(self._unsaved.get(each.event_id, each), part))

    def mark_missing(self, part: Part, present: Collection[str]) -> None:
        """All pictures, or clips, but these are gone: somebody else deleted them."""
        with self._lock:
            known = self._try(functools.partial(database.file_names, part=part)) or set()
            self.mark_removed(part, sorted(known.difference(present)))

    def keep(self) -> None:
        """Write what waits, and sync if a second has passed since the last time.

        To be called about every second.
        """
        with self._lock:
            self._open_if_due()
            self._save()
            if self._fault.text is not None and self._try(database.probe):
                self._fault.clear()
            if self._monotonic() - self._synced_at >= SYNC_INTERVAL_S:
                self._sync()

    def listed(self, query: EventQuery) -> list[EventRecord]:
        """The events that it asks for.

        Raises:
            DeviceError: the log cannot be read; says why.
        """
        with self._lock:
            self._open_if_due()
            answer = self._try(functools.partial(database.listed, query=query))
            if answer is None:
                raise errors.DeviceError(
                    f"events cannot be read: {self._fault.text}",
                    where=str(self._path),
                    hint="is the disk full, or read-only? `dmesg` on the device may say more",
                )
            return answer

    def close(self) -> None:
        """Sync and close; what is called afterwards does nothing."""
        with self._lock:
            self._save()
            self._sync()
            self._disconnect()
            self._closed = True

    # -- with the lock held

    def _change(
        self, event_id: str, change: Callable[[EventRecord], EventRecord]
    ) -> EventRecord | None:
        with self._lock:
            found = self._unsaved.get(event_id)
            if found is None:
                found = self._try(functools.partial(database.get, event_id=event_id))
            found = found or self._unsynced.get(event_id)
            if found is None:
                _log.warning("event %s is not in the log", event_id)
                return None
            changed = change(found)
            self._put(changed)
            return changed

    def _put(self, entered: EventRecord) -> None:
        self._unsaved[entered.event_id] = entered
        self._save()
        while len(self._unsaved) > MOST_WAITING:
            lost = next(iter(self._unsaved))
            del self._unsaved[lost]
            self._lost += 1

    def _save(self) -> None:
        if not self._unsaved:
            return
        done = self._try(self._saved)
        if done:
            self._fault.clear()

    def _saved(self, connection: sqlite3.Connection) -> bool:
        database.put(connection, self._unsaved.values())
        self._unsynced.update(self._unsaved)
        self._unsaved.clear()
        return True

    def _sync(self) -> None:
        self._synced_at = self._monotonic()
        if self._unsynced:
            try:
                side_files.write(self._records, self._unsynced.values())
                database.sync(self._path)
            except OSError as error:
                self._sync_fault.set(error)
            else:
                self._sync_fault.clear()
                self._unsynced.clear()
                self._try(self._forget_surplus)
        while len(self._unsynced) > MOST_WAITING:  # they are in the database still
            del self._unsynced[next(iter(self._unsynced))]

    def _forget_surplus(self, connection: sqlite3.Connection) -> None:
        if surplus := database.surplus(connection, self._most):
            database.delete(connection, surplus)
            self._ours.difference_update(each.event_id for each in surplus)
            side_files.remove(self._records, [each.name for each in surplus])

    def _try(self, work: Callable[[sqlite3.Connection], _T]) -> _T | None:
        """What ``work`` gives; None if it failed, which is the fault then."""
        if self._connection is None:
            return None
        try:
            return work(self._connection)
        except (sqlite3.Error, DatabaseBroken, OSError) as error:
            self._fault.set(error)
            if database.is_broken(error):
                self._disconnect()
                self._broken = True
                self._opened_at = float("-inf")  # mend it at the next opportunity
            return None

    def _open_if_due(self) -> None:
        due = self._monotonic() - self._opened_at >= _REOPEN_INTERVAL_S
        if self._connection is not None or self._closed or not due:
            return
        self._opened_at = self._monotonic()
        try:
            self._records.mkdir(parents=True, exist_ok=True)
            side_files.sweep(self._records)
            if self._broken:
                rebuild.set_aside(self._path)
            self._connection = database.open_database(self._path)
            self._catch_up(self._connection)
        except (sqlite3.Error, DatabaseBroken, OSError) as error:
            self._disconnect()
            self._fault.set(error)
            # Once at a time: one that is damaged as soon as it was made is the disk's fault.
            self._broken = database.is_broken(error) and not self._broken
            if self._broken:
                self._opened_at = float("-inf")
                self._open_if_due()
        else:
            self._broken = False
            self._fault.clear()

    def _catch_up(self, connection: sqlite3.Connection) -> None:
        # What this process knows is newer than any side file.
        self._unsaved, self._unsynced = self._unsynced | self._unsaved, {}
        going_on = self._ours | self._unsaved.keys()
        highest, closed = rebuild.reconcile(connection, self._records, going_on)
        self._next = max(self._next, highest + 1)
        self._unsynced = {each.event_id: each for each in closed}
        self._save()

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None


def _without(found: EventRecord, part: Part) -> EventRecord:
    if part in found.removed:
        return found
    return msgspec.structs.replace(found, removed=(*found.removed, part))
