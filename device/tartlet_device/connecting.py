"""Reaching the daemon's socket. Loads little: the bridge starts anew for each connection."""

from __future__ import annotations

import socket
from pathlib import Path

from tartlet_shared import errors

DEFAULT_SOCKET = "/run/tartlet/device.sock"


def connect(path: Path) -> socket.socket:
    """Connect to the daemon's socket.

    Raises:
        DaemonNotRunning: nobody listens, or this user may not connect.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(path))
    except OSError as error:
        connection.close()
        hint = "`sudo systemctl start tartlet`, then `journalctl -u tartlet`"
        if isinstance(error, PermissionError):
            hint = (
                "add this user to the group tartlet: `sudo usermod -aG tartlet $USER`, log in again"
            )
        raise errors.DaemonNotRunning(
            f"the daemon does not answer: {error.strerror or error}", where=str(path), hint=hint
        ) from error
    return connection
