"""Talking to the daemon from the device itself."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

from tartlet_device.connecting import connect
from tartlet_shared.conversation import Conversation
from tartlet_shared.messages import Reply, RequestMessage

WHERE = "the daemon"


class SocketStream:
    """A connected socket; see `tartlet_shared.conversation.Stream`."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self._connection.settimeout(None)
        self._connection.sendall(data)

    def recv(self, limit: int, timeout_s: float) -> bytes:
        """Between 1 and ``limit`` bytes; none once the daemon closed."""
        self._connection.settimeout(timeout_s)
        return self._connection.recv(limit)

    def close(self) -> None:
        """Close the socket."""
        self._connection.close()


def ask(path: Path, request: RequestMessage, *, timeout_s: float = 180.0) -> Reply:
    """Send one request to the daemon and return its one reply.

    Raises:
        DaemonNotRunning, ConnectionLost, ProtocolError: the conversation failed.
        TartletError: the daemon refused.
    """
    stream = SocketStream(connect(path))
    conversation = Conversation(stream, where=WHERE, timeout_s=timeout_s)
    with contextlib.closing(conversation):
        conversation.hello()
        return conversation.ask(request, Reply, "asking it")
