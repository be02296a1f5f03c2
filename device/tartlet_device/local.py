"""Talking to the daemon from the device itself."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

from tartlet_device import __version__
from tartlet_device.connecting import connect
from tartlet_shared import errors, messages, wire
from tartlet_shared.fingerprint import fingerprint
from tartlet_shared.messages import AnyMessage, Failure, Hello, ReplyMessage, RequestMessage


def ask(path: Path, request: RequestMessage, *, timeout_s: float = 180.0) -> ReplyMessage:
    """Send one request to the daemon and return its one reply.

    Raises:
        DaemonNotRunning, ConnectionLost, ProtocolError: the conversation failed.
        TartletError: the daemon refused.
    """
    with contextlib.closing(connect(path)) as connection:
        connection.settimeout(timeout_s)
        received = _received(connection)
        hello = Hello(
            protocol=messages.PROTOCOL_VERSION, fingerprint=fingerprint(), software=__version__
        )
        connection.sendall(wire.encode(hello) + wire.encode(request))
        greeting = _checked(next(received))
        if not isinstance(greeting, Hello):
            raise errors.MessageMalformed(f"a {type(greeting).__name__} instead of a Hello")
        messages.check_hello(greeting)
        reply = _checked(next(received))
        if isinstance(reply, Hello | RequestMessage):
            raise errors.MessageMalformed(f"a {type(reply).__name__} is no reply")
        return reply


def _checked(message: AnyMessage) -> AnyMessage:
    if isinstance(message, Failure):
        raise messages.to_error(message)
    return message


def _received(connection: socket.socket) -> Iterator[AnyMessage]:
    decoder = wire.Decoder()
    while True:
        try:
            chunk = connection.recv(1 << 18)
        except OSError as error:
            raise errors.ConnectionLost(f"the daemon: {error.strerror or error}") from error
        if not chunk:
            raise errors.ConnectionLost("the daemon closed the connection")
        yield from decoder.feed(chunk)
