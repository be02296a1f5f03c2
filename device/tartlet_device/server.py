"""Connections on a Unix socket: bytes in, messages to `handlers.answer`, replies out."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

from tartlet_device import __version__
from tartlet_shared import errors, messages, wire
from tartlet_shared.fingerprint import fingerprint
from tartlet_shared.messages import AnyMessage, Hello, ReplyMessage, RequestMessage

_log = logging.getLogger(__name__)

MOST_CONNECTIONS = 16
SEND_TIMEOUT_S = 300.0
"""A peer that takes so long for one message is gone. Generous: a photo of 8 MB over a slow link."""
HELLO_TIMEOUT_S = 30.0
"""Who connects and says nothing must not keep the place of another for ever."""
_PAUSE_S = 0.1  # after a connection could not be accepted
_LEAVE_S = 5.0
_LONGEST_PATH = 107  # bytes of a Unix socket's address on Linux
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
        self._listener = _listen(path)
        self._identity = _identity(path)
        self._wake_reading, self._wake_writing = socket.socketpair()
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._lock = threading.Lock()
        self._stopping = False

    def serve(self, tick: Callable[[], None], interval_s: float) -> None:
        """Accept connections until `stop`; call ``tick`` about every ``interval_s`` seconds."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._wake_reading, selectors.EVENT_READ)
            while not self._stopping:
                ready = {key.fileobj for key, _ in selector.select(interval_s)}
                if self._listener in ready:
                    self._accept()
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
        if _identity(self._path) == self._identity:
            self._path.unlink(missing_ok=True)
        with self._lock:
            connections = dict(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        # An interpreter that ends while a thread is inside an inference may crash on the way out.
        deadline = time.monotonic() + _LEAVE_S
        for thread in connections.values():
            thread.join(max(0.0, deadline - time.monotonic()))
        self._wake_reading.close()
        self._wake_writing.close()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError as error:  # the peer has gone already, or no descriptor is free
            _log.warning("a connection was not accepted: %s", error)
            time.sleep(_PAUSE_S)
            return
        thread = threading.Thread(
            target=self._converse, args=(connection,), name="connection", daemon=True
        )
        with self._lock:
            full = len(self._connections) >= MOST_CONNECTIONS
            if not full:
                self._connections[connection] = thread
        if full:
            _refuse(connection)
            return
        thread.start()

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
        except OSError as error:
            _log.debug("the peer has gone: %s", error)
        except Exception:  # noqa: BLE001  (one connection must not end the daemon)
            _log.exception("a connection failed in a way nobody expected")
        finally:
            connection.close()
            with self._lock:
                self._connections.pop(connection, None)

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


def _refuse(connection: socket.socket) -> None:
    error = errors.DeviceError(
        f"{MOST_CONNECTIONS} connections are open, which is the most at a time",
        where="the daemon",
        hint="close some, then try again",
    )
    with contextlib.suppress(OSError), connection:
        connection.setblocking(False)
        connection.send(wire.encode(messages.failure(0, error)))


def _listen(path: Path) -> socket.socket:
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise errors.ConfigError(
            f"longer than the {_LONGEST_PATH} bytes that a Unix socket's path may have",
            where=str(path),
            hint="set `socket` to a shorter path",
        )
    if _answers(path):
        raise errors.DeviceError(
            "another tartlet daemon answers here already",
            where=str(path),
            hint="`systemctl status tartlet` shows the service; two daemons need two sockets",
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    # Made aside and renamed: nobody can connect before the permissions are right, and a socket
    # that a killed daemon left behind is replaced.
    aside = path.with_name(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.unlink(missing_ok=True)
        listener.bind(str(aside))
        aside.chmod(0o660)
        listener.listen(MOST_CONNECTIONS)
        aside.replace(path)
    except OSError as error:
        listener.close()
        raise errors.DeviceError(
            f"cannot listen: {error.strerror or error}",
            where=str(path),
            hint="may this user write to that folder?",
        ) from error
    listener.setblocking(False)
    return listener


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # A daemon with a full queue is alive too; non-blocking connect says EAGAIN then.
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except OSError as error:
            return error.errno in (errno.EAGAIN, errno.EINPROGRESS, errno.EACCES)
    return True


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
