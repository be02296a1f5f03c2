"""The messages of pushing, activating and trusting bundles."""

from __future__ import annotations

import msgspec

from tartlet_shared.confirmation_messages import CONFIRM_S, ConfirmSeconds, Milliseconds
from tartlet_shared.manifest import FileEntry, Sha256
from tartlet_shared.message_base import Reply, Request
from tartlet_shared.signature import KeyId, TrustedKeys


class OfferRequest(Request, frozen=True, kw_only=True):
    """Here is a bundle's manifest; which of its files do you need?

    Attributes:
        signature: content of ``manifest.sig``; empty for none.
        allow_older: do not refuse it for being older than the bundle that serves.
    """

    manifest: bytes
    signature: bytes = b""
    allow_older: bool = True


class HaveRequest(Request, frozen=True, kw_only=True):
    """Do you have this bundle, complete and verified?"""

    digest: Sha256


class Have(Reply, frozen=True, kw_only=True):
    """Whether the bundle is stored, and whether it is the one that serves.

    Attributes:
        signed_by: id of the key that the stored one is signed with; empty for none.
        trusted: ids of the keys of which one must have signed a bundle; none where any is taken.
    """

    stored: bool
    active: bool
    signed_by: str = ""
    trusted: tuple[KeyId, ...] = ()


PARTIAL = ".part"
"""Ending of an upload that is not complete."""


class Arrived(msgspec.Struct, frozen=True, kw_only=True):
    """The beginning of a file, from an upload that broke off.

    Attributes:
        name: in the folder of uploads, ``<sha256 of the file>.<laptop>.part``.
        size: bytes of it.
        sha256: of these.
    """

    name: str
    size: int
    sha256: Sha256


class Wanted(Reply, frozen=True, kw_only=True):
    """Files to upload by SFTP into ``folder``, each under its SHA-256 as name.

    Attributes:
        arrived: what is there of them already.
    """

    digest: Sha256
    files: tuple[FileEntry, ...]
    folder: str
    arrived: tuple[Arrived, ...] = ()


class AcceptRequest(Request, frozen=True, kw_only=True):
    """The files of the offered bundle are uploaded: verify and store them."""

    digest: Sha256


class Accepted(Reply, frozen=True, kw_only=True):
    """The bundle is verified and stored; the active one is still the same."""

    digest: Sha256


class ActivateRequest(Request, frozen=True, kw_only=True):
    """Test a stored bundle on its golden pictures and, if they agree, let it serve.

    Attributes:
        confirm_s: it must be healthy for so long, or the device goes back; 0 confirms it now.
        latency_ms: an inference may take so long meanwhile, in the median; None for any time.
        allow_older: than the one that was confirmed last.
    """

    digest: Sha256
    confirm_s: ConfirmSeconds = CONFIRM_S
    latency_ms: Milliseconds | None = None
    allow_older: bool = False


class RollbackRequest(Request, frozen=True, kw_only=True):
    """Return to the model that served before."""


class SelfTest(msgspec.Struct, frozen=True, kw_only=True):
    """Golden pictures on this device against the laptop.

    Attributes:
        pictures, detections: how many were compared.
        box_difference_px: largest difference of a matched box's side, pixels of the picture.
        score_difference: largest difference of a matched score.
        inference_ms: median.
    """

    pictures: int
    detections: int
    box_difference_px: float
    score_difference: float
    inference_ms: float


class Activated(Reply, frozen=True, kw_only=True):
    """The bundle serves.

    Attributes:
        digest, previous: the bundle; what a rollback returns to.
        self_test: how it did on its golden pictures.
        confirmed: whether it is not on probation.
    """

    digest: Sha256
    previous: Sha256 | None
    self_test: SelfTest
    confirmed: bool = True


class TrustedRequest(Request, frozen=True, kw_only=True):
    """Whose bundles do you take?"""


class TrustRequest(Request, frozen=True, kw_only=True):
    """Take the bundles of others.

    Attributes:
        statement: a `tartlet_shared.signature.TrustedKeys` in its canonical bytes.
        signature: its record, by a key that the device trusts already, or by one of the first
            list.
    """

    statement: bytes
    signature: bytes


class Trusted(Reply, frozen=True, kw_only=True):
    """The list that holds."""

    keys: TrustedKeys
