"""Running a shell command on a device and reading what it says, line by line."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tartlet_shared import errors

if TYPE_CHECKING:
    import paramiko

    from tartlet_host.remote.ssh import Connection

_SILENCE_S = 900.0  # unpacking packages on an old card says nothing for minutes
_CHUNK = 32 << 10


@dataclass(frozen=True)
class Result:
    """What a command left.

    Attributes:
        code: its exit status.
        lines: all that it said, on standard output and standard error.
    """

    code: int
    lines: tuple[str, ...]


def run(
    connection: Connection,
    command: str,
    *,
    stdin: bytes = b"",
    line: Callable[[str], None] | None = None,
) -> Result:
    """Run a command and wait for its end.

    Args:
        connection: an open one.
        command: for the login shell of the user there.
        stdin: what it reads; then its standard input ends.
        line: called with each line as soon as it is said.

    Raises:
        ConnectionLost: the connection ended first, or nothing was heard for 15 minutes.
    """
    with contextlib.closing(connection.execute(command)) as channel:
        channel.settimeout(_SILENCE_S)
        try:
            if stdin:
                channel.sendall(stdin)
            channel.shutdown_write()
            lines = tuple(_lines(channel, line))
        except (OSError, EOFError) as error:
            raise _lost(connection) from error
        # -1: it sent no status, as when its server died.
        code = channel.recv_exit_status()
        if code < 0:
            raise _lost(connection)
        return Result(code, lines)


def _lines(channel: paramiko.Channel, line: Callable[[str], None] | None) -> list[str]:
    found: list[str] = []
    rest = b""
    while data := channel.recv(_CHUNK):
        *complete, rest = (rest + data).split(b"\n")
        for each in complete:
            _take(each, found, line)
    if rest:
        _take(rest, found, line)
    return found


def _take(raw: bytes, found: list[str], line: Callable[[str], None] | None) -> None:
    text = raw.decode(errors="replace").rstrip("\r")
    found.append(text)
    if line is not None:
        line(text)


def _lost(connection: Connection) -> errors.ConnectionLost:
    return errors.ConnectionLost(
        "the connection ended while a command ran there",
        where=connection.target.address,
        hint="run the same command again; it goes on from what is there",
    )
