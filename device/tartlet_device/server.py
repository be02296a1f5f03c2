"""Connections on a Unix socket: bytes in, messages to `handlers.answer`, replies out."""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

from tartlet_device import __version__
from tartlet_device.connections import Connections
from tartlet_device.listening import identity, listen
from tartlet_shared import errors, messages, wire
from tartlet_shared.fingerprint import fingerprint
from tartlet_shared.messages import AnyMessage, Hello, ReplyMessage, RequestMessage

_log = logging.getLogger(__name__)

MOST_CONNECTIONS = 16
SEND_TIMEOUT_S = 300.0
"""A peer that takes so long for one message is gone. Generous: a photo of 8 MB over a slow link."""
HELLO_TIMEOUT_S = 30.0
"""Who connects and says nothing must not keep the place of another for ever."""
_RECEIVE = 1 << 18

Answer = Callable[[RequestMessage], Generator[ReplyMessage, None, None]]


class Server:
    """Listens on a Unix socket, one thread per connection."""

    def __init__(self, path: Path, answer: Answer) -> None:
        """Listen.

        Raises:
            ConfigError: the path is too long for a socket.
            DeviceError: another daemon answers there, or the socket cannot be made.
        """
        self._path = path
        self._answer = answer
        self._listener = listen(path, backlog=MOST_CONNECTIONS)
        self._identity = identity(path)
        self._wake_reading, self._wake_writing = socket.socketpair()
        self._connections = Connections(
            "connection", MOST_CONNECTIONS, use=self._converse, refusal=_refusal()
        )
        self._stopping = False

    def serve(self, tick: Callable[[], None], interval_s: float) -> None:
        """Accept connections until `stop`; call ``tick`` about every ``interval_s`` seconds."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._wake_reading, selectors.EVENT_READ)
            while not self._stopping:
                ready = {key.fileobj for key, _ in selector.select(interval_s)}
                if self._listener in ready:
                    self._connections.accept(self._listener)
                tick()

    def stop(self) -> None:
        """End `serve`; may be called from a signal handler or another thread."""
        self._stopping = True
        with contextlib.suppress(OSError):
            self._wake_writing.send(b"\0")

    def close(self) -> None:
        """Close all connections, wait a little for their threads, remove the socket."""
        self._listener.close()
        # Another daemon may have put its own socket there meanwhile.
        if identity(self._path) == self._identity:
            self._path.unlink(missing_ok=True)
        self._connections.close()
        self._wake_reading.close()
        self._wake_writing.close()

    def _converse(self, connection: socket.socket) -> None:
        try:
            with contextlib.closing(_received(connection)) as received:
                _greet(connection, received)
                for message in received:
                    self._serve_one(connection, message)
        except (errors.ProtocolError, errors.DeviceError) as error:
            _log.info("closing a connection: %s", error)
            with contextlib.suppress(OSError):
                _send(connection, messages.failure(0, error))

    def _serve_one(self, connection: socket.socket, message: AnyMessage) -> None:
        if not isinstance(message, RequestMessage):
            raise errors.MessageMalformed(f"a {type(message).__name__} is no request")
        # Closed when the peer goes, so that a stream of photos does not run on for nobody.
        with contextlib.closing(self._answer(message)) as replies:
            for reply in replies:
                try:
                    _send(connection, reply)
                except errors.MessageTooLarge as error:
                    _send(connection, messages.failure(message.request_id, error))
                    return


def _greet(connection: socket.socket, received: Iterator[AnyMessage]) -> None:
    connection.settimeout(HELLO_TIMEOUT_S)
    theirs = next(received, None)
    if theirs is None:
        return
    if not isinstance(theirs, Hello):
        raise errors.MessageMalformed(
            f"the first message must be a Hello, not a {type(theirs).__name__}"
        )
    messages.check_hello(theirs)
    _send(
        connection,
        Hello(
            protocol=messages.PROTOCOL_VERSION,
            fingerprint=fingerprint(),
            software=__version__,
        ),
    )


def _received(connection: socket.socket) -> Generator[AnyMessage, None, None]:
    decoder = wire.Decoder()
    while chunk := connection.recv(_RECEIVE):
        yield from decoder.feed(chunk)
    decoder.finish()


def _send(connection: socket.socket, message: AnyMessage) -> None:
    frame = wire.encode(message)
    connection.settimeout(SEND_TIMEOUT_S)
    try:
        connection.sendall(frame)
    finally:
        connection.settimeout(None)


def _refusal() -> bytes:
    error = errors.DeviceError(
        f"{MOST_CONNECTIONS} connections are open, which is the most at a time",
        where="the daemon",
        hint="close some, then try again",
    )
    return wire.encode(messages.failure(0, error))
