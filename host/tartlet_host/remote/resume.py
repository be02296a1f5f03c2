"""Where to go on with a file of which the device has the beginning already."""

from __future__ import annotations

import getpass
import hashlib
import re
import socket
from collections.abc import Iterable
from pathlib import Path

from tartlet_host.remote.sftp import Outgoing
from tartlet_shared.push_messages import PARTIAL, Arrived

_CHUNK = 1 << 18
_UNFIT = re.compile(r"[^A-Za-z0-9-]+")


def laptop() -> str:
    """What this laptop's half uploads are called, so that no two laptops write the same file.

    The same after every start, so that a push goes on where an earlier one was killed. Where two
    laptops have the same name and user, they write the same bytes to the same places of a file,
    and the device checks the whole.
    """
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # no name for this user id
        user = ""
    host = socket.gethostname()
    digest = hashlib.sha256(f"{user}@{host}".encode()).hexdigest()[:8]
    return f"{_UNFIT.sub('-', host)[:24].strip('-') or 'laptop'}-{digest}"


def outgoing(
    source: Path, folder: str, sha256: str, arrived: Iterable[Arrived], owner: str
) -> Outgoing:
    """How to send a file: the rest of it, where what arrived is its beginning, else all of it.

    Args:
        source: the file here.
        folder: of uploads, on the device.
        sha256: of the whole file.
        arrived: what the device has of it, hashed by the device just now.
        owner: see `laptop`.
    """
    name = f"{sha256}.{owner}{PARTIAL}"
    start = next(
        (
            each.size
            for each in arrived
            if each.name == name and each.sha256 == _hash_of_beginning(source, each.size)
        ),
        0,
    )
    return Outgoing(source, f"{folder}/{sha256}", f"{folder}/{name}", start)


def _hash_of_beginning(source: Path, size: int) -> str:
    """SHA-256 of the first ``size`` bytes; empty where there are fewer."""
    digest = hashlib.sha256()
    with source.open("rb") as stream:
        while size:
            chunk = stream.read(min(size, _CHUNK))
            if not chunk:
                return ""
            digest.update(chunk)
            size -= len(chunk)
    return digest.hexdigest()
