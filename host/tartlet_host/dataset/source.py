"""Where a data set's files lie: a folder of any depth or a plain .tar archive, read alike.

Names have "/" between folders and are relative to the source's top.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tartlet_host.dataset.archive import index_archive
from tartlet_host.dataset.sample import ArchiveMember
from tartlet_shared import errors


class Source(Protocol):
    """Files of a data set."""

    @property
    def root(self) -> Path:
        """The folder or the archive."""

    def files(self, under: str = "") -> Iterator[str]:
        """Names of all files in a folder and below it, each folder's in order, found lazily."""

    def read(self, name: str) -> bytes:
        """A file's content.

        Raises:
            FileNotFoundError: there is no such file.
        """

    def exists(self, name: str) -> bool:
        """Whether there is a file of that name."""

    def place(self, name: str) -> Path | ArchiveMember:
        """Where a picture is; in a folder it need not exist.

        Raises:
            FileNotFoundError: the archive has no such file.
        """

    def where(self, name: str) -> str:
        """A file's name for people."""


@dataclass(frozen=True)
class FolderSource:
    """A folder; hidden files and what macOS puts into archives are not looked at."""

    root: Path

    def files(self, under: str = "") -> Iterator[str]:
        top = self.root / under
        try:
            here = top.stat()
        except OSError as error:
            raise errors.DatasetNotFound(
                f"the folder cannot be read: {error.strerror}",
                where=str(top),
                hint="check the path",
            ) from error
        yield from _walk(os.fspath(top), under, ((here.st_dev, here.st_ino),))

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def exists(self, name: str) -> bool:
        return (self.root / name).is_file()

    def place(self, name: str) -> Path:
        return self.root / name

    def where(self, name: str) -> str:
        return str(self.root / name)


@dataclass(frozen=True)
class ArchiveSource:
    """A plain .tar file: one pass over its headers remembers where each file begins."""

    root: Path
    members: dict[str, tuple[int, int]]

    def files(self, under: str = "") -> Iterator[str]:
        start = f"{under.rstrip('/')}/" if under else ""
        yield from (name for name in self.members if name.startswith(start))

    def read(self, name: str) -> bytes:
        place = self.place(name)
        with self.root.open("rb", buffering=0) as stream:
            stream.seek(place.offset)
            return stream.read(place.size)

    def exists(self, name: str) -> bool:
        return posixpath.normpath(name) in self.members

    def place(self, name: str) -> ArchiveMember:
        name = posixpath.normpath(name)
        try:
            offset, size = self.members[name]
        except KeyError:
            raise FileNotFoundError(2, "No such file in the archive", name) from None
        return ArchiveMember(self.root, name, offset, size)

    def where(self, name: str) -> str:
        return f"{self.root}#{name}"


def open_source(path: Path) -> Source:
    """The source at a path: a folder, or a plain .tar archive.

    Raises:
        DatasetNotFound: there is nothing there.
        DatasetError: the archive is compressed or damaged.
    """
    return FolderSource(path) if path.is_dir() else ArchiveSource(path, index_archive(path))


def _walk(folder: str, name: str, above: tuple[tuple[int, int], ...]) -> Iterator[str]:
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if entry.name.startswith(".") or entry.name == "__MACOSX":
            continue
        inner = f"{name}/{entry.name}" if name else entry.name
        if not entry.is_dir():
            yield inner
            continue
        status = entry.stat()
        identity = (status.st_dev, status.st_ino)
        if identity not in above:  # a link to a folder around it would never end
            yield from _walk(entry.path, inner, (*above, identity))
