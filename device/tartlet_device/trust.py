"""Whose bundles this device takes: ``trusted-keys.json`` in the store.

Without the file, or with an empty list in it, any bundle is taken. The first list is taken from
whoever may talk to the daemon; every later one must be signed by a key of the one before. One file,
so that one rename changes all of it.
"""

from __future__ import annotations

import logging
import secrets
from pathlib import Path

from tartlet_device import files
from tartlet_shared import canonical, errors, signature
from tartlet_shared.signature import PublicKey, TrustedKeys

_log = logging.getLogger(__name__)

FILE_NAME = "trusted-keys.json"
LIMIT = 8192
"""Bytes of the list."""


class Trust:
    """The keys that this device trusts. Changes must not run at the same time."""

    def __init__(self, root: Path) -> None:
        """
        Args:
            root: the store's folder.
        """
        self._path = root / FILE_NAME
        self._drawn = secrets.token_hex(16)

    def keys(self) -> TrustedKeys:
        """The list that holds now.

        Raises:
            BundleUntrusted: it is damaged; then nothing is trusted.
        """
        try:
            with self._path.open("rb") as stream:
                content = stream.read(LIMIT + 1)
        except FileNotFoundError:
            return TrustedKeys(device=self._drawn, version=0, keys=())
        except OSError as error:
            raise self._damaged(error.strerror or str(error)) from error
        try:
            return _decode(content, str(self._path))
        except errors.BundleCorrupt as error:
            raise self._damaged(error.what) from error

    def check(self, manifest: bytes, record: bytes) -> None:
        """Refuse a bundle that none of the keys signed, where there are keys.

        Args:
            manifest: the manifest's bytes, not yet parsed.
            record: of its signature; empty for none.

        Raises:
            BundleUntrusted, BundleCorrupt, DeviceError: see `tartlet_shared.signature.verify`.
        """
        check_signed(manifest, record, self.keys())

    def accepted(self, statement: bytes, record: bytes) -> TrustedKeys:
        """Check another list, which is not yet stored.

        Args:
            statement: a `TrustedKeys`, canonical.
            record: its signature, by a key of the list that holds; of the first list, by one of
                its own, so that nobody shuts himself out with a key that he does not have.

        Raises:
            BundleUntrusted: nobody signed it who may, or it does not follow on the one that holds.
            BundleCorrupt: it is no such list.
            DeviceError: signatures cannot be checked here.
        """
        before = self.keys()
        if before.keys:
            self._verify(statement, record, before)
        after = _decode(statement, "the list of keys")
        if not before.keys:
            self._verify(statement, record, after)
        if (after.device, after.version) != (before.device, before.version + 1):
            raise errors.BundleUntrusted(
                f"list {after.version} of trusted keys does not follow on list {before.version} "
                "of this device",
                hint="somebody changed it at the same time, or the daemon started again: look with "
                "`tartlet key list`, then try again",
            )
        return after

    def store(self, accepted: TrustedKeys) -> None:
        """Let a list hold that `accepted` returned.

        Raises:
            StorageFull: it cannot be written; the old one holds.
        """
        content = canonical.encode(accepted)
        with files.disk_faults_named(self._path.parent, len(content)):
            files.write_atomically(self._path, content)
        _log.warning("trusted keys are now: %s", _names(accepted.keys) or "none")

    def _verify(self, statement: bytes, record: bytes, keys: TrustedKeys) -> None:
        if not keys.keys:
            raise errors.BundleUntrusted("the list of trusted keys is empty and was empty before")
        signature.verify(statement, record, signature.TRUST_PURPOSE, keys)

    def _damaged(self, why: str) -> errors.BundleUntrusted:
        return errors.BundleUntrusted(
            f"the list of trusted keys is damaged ({why}), so no bundle can be trusted",
            where=str(self._path),
            hint="on the device: sudo rm that file, then `tartlet key trust` it again",
        )


def check_signed(manifest: bytes, record: bytes, trusted: TrustedKeys) -> None:
    """`Trust.check` with given keys."""
    if trusted.keys:
        signature.verify(manifest, record, signature.MANIFEST_PURPOSE, trusted)


def _decode(content: bytes, where: str) -> TrustedKeys:
    return canonical.decode(
        content, TrustedKeys, where=where, limit=LIMIT, hint="make it with `tartlet key trust`"
    )


def _names(keys: tuple[PublicKey, ...]) -> str:
    return ", ".join(f"{each.name} {each.id[:12]}" for each in keys)
