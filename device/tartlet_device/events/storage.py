"""The folders of pictures, clips and continuous footage, which never fill the disk.

::

    pictures/0000000012-<event>.jpg, .json (what was seen in it)
    clips/0000000012-<event>.mp4, .jsonl (what was seen in each frame)
    continuous/0000000003.mp4

A disk that is full or read-only is a fault that is told, and that ends once the disk takes
something again; it is tried about every second. Nothing here raises for it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tartlet_device import files, machine
from tartlet_device.events import mp4_recovery
from tartlet_device.events.fault import Fault
from tartlet_device.events.room import ORDER, Kind, Limit, Unit, removals
from tartlet_device.events.settings import StorageSettings

PART = ".part"
"""Ends the name of a file that is being written."""
_BLOCK = 4096
_PROBE = ".probe"
_SIDE_SUFFIXES = (".jsonl", ".json")


class Storage:
    """Recordings on disk; used by one thread."""

    def __init__(
        self,
        root: Path,
        settings: StorageSettings,
        *,
        clock_synchronized: Callable[[], bool] = machine.clock_synchronized,
        free_bytes: Callable[[Path], int] = files.free_bytes,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Look at what is there; what a killed process left is mended or deleted."""
        self._root = root
        self._reserve = settings.keep_free_mb * 1_000_000
        self._limits: dict[Kind, Limit] = {
            "continuous": _limit(settings.continuous_mb, settings.continuous_days),
            "clips": _limit(settings.clips_mb, settings.clips_days),
            "pictures": _limit(settings.pictures_mb, settings.pictures_days),
        }
        self._clock_synchronized = clock_synchronized
        self._free_bytes = free_bytes
        self._now_s = now_s
        self._units: dict[tuple[Kind, str], Unit] = {}
        self._fault = Fault("recordings")
        self._scanned = False
        # Until a time server has set the clock, files get times that may be long past.
        self._unsure_since_s: float | None = None if clock_synchronized() else now_s()
        try:
            self._scan()
        except OSError as error:
            self._fault.set(error)

    @property
    def fault(self) -> str | None:
        """Why nothing can be recorded at the moment; None while it can."""
        return self._fault.text

    def names(self, kind: Kind) -> list[str]:
        """Names of the recordings of a kind, from old to new."""
        return sorted(unit.name for unit in self._units.values() if unit.kind == kind)

    def used_bytes(self, kind: Kind) -> int:
        """How much of the disk they take."""
        return sum(unit.size for unit in self._units.values() if unit.kind == kind)

    def path(self, kind: Kind, name: str, suffix: str) -> Path:
        """Where a recording's file is."""
        return self._root / kind / f"{name}{suffix}"

    def write_picture(self, name: str, content: bytes, seen: bytes) -> bool:
        """Write or replace a picture and what was seen in it; false if the disk refuses."""
        if not self.writable:
            return False
        try:
            files.write_atomically(self.path("pictures", name, ".json"), seen)
            files.write_atomically(self.path("pictures", name, ".jpg"), content)
            self._enter("pictures", name)
        except OSError as error:
            self._fault.set(error)
            return False
        return True

    @property
    def writable(self) -> bool:
        """Whether something may be recorded: the disk works, and has room."""
        return self._scanned and self._fault.text is None

    def failed(self, error: BaseException) -> None:
        """Somebody could not write here."""
        self._fault.set(error)

    def finish(self, kind: Kind, name: str) -> bool:
        """A recording was written as `PART` files; give them their names. False if it failed."""
        try:
            for suffix in (*_SIDE_SUFFIXES, ".mp4"):
                aside = self.path(kind, name, suffix + PART)
                if aside.exists():
                    aside.replace(self.path(kind, name, suffix))
            files.sync_folder(self._root / kind)
            self._enter(kind, name)
        except OSError as error:
            self._fault.set(error)
            return False
        return True

    def discard(self, kind: Kind, name: str) -> None:
        """Delete what was written of a recording that is not wanted."""
        with contextlib.suppress(OSError):
            for suffix in (*_SIDE_SUFFIXES, ".mp4"):
                self.path(kind, name, suffix + PART).unlink(missing_ok=True)

    def keep(self) -> list[Unit]:
        """Delete what is over the limits, and see whether a faulty disk works again.

        To be called about every second.

        Returns:
            What was deleted.
        """
        self._look_at_clock()
        gone: list[Unit] = []
        try:
            if not self._scanned:
                self._scan()
            now_s = self._now_s() if self._unsure_since_s is None else None
            missing = self._reserve - self._free_bytes(self._root)
            for unit in removals(
                self._units.values(), self._limits, now_s=now_s, missing_bytes=missing
            ):
                self._remove(unit)
                gone.append(unit)
        except OSError as error:
            self._fault.set(error)
        if self._scanned:
            self._look_at_room()
        return gone

    # -- inside

    def _look_at_room(self) -> None:
        """Set or clear the fault, by what is free and whether the disk takes a few bytes."""
        try:
            free = self._free_bytes(self._root)
            if free < self._reserve:
                self._fault.set(
                    f"{self._root}: {free / 1e6:.0f} MB are free, {self._reserve / 1e6:.0f} MB "
                    "should stay free, and there is nothing left to delete"
                )
                return
            if self._fault.text is not None:
                probe = self._root / _PROBE
                probe.unlink(missing_ok=True)
                files.write_synced(probe, bytes(_BLOCK))
                probe.unlink()
        except OSError as error:
            self._fault.set(error)
        else:
            self._fault.clear()

    def _look_at_clock(self) -> None:
        since_s = self._unsure_since_s
        if since_s is None or not self._clock_synchronized():
            return
        # What was written by the wrong clock is as old as the moment at which it became right.
        self._unsure_since_s = None
        now_s = self._now_s()
        for key, unit in self._units.items():
            if unit.time_s >= since_s:
                self._units[key] = replace(unit, time_s=now_s)
                with contextlib.suppress(OSError):
                    os.utime(self._main_file(unit.kind, unit.name), (now_s, now_s))

    def _scan(self) -> None:
        self._units.clear()
        for kind in ORDER:
            folder = self._root / kind
            folder.mkdir(parents=True, exist_ok=True)
            self._sweep(kind, folder)
            for name in {path.stem for path in folder.iterdir()}:
                self._enter(kind, name)
        self._scanned = True

    def _sweep(self, kind: Kind, folder: Path) -> None:
        """Mend clips that were being written, delete pictures that were."""
        for path in folder.glob(".*.new"):
            path.unlink(missing_ok=True)
        for path in sorted(folder.glob(f"*.mp4{PART}")):
            name = path.name.removesuffix(f".mp4{PART}")
            if mp4_recovery.recover(path):
                self.finish(kind, name)
            else:
                self.discard(kind, name)
        for path in folder.glob(f"*{PART}"):
            path.unlink(missing_ok=True)

    def _main_file(self, kind: Kind, name: str) -> Path:
        return self.path(kind, name, ".jpg" if kind == "pictures" else ".mp4")

    def _enter(self, kind: Kind, name: str) -> None:
        size, time_s = 0, 0.0
        for suffix in (".jpg", ".mp4", *_SIDE_SUFFIXES):
            with contextlib.suppress(FileNotFoundError):
                facts = self.path(kind, name, suffix).stat()
                size += -(-facts.st_size // _BLOCK) * _BLOCK
                time_s = max(time_s, facts.st_mtime)
        if size or time_s:
            self._units[kind, name] = Unit(kind, name, size, time_s)

    def _remove(self, unit: Unit) -> None:
        # The main file last: a unit that is deleted by half is still found at the next start.
        for suffix in (*_SIDE_SUFFIXES, ".jpg", ".mp4"):
            self.path(unit.kind, unit.name, suffix).unlink(missing_ok=True)
        del self._units[unit.kind, unit.name]


def _limit(megabytes: int, days: float) -> Limit:
    return Limit(megabytes * 1_000_000, days * 86400)
