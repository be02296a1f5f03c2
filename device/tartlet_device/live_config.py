"""The configuration of a running daemon: read again when asked, kept when the new one is broken."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from tartlet_device.config import DeviceConfig, load
from tartlet_shared import errors

_log = logging.getLogger(__name__)

FIXED = ("socket", "store", "threads", "frame_timeout_s", "web")
"""Keys that hold from start to end: what they name is open and in use."""


class LiveConfig:
    """What holds now. One thread reads it again, any thread may look."""

    def __init__(self, path: Path | None, config: DeviceConfig) -> None:
        """
        Args:
            path: of the file; None for the default place.
            config: read from there at the start.
        """
        self._path = path
        self._now = config
        self._fault = ""

    @property
    def now(self) -> DeviceConfig:
        """The configuration that holds."""
        return self._now

    @property
    def fault(self) -> str:
        """What is wrong with the file as it was read last; empty where nothing is."""
        return self._fault

    def read_again(self) -> bool:
        """Read the file; returns whether something changed. A broken one changes nothing."""
        try:
            read = load(self._path)
        except errors.ConfigError as error:
            self._fault = str(error)
            _log.error("the configuration before stays: %s", error)
            return False
        before = self._now
        kept = {name: getattr(before, name) for name in FIXED}
        waiting = [name for name, value in kept.items() if getattr(read, name) != value]
        self._now = msgspec.structs.replace(read, **kept)
        self._fault = ""
        if waiting:
            self._fault = f"restart the service to put these into effect: {', '.join(waiting)}"
            _log.warning("%s", self._fault)
        changed = [
            name
            for name in read.__struct_fields__
            if getattr(self._now, name) != getattr(before, name)
        ]
        _log.info("read the configuration again; changed: %s", ", ".join(changed) or "nothing")
        return bool(changed)
