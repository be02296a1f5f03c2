"""The open connections of a server: a thread for each, up to a number of them."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator

_log = logging.getLogger(__name__)

_PAUSE_S = 0.1  # after a connection could not be accepted
_LEAVE_S = 5.0

Use = Callable[[socket.socket], None]


class Connections:
    """Accepts connections and lets a function use each, in a thread of its own."""

    def __init__(self, name: str, most: int, *, use: Use, refusal: bytes) -> None:
        """
        Args:
            name: of the threads.
            most: so many at a time.
            use: called with each, blocking; the connection is closed afterwards.
            refusal: what one too many is told.
        """
        self._name, self._most, self._use, self._refusal = name, most, use, refusal
        self._threads: dict[socket.socket, threading.Thread] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._threads)

    def __iter__(self) -> Iterator[socket.socket]:
        """Those that are open now."""
        with self._lock:
            return iter(list(self._threads))

    def accept(self, listener: socket.socket) -> None:
        """Take the next one of a listener that has one."""
        try:
            connection, _ = listener.accept()
        except OSError as error:  # the peer has gone already, or no descriptor is free
            _log.warning("a connection was not accepted: %s", error)
            time.sleep(_PAUSE_S)
            return
        thread = threading.Thread(
            target=self._run, args=(connection,), name=self._name, daemon=True
        )
        with self._lock:
            full = len(self._threads) >= self._most
            if not full:
                self._threads[connection] = thread
        if full:
            with contextlib.suppress(OSError), connection:
                connection.setblocking(False)
                connection.send(self._refusal)
            return
        try:
            thread.start()
        except RuntimeError as error:  # the system has no room for one more thread
            _log.warning("a connection was not served: %s", error)
            self._forget(connection)

    def close(self) -> None:
        """End all, and wait a little for their threads."""
        with self._lock:
            threads = dict(self._threads)
        for connection in threads:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        # An interpreter that ends while a thread is inside an inference may crash on the way out.
        deadline = time.monotonic() + _LEAVE_S
        for thread in threads.values():
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self, connection: socket.socket) -> None:
        try:
            connection.setblocking(True)
            self._use(connection)
        except OSError as error:
            _log.debug("the peer has gone: %s", error)
        except Exception:  # noqa: BLE001  (one connection must not end the daemon)
            _log.exception("a connection failed in a way nobody expected")
        finally:
            self._forget(connection)

    def _forget(self, connection: socket.socket) -> None:
        connection.close()
        with self._lock:
            self._threads.pop(connection, None)
