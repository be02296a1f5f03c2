"""A model bundle: a folder with a manifest and the files that it lists, fixed by one digest.

The only module here that touches files, so that laptop and Pi verify with the same code. Nothing
in a bundle is parsed before its hash was checked, and nothing in it is ever executed or unpickled.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from tartlet_shared import errors, manifest
from tartlet_shared.manifest import FileEntry, Manifest

_CHUNK = 1 << 20
_MANIFEST_LIMIT = 1 << 20  # bytes; a manifest is a few KB


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
    size, sha256 = _measure(folder / name)
    return FileEntry(name=name, size=size, sha256=sha256)


def open_bundle(folder: Path, *, expected_digest: str | None = None) -> Bundle:
    """Verify a bundle folder and return it.

    Args:
        folder: holds ``manifest.json`` and the files it lists; other files are ignored.
        expected_digest: hex; the bundle must be this one.

    Raises:
        BundleCorrupt: something is missing, has another size or another hash.
    """
    content = read_manifest(folder)
    found = manifest.digest(content)
    if expected_digest is not None and found != expected_digest:
        raise errors.BundleCorrupt(
            f"this is bundle {found[:12]}, not {expected_digest[:12]}", where=str(folder)
        )
    parsed = manifest.decode(content)
    for entry in parsed.files:
        verify_file(folder / entry.name, entry)
    return Bundle(folder, found, parsed)


def read_manifest(folder: Path) -> bytes:
    """The manifest's bytes, not yet verified.

    Raises:
        BundleCorrupt: there is none, or it is larger than any manifest.
    """
    path = folder / manifest.MANIFEST_NAME
    try:
        with path.open("rb") as stream:
            content = stream.read(_MANIFEST_LIMIT + 1)
    except OSError as error:
        raise errors.BundleCorrupt(
            f"no manifest: {error.strerror}",
            where=str(path),
            hint="a bundle is the folder that `tartlet package` wrote",
        ) from error
    if len(content) > _MANIFEST_LIMIT:
        raise errors.BundleCorrupt("the manifest is larger than 1 MiB", where=str(path))
    return content


def verify_file(path: Path, entry: FileEntry) -> None:
    """Check a file's size and hash against its entry.

    Raises:
        BundleCorrupt: it is missing or differs.
    """
    try:
        size, sha256 = _measure(path)
    except OSError as error:
        raise errors.BundleCorrupt(
            f"cannot be read: {error.strerror}", where=str(path), hint="push the bundle again"
        ) from error
    if (size, sha256) != (entry.size, entry.sha256):
        raise errors.BundleCorrupt(
            f"{size} bytes with SHA-256 {sha256[:12]}…, the manifest says {entry.size} bytes "
            f"with {entry.sha256[:12]}…",
            where=str(path),
            hint="package the model again, or push it again",
        )


def _measure(path: Path) -> tuple[int, str]:
    size = 0
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            size += len(chunk)
            digest.update(chunk)
    return size, digest.hexdigest()
