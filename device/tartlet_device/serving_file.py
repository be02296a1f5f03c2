"""``serving.json``: the record of `tartlet_device.serving` on disk."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from tartlet_device import files
from tartlet_device.serving import Serving

_log = logging.getLogger(__name__)

FILE_NAME = "serving.json"


class ServingFile:
    """The record in a folder. One rename changes all of it. Changes must not run side by side."""

    def __init__(self, root: Path) -> None:
        """
        Args:
            root: the store's folder.
        """
        self._path = root / FILE_NAME

    def read(self) -> Serving:
        """What was written last; empty where the record is missing or damaged."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Serving)
        except FileNotFoundError:
            return Serving()
        except msgspec.DecodeError as error:
            _log.error("%s is damaged (%s): no model is active", self._path, error)
            return Serving()

    def change(self, step: Callable[[Serving], Serving]) -> Serving:
        """Take the record one step further; nothing is written where nothing changes.

        Raises:
            StorageFull: it cannot be written; the old one holds.
        """
        before = self.read()
        after = step(before)
        if after != before:
            content = msgspec.json.encode(after)
            with files.disk_faults_named(self._path.parent, len(content)):
                files.write_atomically(self._path, content)
        return after
