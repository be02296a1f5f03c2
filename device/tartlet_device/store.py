"""Bundles on the device's disk, and which of them serves.

::

    bundles/<digest>/   verified bundles, never changed once they are there
    incoming/           uploads, each under its SHA-256; whoever may use the device may write here
    serving.json        the digests of the current and the previous bundle, in one file, so that
                        one rename changes both at once

All writing goes through one lock. A power cut at any moment leaves the state before or after.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from tartlet_device import files
from tartlet_shared import bundle as bundles
from tartlet_shared import errors, manifest
from tartlet_shared.bundle import Bundle
from tartlet_shared.manifest import FileEntry, Manifest, Sha256

_log = logging.getLogger(__name__)

KEPT_BUNDLES = 4
"""The newest so many stay, and always the current and the previous one."""
_OFFERS = 8  # manifests remembered between offer and accept
_MARGIN = 1 << 20  # bytes of free space beyond the sizes of the files
_ABANDONED_S = 3600.0
_TEMPORARY = ".new-"
_UPLOAD_MODE = 0o2770


class Serving(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which bundles serve.

    Attributes:
        current: digest of the bundle that was last activated.
        previous: digest of the one that a rollback returns to.
    """

    current: Sha256 | None = None
    previous: Sha256 | None = None


class Store:
    """The bundles of one device."""

    def __init__(self, root: Path) -> None:
        """Open or create a store, and sweep away what an interrupted push left behind."""
        self.incoming = root / "incoming"
        self._root = root
        self._bundles = root / "bundles"
        self._serving_file = root / "serving.json"
        self._offers: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._prepare()

    # -- which bundle serves

    def serving(self) -> Serving:
        """The digests that were committed last; none where the record is missing or damaged."""
        try:
            return msgspec.json.decode(self._serving_file.read_bytes(), type=Serving)
        except FileNotFoundError:
            return Serving()
        except msgspec.DecodeError as error:
            _log.error("%s is damaged (%s): no model is active", self._serving_file, error)
            return Serving()

    def activate(self, digest: str) -> Serving:
        """Commit a stored bundle as the current one; the current one becomes the previous.

        Raises:
            BundleNotOnDevice: it is not stored.
            StorageFull: the record cannot be written; the old one holds.
        """
        with self._lock:
            self._require(digest)
            before = self.serving()
            if before.current == digest:
                return before
            return self._commit(Serving(current=digest, previous=before.current))

    def roll_back(self) -> Serving:
        """Swap the current and the previous bundle.

        Raises:
            NothingToRollBackTo: there is no previous one.
        """
        with self._lock:
            before = self.serving()
            if before.previous is None:
                raise errors.NothingToRollBackTo(
                    "no model served before this one",
                    hint="push and activate another model with `tartlet push`",
                )
            self._require(before.previous)
            return self._commit(Serving(current=before.previous, previous=before.current))

    # -- bundles

    def open(self, digest: str) -> Bundle:
        """A stored bundle, verified now.

        Raises:
            BundleNotOnDevice: it is not stored.
            BundleCorrupt: it was damaged on the disk.
        """
        self._require(digest)
        return bundles.open_bundle(self._bundles / digest, expected_digest=digest)

    def has(self, digest: str) -> bool:
        """Whether the bundle is stored and undamaged."""
        try:
            self.open(digest)
        except (errors.BundleNotOnDevice, errors.BundleCorrupt):
            return False
        return True

    def offer(self, content: bytes) -> tuple[str, tuple[FileEntry, ...]]:
        """Remember a manifest; return its digest and the files that are not on this device yet.

        Raises:
            BundleCorrupt: it is not a manifest.
            StorageFull: the files would not fit.
        """
        parsed = manifest.decode(content)
        with self._lock:
            self._sweep_abandoned()
            stored = self._stored_files()
            wanted = {entry.sha256: entry for entry in parsed.files if not _intact(stored, entry)}
            # Uploaded once and copied once: the upload must stay until the bundle is complete.
            self._check_space(2 * sum(entry.size for entry in wanted.values()))
            digest = manifest.digest(content)
            self._offers.pop(digest, None)
            while len(self._offers) >= _OFFERS:
                del self._offers[next(iter(self._offers))]
            self._offers[digest] = content
        return digest, tuple(wanted.values())

    def accept(self, digest: str) -> Bundle:
        """Put an offered bundle together, verify it and store it. Nothing serves from it yet.

        Whatever happens, its uploads are gone afterwards and no half bundle is left.

        Raises:
            BundleNotOnDevice: it was not offered since the daemon started.
            BundleCorrupt: a file is missing or is not what the manifest says.
            StorageFull: the disk is full.
        """
        with self._lock:
            if digest not in self._offers:
                raise errors.BundleNotOnDevice(
                    f"bundle {digest[:12]} was not offered, or the daemon started again since",
                    hint="push it again",
                )
            if self.has(digest):
                return self.open(digest)
            content = self._offers[digest]
            parsed = manifest.decode(content)
            needed = sum(entry.size for entry in parsed.files)
            try:
                with files.full_disk_named(self._root, needed):
                    stored = self._assemble(digest, content, parsed)
            finally:
                for entry in parsed.files:
                    self._discard_upload(entry)
            del self._offers[digest]
            self._prune(digest)
            return stored

    # -- files of no bundle

    def missing(self, entries: Sequence[FileEntry]) -> tuple[str, ...]:
        """SHA-256 of the files that are in no stored bundle and must be uploaded.

        Raises:
            StorageFull: they would not fit.
        """
        with self._lock:
            self._sweep_abandoned()
            stored = self._stored_files()
            wanted = {each.sha256: each.size for each in entries if not _intact(stored, each)}
            self._check_space(2 * sum(wanted.values()))
        return tuple(wanted)

    @contextlib.contextmanager
    def borrowed(self, entries: Sequence[FileEntry]) -> Iterator[Path]:
        """A folder with uploaded or stored files, verified; the files and their uploads are gone
        when the context ends.

        Raises:
            BundleCorrupt: a file is missing or is not what its entry says.
            StorageFull: the disk is full.
        """
        with self._temporary_folder() as folder:
            try:
                needed = sum(entry.size for entry in entries)
                with self._lock, files.full_disk_named(self._root, needed):
                    stored = self._stored_files()
                    for entry in entries:
                        (folder / entry.name).parent.mkdir(exist_ok=True)
                        self._place(entry, folder, stored)
                yield folder
            finally:
                for entry in entries:
                    self._discard_upload(entry)

    # -- inside

    def _prepare(self) -> None:
        for folder in (self._root, self._bundles, self.incoming):
            folder.mkdir(parents=True, exist_ok=True)
        self._open_for_uploads()
        for leftover in (
            *self._root.glob(".*.new"),
            *self._bundles.glob(f"{_TEMPORARY}*"),
            *self.incoming.iterdir(),
        ):
            _log.info("removing %s, left by an interrupted push", leftover)
            _remove(leftover)

    def _sweep_abandoned(self) -> None:
        """Remove uploads whose laptop has gone: nothing was written to them for an hour."""
        for upload in self.incoming.iterdir():
            with contextlib.suppress(OSError):
                if time.time() - upload.lstat().st_mtime > _ABANDONED_S:
                    _log.info("removing %s, an abandoned upload", upload)
                    _remove(upload)

    def _open_for_uploads(self) -> None:
        """Let the group that may talk to the daemon upload, and keep that readable to the daemon.

        A hardened service may not set the set-gid bit; setup_pi.sh has set it then.
        """
        if self.incoming.stat().st_mode & 0o7777 == _UPLOAD_MODE:
            return
        try:
            self.incoming.chmod(_UPLOAD_MODE)
        except PermissionError:
            with contextlib.suppress(PermissionError):
                self.incoming.chmod(_UPLOAD_MODE & 0o777)

    def _require(self, digest: str) -> None:
        if not (self._bundles / digest / manifest.MANIFEST_NAME).is_file():
            raise errors.BundleNotOnDevice(
                f"bundle {digest[:12]} is not on this device",
                where=str(self._bundles),
                hint="push it first with `tartlet push`",
            )

    def _commit(self, serving: Serving) -> Serving:
        content = msgspec.json.encode(serving)
        with files.full_disk_named(self._root, len(content)):
            files.write_atomically(self._serving_file, content)
        return serving

    def _stored_files(self) -> dict[str, Path]:
        """SHA-256 -> path of every file of every stored bundle, as their manifests say."""
        found: dict[str, Path] = {}
        for folder in self._bundles.iterdir():
            if folder.name.startswith(_TEMPORARY):
                continue
            try:
                entries = manifest.decode(bundles.read_manifest(folder)).files
            except errors.BundleCorrupt as error:
                _log.warning("ignoring a stored bundle: %s", error)
                continue
            found.update({entry.sha256: folder / entry.name for entry in entries})
        return found

    def _assemble(self, digest: str, content: bytes, parsed: Manifest) -> Bundle:
        target = self._bundles / digest
        with self._temporary_folder() as folder:
            folder.chmod(0o755)
            stored = self._stored_files()
            files.write_synced(folder / manifest.MANIFEST_NAME, content)
            for entry in parsed.files:
                (folder / entry.name).parent.mkdir(exist_ok=True)
                self._place(entry, folder, stored)
            for written in {(folder / entry.name).parent for entry in parsed.files} | {folder}:
                files.sync_folder(written)
            if target.exists():
                # Damaged, else there would be nothing to do: out of the way, to be removed.
                target.rename(folder.with_name(folder.name + "-old"))
            folder.rename(target)
        files.sync_folder(self._bundles)
        return bundles.open_bundle(target, expected_digest=digest)

    def _place(self, entry: FileEntry, folder: Path, stored: dict[str, Path]) -> None:
        """Bring one file into the new bundle: from the upload, else from another bundle."""
        target, upload = folder / entry.name, self.incoming / entry.sha256
        try:
            measured = files.copy_hashed(upload, target)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            if error.errno == errno.ENOENT and _intact(stored, entry):
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

    @contextlib.contextmanager
    def _temporary_folder(self) -> Iterator[Path]:
        folder = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=self._bundles))
        try:
            yield folder
        finally:
            files.remove_folder(folder)
            files.remove_folder(folder.with_name(folder.name + "-old"))

    def _discard_upload(self, entry: FileEntry) -> None:
        _remove(self.incoming / entry.sha256)

    def _check_space(self, needed: int) -> None:
        if needed and files.free_bytes(self._root) < needed + _MARGIN:
            raise files.storage_full(self._root, needed + _MARGIN)

    def _prune(self, newest: str) -> None:
        """Remove the oldest bundles beyond `KEPT_BUNDLES`."""
        serving = self.serving()
        keep = {newest, serving.current, serving.previous}
        folders = [each for each in self._bundles.iterdir() if not each.name.startswith(".")]
        folders.sort(key=lambda folder: folder.stat().st_mtime_ns, reverse=True)
        for folder in folders[KEPT_BUNDLES:]:
            if folder.name not in keep:
                _log.info("removing the old bundle %s", folder.name[:12])
                # First out of sight: a bundle half removed must not look like one.
                doomed = folder.with_name(f"{_TEMPORARY}{folder.name}")
                folder.rename(doomed)
                files.remove_folder(doomed)


def _intact(stored: dict[str, Path], entry: FileEntry) -> bool:
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


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        files.remove_folder(path)
        return
    with contextlib.suppress(OSError):
        path.unlink()
