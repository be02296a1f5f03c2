"""Secrets: read from where only the daemon can read, and never shown."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from tartlet_device.outputs.settings import SecretPlace
from tartlet_shared import errors

_LARGEST = 64 * 1024


class Secret:
    """A text that does not show itself in logs, tracebacks and representations."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a secret is not pickled")


def path_of(place: SecretPlace, key: str, environment: Mapping[str, str] = os.environ) -> Path:
    """The file that holds a secret, checked.

    Args:
        place: where the configuration says it is.
        key: the configuration's name for it, for errors.
        environment: where systemd names its folder of credentials.

    Raises:
        ConfigError: it is missing, or others could read it.
    """
    if place.credential is not None:
        folder = environment.get("CREDENTIALS_DIRECTORY", "")
        if not folder:
            raise errors.ConfigError(
                f"there is no systemd credential {place.credential!r}",
                where=key,
                hint=f"add LoadCredential={place.credential}:/etc/tartlet/{place.credential} to the"
                " service's unit, or use file",
            )
        # systemd lets nobody else read this folder; the mode bits in it show an ACL's mask.
        path = Path(folder) / place.credential
        _look(path, key, private=False)
    else:
        assert place.file is not None
        path = Path(place.file)
        _look(path, key, private=True)
    return path


def read(place: SecretPlace, key: str, environment: Mapping[str, str] = os.environ) -> Secret:
    """The secret, without the end of its line.

    Raises:
        ConfigError: it is missing, empty, no text, or others could read it.
    """
    path = path_of(place, key, environment)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as stream:
            if place.file is not None:
                _check(os.fstat(descriptor), path, key)  # the very file that is read
            content = stream.read(_LARGEST + 1)
    except OSError as error:
        raise _unreadable(path, key, error) from error
    try:
        text = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise errors.ConfigError(f"{path} is not UTF-8 text", where=key) from None
    if not text or len(content) > _LARGEST or "\0" in text:
        raise errors.ConfigError(f"{path} is empty, too long or binary", where=key)
    return Secret(text)


def _look(path: Path, key: str, *, private: bool) -> None:
    try:
        found = path.stat()
    except OSError as error:
        raise _unreadable(path, key, error) from error
    if not stat.S_ISREG(found.st_mode):
        raise errors.ConfigError(f"{path} is not a regular file", where=key)
    if private:
        _check(found, path, key)


def _check(found: os.stat_result, path: Path, key: str) -> None:
    if found.st_uid != os.geteuid():
        raise errors.ConfigError(
            f"{path} belongs to another user",
            where=key,
            hint=f"chown it to the daemon's user: sudo chown tartlet {path}",
        )
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o177:
        raise errors.ConfigError(
            f"others may use {path} (mode {mode:04o})", where=key, hint=f"sudo chmod 600 {path}"
        )


def _unreadable(path: Path, key: str, error: OSError) -> errors.ConfigError:
    return errors.ConfigError(f"{path} cannot be read: {error.strerror}", where=key)
