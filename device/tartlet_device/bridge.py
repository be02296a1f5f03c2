"""Stdin and stdout to the daemon's socket and back.

For SSH servers that forbid forwarding to Unix sockets: the laptop runs ``tartlet-device bridge``
and speaks through it as it would through the socket. Bytes are passed on as they are.
"""

from __future__ import annotations

import os
import select
import socket

from tartlet_shared import errors

_CHUNK = 1 << 16


def bridge(connection: socket.socket, reading: int = 0, writing: int = 1) -> None:
    """Copy between two file descriptors and a connected socket until the daemon closes it.

    When ``reading`` ends, the daemon is told so and its last replies are still passed on. When
    nobody reads ``writing`` any more, the bridge ends.

    Raises:
        ConnectionLost: the daemon went away in the middle.
    """
    connection.setblocking(False)
    unsent = memoryview(b"")
    input_open = True
    while True:
        # Input is taken only once the last of it is gone, and never by waiting: the daemon may be
        # busy sending, and would wait for us as we would for it.
        inputs = [connection.fileno()] + ([reading] if input_open and not unsent else [])
        outputs = [connection.fileno()] if unsent else []
        readable, writable, _ = select.select(inputs, outputs, [])
        if connection.fileno() in readable and not _from_daemon(connection, writing):
            return
        if writable:
            unsent = unsent[_to_daemon(connection, unsent) :]
        if reading in readable:
            unsent = memoryview(os.read(reading, _CHUNK))
            if not unsent:
                input_open = False
                _end_input(connection)


def _to_daemon(connection: socket.socket, unsent: memoryview) -> int:
    try:
        return connection.send(unsent)
    except BlockingIOError:
        return 0
    except OSError as error:
        raise _lost(error) from error


def _end_input(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_WR)
    except OSError as error:
        raise _lost(error) from error


def _from_daemon(connection: socket.socket, writing: int) -> bool:
    """Pass on what came; False at the end."""
    try:
        chunk = connection.recv(_CHUNK)
    except OSError as error:
        raise _lost(error) from error
    view = memoryview(chunk)
    while view:
        try:
            view = view[os.write(writing, view) :]
        except BrokenPipeError:
            return False
    return bool(chunk)


def _lost(error: OSError) -> errors.ConnectionLost:
    return errors.ConnectionLost(
        f"the daemon went away: {error.strerror or error}",
        hint="`journalctl -u tartlet` on the device says why",
    )
