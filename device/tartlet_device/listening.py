"""Listening on a Unix socket whose permissions are right before anybody can connect."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

from tartlet_shared import errors

_LONGEST_PATH = 107  # bytes of a Unix socket's address on Linux


def listen(path: Path, *, backlog: int) -> socket.socket:
    """A socket at ``path`` that the daemon's user and group may connect to, not blocking.

    Raises:
        ConfigError: the path is too long for a socket.
        DeviceError: another daemon answers there, or the socket cannot be made.
    """
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
        listener.listen(backlog)
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


def identity(path: Path) -> tuple[int, int] | None:
    """Which file this is, as another daemon may put its own there; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
