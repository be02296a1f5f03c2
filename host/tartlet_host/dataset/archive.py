"""Plain .tar archives: where each member's bytes are, without unpacking anything.

The format is POSIX.1-2001's ustar and pax, with GNU's extensions; `tarfile` reads the headers.
"""

from __future__ import annotations

import posixpath
import tarfile
from pathlib import Path

from tartlet_shared import errors

_COMPRESSED = {
    b"\x1f\x8b": ("gzip", "gunzip"),
    b"BZh": ("bzip2", "bunzip2"),
    b"\xfd7zXZ\0": ("xz", "unxz"),
    b"\x28\xb5\x2f\xfd": ("Zstandard", "unzstd"),
    b"PK\x03\x04": ("zip", "unzip"),
}


def index_archive(path: Path) -> dict[str, tuple[int, int]]:
    """Offset and size of every file in a .tar archive, by name, in order of the names.

    One pass over the headers; contents are skipped by seeking. Of two members with one name the
    later counts, as when unpacking. Links are not followed.

    Raises:
        DatasetNotFound: there is no such file.
        DatasetError: it is compressed, not a .tar file, or cut off.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(8)
            end = stream.seek(0, 2)
    except OSError as error:
        raise errors.DatasetNotFound(
            f"the archive cannot be read: {error.strerror}", where=str(path), hint="check the path"
        ) from error
    _refuse_compressed(path, start)
    found: dict[str, tuple[int, int]] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            while (member := archive.next()) is not None:
                # tarfile keeps an object for each member, which a large archive cannot afford.
                archive.members.clear()  # type: ignore[attr-defined]
                if not member.isfile() or member.issparse():
                    continue
                name = posixpath.normpath(member.name).lstrip("/")
                if any(part.startswith(".") or part == "__MACOSX" for part in name.split("/")):
                    continue
                if member.offset_data + member.size > end:
                    raise tarfile.ReadError(f"{name} is cut off")
                found[name] = (member.offset_data, member.size)
    except (tarfile.TarError, OSError, ValueError) as error:
        raise errors.DatasetError(
            f"not a .tar archive, or a damaged one: {error}",
            where=str(path),
            hint="copy or pack it again",
        ) from error
    # The order in which a folder of the same files is walked
    return dict(sorted(found.items(), key=lambda each: each[0].split("/")))


def _refuse_compressed(path: Path, start: bytes) -> None:
    for magic, (kind, command) in _COMPRESSED.items():
        if start.startswith(magic):
            raise errors.DatasetError(
                f"the archive is compressed ({kind}), so its pictures cannot be read in place",
                where=str(path),
                hint=f"run `{command} {path.name}` and give what comes out; pictures are "
                "compressed already, a plain .tar is hardly larger",
            )
