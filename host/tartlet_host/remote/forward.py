"""A port of this computer's loopback that leads to a Unix socket on the device.

Every connection has a channel of its own over the SSH connection that is open anyway. Other users
of this computer can connect to the port too, so the first request of each connection must show the
key; see `tartlet_host.remote.admission`.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from tartlet_host.remote.admission import Admission
from tartlet_shared import errors

if TYPE_CHECKING:
    import paramiko

_log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
_PIECE = 1 << 16
_LEAVE_S = 5.0
_MOST = 32  # the device serves no more

Open = Callable[[], "paramiko.Channel"]


class Forwarder:
    """Listens; passes connections on while `lead_to` names somewhere. A context that ends it."""

    def __init__(self, port: int = 0) -> None:
        """
        Args:
            port: of loopback; 0 for any that is free.

        Raises:
            UsageError: the port is taken.
        """
        try:
            self._listener = socket.create_server((LOOPBACK, port))
        except OSError as error:
            raise errors.UsageError(
                f"port {port} of this computer cannot be used: {error.strerror}",
                where="--port",
                hint="leave it out, and a free one is taken",
            ) from error
        self.port: int = self._listener.getsockname()[1]
        self._admission = Admission(self.port)
        self._open: Open | None = None
        self._lock = threading.Lock()
        self._ends: dict[socket.socket, paramiko.Channel | None] = {}
        self._closing = False
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept, name="forward", daemon=True)

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing = True
        # A blocked accept is woken by a connection, not by closing its socket.
        with contextlib.suppress(OSError):
            socket.create_connection((LOOPBACK, self.port), timeout=1).close()
        self._acceptor.join(_LEAVE_S)
        self._listener.close()
        self.lead_to(None)
        for thread in self._threads:
            thread.join(_LEAVE_S)

    @property
    def address(self) -> str:
        """What to open in a browser, with the key."""
        return f"http://{LOOPBACK}:{self.port}/?{self._admission.query}"

    def lead_to(self, opener: Open | None) -> None:
        """Pass connections on over the channels that this opens; those that are open end."""
        with self._lock:
            self._open = opener
            ends = dict(self._ends)
        for connection, channel in ends.items():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            if channel is not None:
                _close(channel)

    # -- in the threads

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError as error:
                _log.debug("the port is closed: %s", error)
                return
            self._threads = [each for each in self._threads if each.is_alive()]
            with self._lock:
                full = len(self._ends) >= _MOST
                if not full and not self._closing:
                    self._ends[connection] = None
            if self._closing or full:
                connection.close()
                if self._closing:
                    return
                continue
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        channel: paramiko.Channel | None = None
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            first = self._admission.admit(connection)
            opener = self._open
            if first is None or opener is None:
                return
            channel = opener()
            with self._lock:
                self._ends[connection] = channel
            self._pass_both(connection, channel, first)
        except (OSError, EOFError, errors.TartletError) as error:
            _log.debug("a connection ended: %s", error)
        finally:
            with self._lock:
                self._ends.pop(connection, None)
            if channel is not None:
                _close(channel)
            connection.close()

    def _pass_both(
        self, connection: socket.socket, channel: paramiko.Channel, first: bytes
    ) -> None:
        channel.settimeout(None)
        back = threading.Thread(target=_pass_back, args=(channel, connection), daemon=True)
        back.start()
        try:
            channel.sendall(first)
            while data := connection.recv(_PIECE):
                channel.sendall(data)
            channel.shutdown_write()
        except OSError:
            # Either side has gone; the other half must not wait for it.
            _close(channel)
        back.join()


def _pass_back(channel: paramiko.Channel, connection: socket.socket) -> None:
    try:
        while data := channel.recv(_PIECE):
            connection.sendall(data)
    except (OSError, EOFError) as error:
        _log.debug("a connection ended: %s", error)
        _close(channel)
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _close(channel: paramiko.Channel) -> None:
    """Tell the other side; paramiko raises many things where the SSH connection has ended."""
    with contextlib.suppress(Exception):
        channel.close()
