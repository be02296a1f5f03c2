"""Child processes that start before the daemon itself has what it needs: all load side by side."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from tartlet_device.child.process import ChildProcess, command

_log = logging.getLogger(__name__)

CAMERA = command("tartlet_device.camera.process_main")
MODEL = command("tartlet_device.runtime.process_main")

Starting = Callable[[Sequence[str]], ChildProcess]
"""From a program to its process; raises `OSError` where it cannot be started."""


class EarlyChildren:
    """Starts children; those that were started early are handed out first.

    Made by a thread that lives as long as they are needed; see `ChildProcess`.
    """

    def __init__(self, *words: Sequence[str]) -> None:
        """
        Args:
            words: the programs to start now. One that does not start is started when it is needed.
        """
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, ...], ChildProcess] = {}
        for each in words:
            try:
                self._waiting[tuple(each)] = ChildProcess(each)
            except OSError as error:
                _log.warning("a process does not start: %s", error)

    def __call__(self, words: Sequence[str]) -> ChildProcess:
        """A process that runs this program."""
        with self._lock:
            early = self._waiting.pop(tuple(words), None)
        return early or ChildProcess(words)

    def close(self) -> None:
        """End those that nobody needed."""
        with self._lock:
            left, self._waiting = self._waiting, {}
        for each in left.values():
            each.bury()
