"""What somebody may do whose SSH key is good for tartlet and nothing else.

Such a key stands in ``authorized_keys`` with ``restrict,command="... tartlet-device gate"``. sshd
then runs the gate whatever the laptop asked for, and puts that into ``$SSH_ORIGINAL_COMMAND``. The
gate compares it with what it knows; no part of it is ever run, or given to a shell.
"""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path

from tartlet_device.config import DeviceConfig
from tartlet_shared import errors

_UPLOADS = ("internal-sftp", "sftp-server")
_HINT = "`ssh -i` with a key of your own that is not restricted gives you a shell"


def enter(asked: str, settings: DeviceConfig, *, reading: int = 0, writing: int = 1) -> None:
    """Do what was asked for, if it may be.

    Args:
        asked: the command or subsystem.
        settings: where the sockets and uploads are.
        reading, writing: file descriptors of the laptop's channel.

    Raises:
        UsageError: it may not.
        ConnectionLost, DaemonNotRunning: see `tartlet_device.bridge`.
    """
    try:
        words = shlex.split(asked)
    except ValueError as error:
        raise _refused(asked) from error
    if words and Path(words[0]).name in _UPLOADS:
        _upload(settings, reading, writing)
        return
    socket = _bridged(words, settings)
    if socket is None:
        raise _refused(asked)
    from tartlet_device import bridge, connecting

    with contextlib.closing(connecting.connect(socket)) as connection:
        bridge.bridge(connection, reading, writing)


def _bridged(words: list[str], settings: DeviceConfig) -> Path | None:
    """The socket that a bridge is asked for; None where it is none of ours."""
    if len(words) < 2 or (Path(words[0]).name, words[1]) != ("tartlet-device", "bridge"):
        return None
    sockets = {
        str(path): path
        for path in (settings.socket_path, settings.web_socket_path)
        if path is not None
    }
    match words[2:]:
        case []:
            return settings.socket_path
        case ["--socket", socket]:
            return sockets.get(socket)
        case _:
            return None


def _upload(settings: DeviceConfig, reading: int, writing: int) -> None:
    from tartlet_device.upload_server import Malformed, UploadServer

    try:
        UploadServer(settings.store_path / "incoming", reading, writing).serve()
    except Malformed as error:
        raise errors.UsageError(f"no upload: {error}") from error


def _refused(asked: str) -> errors.UsageError:
    what = f"may not run {asked[:200]!r}" if asked else "may not open a shell"
    return errors.UsageError(f"this key is for tartlet alone; it {what}", hint=_HINT)
