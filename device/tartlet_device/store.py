"""Bundles on the device's disk, which of them serves, and whose are taken.

::

    bundles/<digest>/   see `tartlet_device.stored_bundles`
    incoming/           uploads, see `tartlet_device.uploads`; whoever may use the device may write
    serving.json        which bundle serves, see `tartlet_device.serving`
    trusted-keys.json   whose bundles are taken, see `tartlet_device.trust`

All writing goes through one lock. A power cut at any moment leaves the state before or after.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tartlet_device import files
from tartlet_device.serving import Probation, Serving
from tartlet_device.serving_file import ServingFile
from tartlet_device.stored_bundles import StoredBundles, intact
from tartlet_device.trust import Trust, check_signed
from tartlet_device.uploads import ABANDONED_S, IN_THE_WAY_S, Uploads, remove
from tartlet_shared import errors, manifest, signature
from tartlet_shared.bundle import Bundle
from tartlet_shared.manifest import FileEntry, Manifest
from tartlet_shared.push_messages import Arrived
from tartlet_shared.signature import TrustedKeys

_log = logging.getLogger(__name__)

_OFFERS = 8  # manifests remembered between offer and accept
_MARGIN = 1 << 20  # bytes of free space beyond the sizes of the files


@dataclass(frozen=True)
class _Offer:
    """A manifest that a laptop showed, its signature, and when on the monotonic clock."""

    content: bytes
    record: bytes
    at_s: float


class Store:
    """The bundles of one device."""

    def __init__(self, root: Path) -> None:
        """Open or create a store, and sweep away what an interrupted change left behind."""
        self._root = root
        self._lock = threading.Lock()
        self._offers: dict[str, _Offer] = {}
        self._trust = Trust(root)
        self._stored = StoredBundles(root / "bundles", self._trust.check)
        for leftover in root.glob(".*.new"):
            remove(leftover)
        self._serving = ServingFile(root)
        self._uploads = Uploads(root / "incoming")

    @property
    def incoming(self) -> Path:
        """Where laptops upload to."""
        return self._uploads.folder

    # -- which bundle serves

    def serving(self) -> Serving:
        """The digests that were committed last; none where the record is missing or damaged."""
        return self._serving.read()

    def activate(
        self, digest: str, probation: Probation | None = None, *, allow_older: bool = False
    ) -> Serving:
        """Commit a stored bundle as the current one; see `Serving.activated`.

        Args:
            digest: of a bundle that was tested.
            probation: what it must do to be confirmed; None confirms it now.
            allow_older: than the one that was confirmed last.

        Raises:
            BundleNotOnDevice: it is not stored.
            BundleUntrusted, ReleaseOlder: see `check_release`.
            StorageFull: the record cannot be written; the old one holds.
        """
        offered = self.manifest(digest)

        def step(before: Serving) -> Serving:
            if before.current != digest and not allow_older:
                self._refuse_older(offered, before)
            return before.activated(digest, probation)

        return self._change(step)

    def check_release(self, digest: str) -> None:
        """Refuse a stored bundle that `activate` would refuse for its age.

        Raises:
            BundleNotOnDevice, BundleCorrupt, BundleUntrusted: see `manifest`.
            ReleaseOlder: it is older than the one that was confirmed last.
        """
        serving = self.serving()
        if serving.current != digest:
            self._refuse_older(self.manifest(digest), serving)

    def confirm(self, digest: str) -> Serving:
        """The current bundle was healthy for long enough; see `Serving.confirmed`.

        Raises:
            StorageFull: as `activate`.
        """
        return self._change(lambda before: before.confirmed(digest))

    def count_start(self) -> Serving:
        """The daemon starts; see `Serving.started`.

        Raises:
            StorageFull: as `activate`.
        """
        return self._change(Serving.started)

    def leave(self, digest: str, why: str) -> Serving:
        """Go back from a bundle that is not healthy; see `Serving.left`.

        Raises:
            StorageFull: as `activate`.
        """
        return self._change(lambda before: before.left(digest, why))

    def roll_back(self) -> Serving:
        """Swap the current and the previous bundle.

        Raises:
            NothingToRollBackTo: there is no previous one.
            BundleNotOnDevice, StorageFull: as `activate`.
        """

        def swapped(before: Serving) -> Serving:
            after = before.rolled_back()
            if after.current is not None:
                self._stored.require(after.current)
            return after

        return self._change(swapped)

    # -- bundles

    def open(self, digest: str) -> Bundle:
        """A stored bundle, verified now; see `StoredBundles.open`."""
        return self._stored.open(digest)

    def manifest(self, digest: str) -> Manifest:
        """The manifest of a stored bundle; see `StoredBundles.manifest`."""
        return self._stored.manifest(digest)

    def signed_by(self, digest: str) -> str:
        """Id of the key that a stored bundle claims to be signed with; empty for none."""
        return self._stored.signed_by(digest)

    def has(self, digest: str) -> bool:
        """Whether the bundle is stored, undamaged and, where keys are trusted, signed."""
        try:
            self.open(digest)
        except (errors.BundleNotOnDevice, errors.BundleCorrupt, errors.BundleUntrusted):
            return False
        return True

    def offer(
        self, content: bytes, record: bytes = b"", *, allow_older: bool = True
    ) -> tuple[str, tuple[FileEntry, ...]]:
        """Remember a manifest; return its digest and the files that are not on this device yet.

        Args:
            content: the manifest.
            record: its signature's; empty for none.
            allow_older: than the bundle that was confirmed last; `activate` asks again.

        Raises:
            BundleUntrusted: none of the trusted keys signed it.
            BundleCorrupt: it is not a manifest, or the signature's record is none.
            ReleaseOlder: see `activate`.
            StorageFull: the files would not fit.
        """
        self._trust.check(content, record)
        if record:
            signature.decode(record)
        parsed = manifest.decode(content)
        if not allow_older:
            self._refuse_older(parsed, self.serving())
        with self._lock:
            wanted = self._wanted(parsed.files, self._stored.files())
            digest = manifest.digest(content)
            self._offers.pop(digest, None)
            while len(self._offers) >= _OFFERS:
                del self._offers[next(iter(self._offers))]
            self._offers[digest] = _Offer(content, record, time.monotonic())
        return digest, wanted

    def arrived(self, entries: Sequence[FileEntry]) -> tuple[Arrived, ...]:
        """What is here of files that are wanted, from uploads that broke off."""
        return self._uploads.arrived(entries)

    def accept(self, digest: str) -> Bundle:
        """Put an offered bundle together, verify it and store it. Nothing serves from it yet.

        Whatever happens, its uploads are gone afterwards: one that is wrong must be sent again.

        Raises:
            BundleNotOnDevice: it was not offered since the daemon started.
            BundleUntrusted: the trusted keys have changed since.
            BundleCorrupt: a file is missing or is not what the manifest says.
            StorageFull: the disk is full.
        """
        with self._lock:
            offer = self._offers.get(digest)
            if offer is None:
                return self._accepted_before(digest)
            self._trust.check(offer.content, offer.record)
            parsed = manifest.decode(offer.content)
            with self._uploads_used_up(parsed.files):
                if self._stored.sign_again(digest, offer.record):
                    stored = self.open(digest)
                else:
                    with files.disk_faults_named(self._root, _size(parsed.files)):
                        stored = self._stored.assemble(
                            offer.content, offer.record, parsed, self.incoming
                        )
            del self._offers[digest]
            serving = self.serving()
            self._stored.prune({digest, serving.current, serving.previous, *self._lenders()})
            return stored

    # -- files of no bundle

    def missing(self, entries: Sequence[FileEntry]) -> tuple[str, ...]:
        """SHA-256 of the files that are in no stored bundle and must be uploaded.

        Raises:
            BundleUntrusted: only signed bundles are taken, and one is in none.
            StorageFull: they would not fit.
        """
        with self._lock:
            stored = self._stored.files()
            self._refuse_strangers(entries, stored)
            return tuple(entry.sha256 for entry in self._wanted(entries, stored))

    @contextlib.contextmanager
    def borrowed(self, entries: Sequence[FileEntry]) -> Iterator[Path]:
        """A folder with uploaded or stored files, verified; the files and their uploads are gone
        when the context ends.

        Raises:
            BundleCorrupt: a file is missing or is not what its entry says.
            BundleUntrusted: only signed bundles are taken, and one is in none.
            StorageFull: the disk is full.
        """
        with self._stored.temporary_folder() as folder, self._uploads_used_up(entries):
            with self._lock, files.disk_faults_named(self._root, _size(entries)):
                self._refuse_strangers(entries, self._stored.files())
                self._stored.collect(entries, folder, self.incoming)
            yield folder

    # -- whose bundles are taken

    def trusted(self) -> TrustedKeys:
        """The keys of which one must have signed a bundle; none where any bundle is taken.

        Raises:
            BundleUntrusted: the list is damaged.
        """
        return self._trust.keys()

    def trust(self, statement: bytes, record: bytes) -> TrustedKeys:
        """Let another list of keys hold; see `Trust.accepted`.

        Raises:
            BundleUntrusted: also where none of these keys signed the bundle that serves, which
                would be gone after the next start; or the one before, while it is on probation.
        """
        with self._lock:
            after = self._trust.accepted(statement, record)
            serving = self.serving()
            needed = {serving.current, serving.confirmed_digest} - {None}
            for digest in needed if after.keys else ():
                self._require_signed(str(digest), after)
            self._trust.store(after)
        return after

    # -- inside

    def _change(self, step: Callable[[Serving], Serving]) -> Serving:
        with self._lock:
            return self._serving.change(step)

    def _refuse_older(self, offered: Manifest, serving: Serving) -> None:
        """Where the confirmed one is damaged, none is refused."""
        if serving.confirmed_digest is None:
            return
        try:
            confirmed = self.manifest(serving.confirmed_digest)
        except errors.TartletError as error:
            _log.warning("the release that was confirmed is unknown: %s", error)
            return
        if offered.released < confirmed.released:
            raise errors.ReleaseOlder(
                f"release {offered.released or 'without a number'} is older than release "
                f"{confirmed.released}, which was confirmed",
                where=offered.name,
                hint="`tartlet rollback` returns to the model before; to let this one serve all "
                "the same: `tartlet push --allow-older`",
            )

    def _accepted_before(self, digest: str) -> Bundle:
        """Two laptops may push the same."""
        if not self.has(digest):
            raise errors.BundleNotOnDevice(
                f"bundle {digest[:12]} was not offered, or the daemon started again since",
                hint="push it again",
            )
        stored = self.open(digest)
        with self._uploads_used_up(stored.manifest.files):
            return stored

    @contextlib.contextmanager
    def _uploads_used_up(self, entries: Sequence[FileEntry]) -> Iterator[None]:
        try:
            yield
        finally:
            for entry in entries:
                self._uploads.discard(entry)

    def _wanted(
        self, entries: Sequence[FileEntry], stored: Mapping[str, Path]
    ) -> tuple[FileEntry, ...]:
        """Files that are neither in a bundle nor uploaded, each once; there is room for them."""
        self._uploads.sweep(ABANDONED_S)
        absent = {each.sha256: each for each in entries if not intact(stored, each)}
        wanted = tuple(each for each in absent.values() if not self._uploads.whole(each))
        # Uploaded once and copied once: the upload must stay until the bundle is complete.
        needed = _size(absent.values()) + sum(
            each.size - self._uploads.begun(each) for each in wanted
        )
        if needed and files.free_bytes(self._root) < needed + _MARGIN:
            self._uploads.sweep(IN_THE_WAY_S, spared=absent)
            if files.free_bytes(self._root) < needed + _MARGIN:
                raise files.storage_full(self._root, needed + _MARGIN)
        return wanted

    def _lenders(self) -> set[str]:
        """Bundles with files that one in transfer counts on."""
        since = time.monotonic() - IN_THE_WAY_S
        offers = (each.content for each in self._offers.values() if each.at_s > since)
        return self._stored.holding(
            {entry.sha256 for each in offers for entry in manifest.decode(each).files}
        )

    def _require_signed(self, digest: str, trusted: TrustedKeys) -> None:
        try:
            self._stored.manifest(digest, lambda content, it: check_signed(content, it, trusted))
        except errors.BundleError as error:
            raise errors.BundleUntrusted(
                f"the model that serves would not be trusted with these keys: {error}",
                where=digest[:12],
                hint="push it, or a newer one, signed with one of them (`tartlet push --sign`), "
                "then change the keys",
            ) from error

    def _refuse_strangers(self, entries: Sequence[FileEntry], stored: Mapping[str, Path]) -> None:
        """A model to be timed runs here too: where keys are trusted, it must be of a bundle."""
        strange = [each.name for each in entries if each.sha256 not in stored]
        if strange and self._trust.keys().keys:
            raise errors.BundleUntrusted(
                f"{strange[0]} is in no signed bundle of this device",
                hint="push its bundle with `tartlet push --sign --no-activate`, then time it",
            )


def _size(entries: Iterable[FileEntry]) -> int:
    return sum(entry.size for entry in entries)
