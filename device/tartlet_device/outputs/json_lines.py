"""Items as lines of JSON in files: rotated by size, the oldest deleted at the cap.

``items-00000001.jsonl``, ``items-00000002.jsonl``, ...: the highest number is written to. What was
written reaches the disk within a second or so; a power cut loses what came after. A line torn by it
is cut off when the file is next opened.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from tartlet_device.outputs import payloads
from tartlet_device.outputs.publisher import Conveyor, Item, OutputHealth
from tartlet_device.outputs.settings import JsonLinesSettings
from tartlet_shared.observation import Observation

NAME = "json-lines"
_FILE = re.compile(r"items-(\d{8,})\.jsonl")
_SYNC_S = 1.0
_TAIL = 1 << 16


class JsonLines:
    """The output."""

    def __init__(self, settings: JsonLinesSettings, device: str) -> None:
        self._settings = settings
        self._last_ns: int | None = None
        self._conveyor = Conveyor(NAME, _Files(settings, device))

    def publish(self, item: Item) -> None:
        """Take an item; never waits."""
        if self._wanted(item):
            self._conveyor.mailbox.put(item)

    def health(self) -> OutputHealth:
        """How it is."""
        mailbox = self._conveyor.mailbox
        return OutputHealth(
            name=NAME,
            queued=len(mailbox),
            delivered=self._conveyor.delivered,
            dropped_observations=mailbox.dropped_observations,
            dropped_events=mailbox.dropped_events,
            last_error=self._conveyor.fault.text,
        )

    def stop(self, timeout_s: float = 5.0) -> None:
        """Write what waits, and close the file."""
        self._conveyor.stop(timeout_s)

    def _wanted(self, item: Item) -> bool:
        if not isinstance(item, Observation):
            return self._settings.what != "observations"
        if self._settings.what == "events":
            return False
        now = item.frame.monotonic_ns
        if (
            self._last_ns is not None
            and 0 <= now - self._last_ns < self._settings.observation_interval_s * 1e9
        ):
            return False
        self._last_ns = now
        return True


class _Files:
    """The files; used by one thread."""

    def __init__(self, settings: JsonLinesSettings, device: str) -> None:
        self._folder = Path(settings.folder)
        self._file_bytes = int(settings.file_mb * 1e6)
        self._total_bytes = int(settings.total_mb * 1e6)
        self._device = device
        self._descriptor: int | None = None
        self._number = 0
        self._size = 0
        self._unsynced_since: float | None = None

    def write(self, item: Item) -> None:
        """Append a line; raises `OSError` and leaves no half line behind."""
        line = payloads.encode(item, self._device) + b"\n"
        if self._descriptor is None:
            self._open()
        if self._size and self._size + len(line) > self._file_bytes:
            self._rotate()
        assert self._descriptor is not None
        try:
            written = 0
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
        except OSError:
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(line)
        if self._unsynced_since is None:
            self._unsynced_since = time.monotonic()

    def tick(self) -> None:
        """Bring what was written to the disk, at most once a second."""
        since = self._unsynced_since
        if since is not None and time.monotonic() - since >= _SYNC_S:
            self._sync()

    def close(self) -> None:
        """Bring the rest to the disk."""
        if self._descriptor is not None:
            try:
                self._sync()
            finally:
                os.close(self._descriptor)
                self._descriptor = None

    def _sync(self) -> None:
        if self._descriptor is not None and self._unsynced_since is not None:
            # Forgotten first: after a failure the kernel forgets the pages as well.
            self._unsynced_since = None
            os.fdatasync(self._descriptor)

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._number = max(self._numbers(), default=1)
        self._open_number()
        self._delete_oldest()

    def _open_number(self) -> None:
        path = self._folder / f"items-{self._number:08d}.jsonl"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        try:
            self._size = _cut_torn_line(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def _rotate(self) -> None:
        self.close()
        self._number += 1
        self._open_number()
        self._delete_oldest()

    def _delete_oldest(self) -> None:
        """Leave room for the file that is written to to become full."""
        room = self._total_bytes - self._file_bytes
        held = 0
        for number in sorted(self._numbers(), reverse=True):
            if number == self._number:
                continue
            path = self._folder / f"items-{number:08d}.jsonl"
            held += path.stat().st_size
            if held > room:
                path.unlink(missing_ok=True)

    def _numbers(self) -> list[int]:
        names = (_FILE.fullmatch(path.name) for path in self._folder.iterdir())
        return [int(name[1]) for name in names if name is not None]


def _cut_torn_line(descriptor: int) -> int:
    """Cut what follows the last end of a line; returns the size that is left."""
    size = os.fstat(descriptor).st_size
    end = size
    while end > 0:
        start = max(0, end - _TAIL)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end < size:
        os.ftruncate(descriptor, end)
    return end
