"""Accepts HTTP connections on the page's Unix socket, and on a port of loopback if one is given."""

from __future__ import annotations

import selectors
import socket
import threading
from pathlib import Path

from tartlet_device.connections import Connections
from tartlet_device.listening import identity, listen
from tartlet_device.web.connection import Answer, Connection, MostBody
from tartlet_shared import errors

LOOPBACK = "127.0.0.1"
MOST_CONNECTIONS = 32
"""A browser opens up to six for a page."""
_LEAVE_S = 5.0
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


class WebServer:
    """One thread that accepts, and one for each connection."""

    def __init__(self, path: Path, port: int | None, answer: Answer, most_body: MostBody) -> None:
        """Listen; nothing is answered before `start`.

        Raises:
            ConfigError: the path is too long for a socket, or the port is taken.
            DeviceError: the socket cannot be made.
        """
        self.path = path
        self._answer, self._most_body = answer, most_body
        self._listeners = [listen(path, backlog=MOST_CONNECTIONS)]
        self._identity = identity(path)
        if port is not None:
            try:
                self._listeners.append(_on_port(port))
            except errors.ConfigError:
                self.close()
                raise
        self._wake_reading, self._wake_writing = socket.socketpair()
        self._connections = Connections(
            "web connection", MOST_CONNECTIONS, use=self._serve, refusal=_BUSY
        )
        self._stopping = False
        self._thread = threading.Thread(target=self._accept_all, name="web", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Close everything, wait a little for the threads, remove the socket."""
        self._stopping = True
        self._wake_writing.send(b"\0")
        if self._thread.ident is not None:
            self._thread.join(_LEAVE_S)
        self.close()
        self._connections.close()
        self._wake_reading.close()
        self._wake_writing.close()

    def close(self) -> None:
        """Listen no more."""
        for listener in self._listeners:
            listener.close()
        # Another daemon may have put its own socket there meanwhile.
        if identity(self.path) == self._identity:
            self.path.unlink(missing_ok=True)

    # -- in the threads

    def _accept_all(self) -> None:
        with selectors.DefaultSelector() as selector:
            for listener in (*self._listeners, self._wake_reading):
                selector.register(listener, selectors.EVENT_READ)
            while not self._stopping:
                for key, _ in selector.select():
                    if key.fileobj in self._listeners and isinstance(key.fileobj, socket.socket):
                        self._connections.accept(key.fileobj)

    def _serve(self, connection: socket.socket) -> None:
        if connection.family == socket.AF_INET:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Connection(connection, self._answer, self._most_body)


def _on_port(port: int) -> socket.socket:
    try:
        listener = socket.create_server((LOOPBACK, port), backlog=MOST_CONNECTIONS)
    except OSError as error:
        raise errors.ConfigError(
            f"port {port} cannot be used: {error.strerror}", where="web.port"
        ) from error
    listener.setblocking(False)
    return listener
