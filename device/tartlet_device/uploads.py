"""The folder into which laptops upload: files that are whole, and files that are not yet.

::

    <sha256>                whole, as its laptop thinks; believed only once it was hashed
    <sha256>.<laptop>.part  as much of it as has arrived from that laptop, in order from the start

Everything in here was written by somebody else: nothing is believed, no link is followed.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

from tartlet_device import files
from tartlet_shared.manifest import FileEntry
from tartlet_shared.push_messages import PARTIAL, Arrived

_log = logging.getLogger(__name__)

ABANDONED_S = 24 * 3600.0
"""Nothing was written to an upload for so long: its laptop will not come back."""
IN_THE_WAY_S = 600.0
"""The same, where its room is needed."""
_MOST_PARTS = 8  # of one file, that are looked at
_MODE = 0o2770


class Uploads:
    """The incoming folder."""

    def __init__(self, folder: Path) -> None:
        """Open or create it, and sweep what is abandoned. What is half there stays."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._open_for_uploads()
        self.sweep(ABANDONED_S)

    def whole(self, entry: FileEntry) -> bool:
        """Whether a file was uploaded, complete and undamaged."""
        try:
            return files.hashed(self.folder / entry.sha256, entry.size) == (
                entry.size,
                entry.sha256,
            )
        except OSError:
            return False

    def arrived(self, entries: Iterable[FileEntry]) -> tuple[Arrived, ...]:
        """The beginnings of files that are here, as long as they are now."""
        return tuple(found for entry in entries for found in self._parts(entry))

    def discard(self, entry: FileEntry) -> None:
        """Remove a complete upload. What other laptops are sending is theirs."""
        remove(self.folder / entry.sha256)

    def begun(self, entry: FileEntry) -> int:
        """Bytes of the longest beginning of a file, not looked into."""
        sizes = [0]
        for path in self.folder.glob(f"{entry.sha256}.*{PARTIAL}"):
            with contextlib.suppress(OSError):
                sizes.append(path.lstat().st_size)
        return max(size for size in sizes if size <= entry.size)

    def sweep(self, idle_s: float, spared: Container[str] = ()) -> None:
        """Remove uploads to which nothing was written for so long, but not those ``spared``.

        Args:
            idle_s: seconds.
            spared: SHA-256 of files.
        """
        for upload in self.folder.iterdir():
            if upload.name.partition(".")[0] in spared:
                continue
            with contextlib.suppress(OSError):
                if time.time() - upload.lstat().st_mtime > idle_s:
                    _log.info("removing %s, an abandoned upload", upload)
                    remove(upload)

    def _parts(self, entry: FileEntry) -> Iterator[Arrived]:
        names = sorted(path.name for path in self.folder.glob(f"{entry.sha256}.*{PARTIAL}"))
        for name in names[:_MOST_PARTS]:
            with contextlib.suppress(OSError):
                size, digest = files.hashed(self.folder / name, entry.size)
                if size:
                    yield Arrived(name=name, size=size, sha256=digest)

    def _open_for_uploads(self) -> None:
        """Let the group that may talk to the daemon upload, and keep that readable to the daemon.

        A hardened service may not set the set-gid bit; setup_pi.sh has set it then.
        """
        if self.folder.stat().st_mode & 0o7777 == _MODE:
            return
        try:
            self.folder.chmod(_MODE)
        except PermissionError:
            with contextlib.suppress(PermissionError):
                self.folder.chmod(_MODE & 0o777)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder; one that cannot be removed is no error."""
    if path.is_dir() and not path.is_symlink():
        files.remove_folder(path)
        return
    with contextlib.suppress(OSError):
        path.unlink()
