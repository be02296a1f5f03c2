"""Uploading files by SFTP, many requests in flight, to a temporary name first."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import paramiko

_CHUNK = 32 << 10  # what OpenSSH's server takes in one request for certain

PARTIAL = ".part"
"""Ending of a file that is not complete; the device never looks at such files."""


def put(
    sftp: paramiko.SFTPClient,
    source: Path,
    destination: str,
    *,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Upload a file to ``destination + PARTIAL`` and rename it over ``destination``.

    There is no look back at the size: whoever uses the file checks its hash.

    Args:
        sftp: an open client.
        source: the file here.
        destination: absolute path there.
        progress: called with the bytes handed over so far.

    Returns:
        The number of bytes.

    Raises:
        OSError: the server could not write (disk full, no permission), or the connection is gone
            (`EOFError` and paramiko's `SSHException` too); the temporary file is removed where
            that is still possible.
    """
    temporary = destination + PARTIAL
    done = 0
    try:
        with source.open("rb") as local, sftp.open(temporary, "wb") as remote:
            remote.set_pipelined(True)
            while chunk := local.read(_CHUNK):
                remote.write(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done)
        sftp.posix_rename(temporary, destination)
    except BaseException:
        # Ctrl-C included. On a dead connection this fails at once, and the daemon sweeps later.
        with contextlib.suppress(Exception):
            sftp.remove(temporary)
        raise
    return done
