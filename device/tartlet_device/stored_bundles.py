"""The folder of stored bundles: each verified before it gets there, and never changed afterwards.

Not for several threads at once; `tartlet_device.store.Store` lends its lock.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import tempfile
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path

from tartlet_device import files
from tartlet_device.uploads import remove
from tartlet_shared import bundle as bundles
from tartlet_shared import errors, manifest, signature
from tartlet_shared.bundle import Bundle, Check
from tartlet_shared.manifest import FileEntry, Manifest

_log = logging.getLogger(__name__)

KEPT_BUNDLES = 3
"""The newest so many stay, and always those that somebody needs."""
_TEMPORARY = ".new-"


class StoredBundles:
    """``<digest>/`` for each bundle."""

    def __init__(self, folder: Path, check: Check) -> None:
        """Open or create it, and sweep away what an interrupted change left behind.

        Args:
            folder: of the bundles.
            check: refuses a manifest that nobody signed who is trusted.
        """
        self._folder, self._check = folder, check
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(f"{_TEMPORARY}*"):
            _log.info("removing %s, left by an interrupted push", leftover)
            remove(leftover)

    def require(self, digest: str) -> None:
        """
        Raises:
            BundleNotOnDevice: it is not stored.
        """
        if not (self._folder / digest / manifest.MANIFEST_NAME).is_file():
            raise errors.BundleNotOnDevice(
                f"bundle {digest[:12]} is not on this device",
                where=str(self._folder),
                hint="push it first with `tartlet push`",
            )

    def open(self, digest: str) -> Bundle:
        """A bundle, verified now.

        Raises:
            BundleNotOnDevice: it is not stored.
            BundleCorrupt: it was damaged on the disk.
            BundleUntrusted: none of the trusted keys signed it.
        """
        self.require(digest)
        return bundles.open_bundle(self._folder / digest, expected_digest=digest, check=self._check)

    def manifest(self, digest: str, check: Check | None = None) -> Manifest:
        """The manifest of a bundle, whose other files are not looked at.

        Args:
            digest: of the bundle.
            check: in place of the usual one.

        Raises:
            BundleNotOnDevice, BundleUntrusted: as `open`.
            BundleCorrupt: the manifest was damaged on the disk.
        """
        self.require(digest)
        content = bundles.read_manifest(
            self._folder / digest, expected_digest=digest, check=check or self._check
        )
        return manifest.decode(content)

    def signed_by(self, digest: str) -> str:
        """Id of the key that a bundle claims to be signed with; empty for none."""
        try:
            record = bundles.read_signature(self._folder / digest)
            return signature.decode(record).key if record else ""
        except errors.BundleCorrupt:
            return ""

    def files(self) -> dict[str, Path]:
        """SHA-256 -> path of every file of every bundle, as their manifests say."""
        found: dict[str, Path] = {}
        for folder in self._folder.iterdir():
            if folder.name.startswith(_TEMPORARY):
                continue
            try:
                entries = self.manifest(folder.name).files
            except errors.BundleError as error:
                _log.warning("ignoring a stored bundle: %s", error)
                continue
            found.update({entry.sha256: folder / entry.name for entry in entries})
        return found

    def sign_again(self, digest: str, record: bytes) -> bool:
        """Whether a bundle is here and undamaged; it then has the signature given."""
        folder = self._folder / digest
        try:
            self.require(digest)
            bundles.open_bundle(folder, expected_digest=digest)
        except (errors.BundleNotOnDevice, errors.BundleCorrupt):
            return False
        if record:
            with files.disk_faults_named(self._folder, len(record)):
                files.write_atomically(folder / signature.SIGNATURE_NAME, record)
        return True

    def assemble(self, content: bytes, record: bytes, parsed: Manifest, incoming: Path) -> Bundle:
        """Put a bundle together aside, and rename it into place.

        Args:
            content: its manifest.
            record: the manifest's signature; empty for none.
            parsed: the manifest.
            incoming: the folder of uploads.

        Raises:
            BundleCorrupt: a file is missing or is not what the manifest says.
            OSError: the disk is full.
        """
        digest = manifest.digest(content)
        target = self._folder / digest
        with self.temporary_folder() as folder:
            folder.chmod(0o755)
            files.write_synced(folder / manifest.MANIFEST_NAME, content)
            if record:
                files.write_synced(folder / signature.SIGNATURE_NAME, record)
            self.collect(parsed.files, folder, incoming)
            for written in {(folder / entry.name).parent for entry in parsed.files} | {folder}:
                files.sync_folder(written)
            if target.exists():
                # Damaged, else there would be nothing to do: out of the way, to be removed.
                target.rename(folder.with_name(folder.name + "-old"))
            folder.rename(target)
        files.sync_folder(self._folder)
        return self.open(digest)

    def collect(self, entries: Iterable[FileEntry], folder: Path, incoming: Path) -> None:
        """Bring files into a folder: from the uploads, else from another bundle.

        Raises:
            BundleCorrupt, OSError: as `assemble`.
        """
        stored = self.files()
        for entry in entries:
            (folder / entry.name).parent.mkdir(exist_ok=True)
            _place(entry, folder / entry.name, incoming / entry.sha256, stored)

    @contextlib.contextmanager
    def temporary_folder(self) -> Iterator[Path]:
        """On the same disk; gone afterwards, also after a crash."""
        folder = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=self._folder))
        try:
            yield folder
        finally:
            files.remove_folder(folder)
            files.remove_folder(folder.with_name(folder.name + "-old"))

    def holding(self, sha256s: Container[str]) -> set[str]:
        """Digests of the bundles that lend files with these hashes."""
        return {
            path.relative_to(self._folder).parts[0]
            for sha256, path in self.files().items()
            if sha256 in sha256s
        }

    def prune(self, needed: Container[str | None]) -> None:
        """Remove the oldest bundles beyond `KEPT_BUNDLES`, but not those that are needed."""
        folders = [each for each in self._folder.iterdir() if not each.name.startswith(".")]
        folders.sort(key=lambda folder: folder.stat().st_mtime_ns, reverse=True)
        for folder in folders[KEPT_BUNDLES:]:
            if folder.name not in needed:
                _log.info("removing the old bundle %s", folder.name[:12])
                # First out of sight: a bundle half removed must not look like one.
                doomed = folder.with_name(f"{_TEMPORARY}{folder.name}")
                folder.rename(doomed)
                files.remove_folder(doomed)


def intact(stored: Mapping[str, Path], entry: FileEntry) -> bool:
    """Whether a file is already here and still what it was: disks of a Pi do forget."""
    path = stored.get(entry.sha256)
    if path is None:
        return False
    try:
        bundles.verify_file(path, entry)
    except errors.BundleCorrupt as error:
        _log.warning("a stored file is damaged: %s", error)
        return False
    return True


def _place(entry: FileEntry, target: Path, upload: Path, stored: Mapping[str, Path]) -> None:
    try:
        measured = files.copy_hashed(upload, target, limit=entry.size)
    except OSError as error:
        if error.errno in files.DISK_FAULTS:
            raise
        if error.errno == errno.ENOENT and intact(stored, entry):
            target.hardlink_to(stored[entry.sha256])
            return
        raise errors.BundleCorrupt(
            f"{entry.name} was not uploaded, or cannot be read: {error.strerror}",
            where=str(upload),
            hint="push the bundle again; uploads must be readable for the group",
        ) from error
    if measured != (entry.size, entry.sha256):
        raise errors.BundleCorrupt(
            f"{entry.name} arrived as {measured[0]} bytes with SHA-256 {measured[1][:12]}…, "
            f"the manifest says {entry.size} bytes with {entry.sha256[:12]}…",
            where=str(upload),
            hint="push the bundle again",
        )
