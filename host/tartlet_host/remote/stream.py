"""A stream of bytes to the daemon, over whichever kind of SSH channel the server allows."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from tartlet_shared import errors

if TYPE_CHECKING:
    import paramiko

_NOT_FOUND = 127  # what a shell exits with when there is no such command
_STDERR_LIMIT = 4096
_EXIT_WAIT_S = 5.0

NOT_RUNNING_HINT = (
    "on the device: `systemctl status tartlet` says whether it runs, "
    "`journalctl -u tartlet -n 30` why not"
)


class ChannelStream:
    """An SSH channel to the daemon's socket."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel

    def send(self, data: bytes) -> None:
        """See `Stream`."""
        self._channel.settimeout(None)
        self._channel.sendall(data)

    def recv(self, limit: int, timeout_s: float) -> bytes:
        """See `Stream`."""
        self._channel.settimeout(timeout_s)
        return self._channel.recv(limit)

    def close(self) -> None:
        """See `Stream`; on a dead connection there is nobody left to tell, and nothing to do."""
        with contextlib.suppress(OSError, EOFError):
            self._channel.close()


class BridgeStream(ChannelStream):
    """The stdin and stdout of a command on the device that passes bytes to the daemon's socket."""

    def __init__(self, channel: paramiko.Channel, command: str, where: str) -> None:
        super().__init__(channel)
        self._command = command
        self._where = where
        self._answered = False

    def recv(self, limit: int, timeout_s: float) -> bytes:
        """See `Stream`; a bridge that ends before its first byte could not reach the daemon."""
        data = super().recv(limit, timeout_s)
        if not data and not self._answered:
            raise self._failed()
        self._answered = True
        return data

    def _failed(self) -> errors.TartletError:
        deadline = time.monotonic() + _EXIT_WAIT_S
        while not self._channel.exit_status_ready() and time.monotonic() < deadline:
            if self._channel.closed:
                break
            time.sleep(0.01)
        if not self._channel.exit_status_ready():
            return errors.ConnectionLost(
                "the connection ended while reaching for the daemon", where=self._where
            )
        said = b""
        while self._channel.recv_stderr_ready() and len(said) < _STDERR_LIMIT:
            said += self._channel.recv_stderr(_STDERR_LIMIT)
        reason = said.decode(errors="replace").strip()
        if self._channel.recv_exit_status() == _NOT_FOUND:
            return errors.DaemonNotRunning(
                f"there is no `{self._command.split()[0]}` command on the device, and its SSH "
                "server opened no channel to the daemon's socket",
                where=self._where,
                hint="`tartlet device setup` installs tartlet there",
            )
        return errors.DaemonNotRunning(
            f"the tartlet daemon does not answer: {reason or 'no reason given'}",
            where=self._where,
            hint=NOT_RUNNING_HINT,
        )
