"""A model bundle: a folder with a manifest and the files that it lists, fixed by one digest.

The only module here that touches files, so that laptop and Pi verify with the same code. Nothing
in a bundle is parsed before its hash was checked, and nothing in it is ever executed or unpickled.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tartlet_shared import errors, manifest, signature
from tartlet_shared.manifest import FileEntry, Manifest

_CHUNK = 1 << 20
# Links are not followed and a pipe does not block: a bundle is plain files. Windows has neither.
_PLAIN = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_BINARY = getattr(os, "O_BINARY", 0)

Check = Callable[[bytes, bytes], None]
"""Takes a manifest's bytes and its signature's record; raises where they are not to be trusted."""


@dataclass(frozen=True)
class Bundle:
    """A verified bundle on disk.

    Attributes:
        folder: where it lies.
        digest: SHA-256 of the manifest's bytes, hex.
        manifest: its contents.
    """

    folder: Path
    digest: str
    manifest: Manifest

    @property
    def model_path(self) -> Path:
        """The model file."""
        return self.folder / self.manifest.model


def file_entry(folder: Path, name: str) -> FileEntry:
    """Measure and hash a file for a manifest."""
    size, sha256 = _measure(folder / name, manifest.LARGEST_FILE)
    return FileEntry(name=name, size=size, sha256=sha256)


def open_bundle(
    folder: Path, *, expected_digest: str | None = None, check: Check | None = None
) -> Bundle:
    """Verify a bundle folder and return it.

    Args:
        folder: holds ``manifest.json`` and the files it lists; other files are ignored.
        expected_digest: hex; the bundle must be this one.
        check: sees manifest and signature before anything is parsed.

    Raises:
        BundleCorrupt: something is missing, has another size or another hash.
        And what ``check`` raises.
    """
    content = read_manifest(folder, expected_digest=expected_digest, check=check)
    parsed = manifest.decode(content)
    for entry in parsed.files:
        verify_file(folder / entry.name, entry)
    return Bundle(folder, manifest.digest(content), parsed)


def read_manifest(
    folder: Path, *, expected_digest: str | None = None, check: Check | None = None
) -> bytes:
    """The manifest's bytes, not parsed.

    Args:
        folder, expected_digest, check: see `open_bundle`.

    Raises:
        BundleCorrupt: there is none, it is larger than any manifest, or of another bundle.
        And what ``check`` raises.
    """
    path = folder / manifest.MANIFEST_NAME
    try:
        content = _read(path, manifest.LIMIT)
    except OSError as error:
        raise errors.BundleCorrupt(
            f"no manifest: {error.strerror}",
            where=str(path),
            hint="a bundle is the folder that `tartlet package` wrote",
        ) from error
    if len(content) > manifest.LIMIT:
        raise errors.BundleCorrupt("the manifest is larger than 1 MiB", where=str(path))
    found = manifest.digest(content)
    if expected_digest is not None and found != expected_digest:
        raise errors.BundleCorrupt(
            f"this is bundle {found[:12]}, not {expected_digest[:12]}", where=str(folder)
        )
    if check is not None:
        check(content, read_signature(folder))
    return content


def read_signature(folder: Path) -> bytes:
    """The record of the signature beside the manifest, not verified; empty where there is none.

    Raises:
        BundleCorrupt: it cannot be read.
    """
    path = folder / signature.SIGNATURE_NAME
    try:
        return _read(path, signature.LIMIT)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise errors.BundleCorrupt(f"cannot be read: {error.strerror}", where=str(path)) from error


def verify_file(path: Path, entry: FileEntry) -> None:
    """Check a file's size and hash against its entry.

    Raises:
        BundleCorrupt: it is missing, no plain file, or differs.
    """
    try:
        if "/" in entry.name and path.parent.is_symlink():
            raise OSError(errno.ELOOP, "its folder is a link")
        size, sha256 = _measure(path, entry.size)
    except OSError as error:
        raise errors.BundleCorrupt(
            f"cannot be read: {error.strerror}", where=str(path), hint="push the bundle again"
        ) from error
    if (size, sha256) != (entry.size, entry.sha256):
        found = f"{size} bytes" if size <= entry.size else f"more than {entry.size} bytes"
        raise errors.BundleCorrupt(
            f"{found} with SHA-256 {sha256[:12]}…, the manifest says {entry.size} bytes "
            f"with {entry.sha256[:12]}…",
            where=str(path),
            hint="package the model again, or push it again",
        )


def _open(path: Path) -> int:
    """A descriptor of a plain file, else ``OSError``."""
    if not hasattr(os, "O_NOFOLLOW") and path.is_symlink():
        raise OSError(errno.ELOOP, "a link", str(path))
    descriptor = os.open(path, _PLAIN | _BINARY)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.ENXIO, "not a plain file", str(path))
    return descriptor


def _read(path: Path, limit: int) -> bytes:
    """A small file; more than ``limit`` bytes where it is larger."""
    with os.fdopen(_open(path), "rb") as stream:
        return stream.read(limit + 1)


def _measure(path: Path, limit: int) -> tuple[int, str]:
    """Size and SHA-256; of a file that is larger than ``limit``, those of a part that is too."""
    size = 0
    digest = hashlib.sha256()
    with os.fdopen(_open(path), "rb") as stream:
        while size <= limit and (chunk := stream.read(_CHUNK)):
            size += len(chunk)
            digest.update(chunk)
    return size, digest.hexdigest()
