"""Ed25519 signatures of manifests and of lists of trusted keys (RFC 8032).

What is signed starts with a text of its own, so that a signature for one purpose is none for
another. ``cryptography`` is imported only where something is signed or checked: a device without
trusted keys needs none.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from tartlet_shared import canonical, errors
from tartlet_shared.tensor import Record

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SIGNATURE_NAME = "manifest.sig"
LIMIT = 1024
"""Bytes of a signature's record."""
MANIFEST_PURPOSE = b"tartlet manifest 1\n"
TRUST_PURPOSE = b"tartlet trusted keys 1\n"
MOST_KEYS = 16
"""A device trusts at most so many."""

KeyId = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}\\Z")]
Public = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}\\Z")]
KEY_NAME = r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}"


class Signature(Record, frozen=True):
    """A signature and whose it is.

    Attributes:
        key: `key_id` of the public key, which only says which key to try.
        signature: 64 bytes, hex.
    """

    key: KeyId
    signature: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{128}\\Z")]
    format: Literal[1] = 1


class PublicKey(Record, frozen=True):
    """A public key.

    Attributes:
        name: for people.
        public: 32 bytes, hex.
    """

    name: Annotated[str, msgspec.Meta(pattern=f"^{KEY_NAME}\\Z")]
    public: Public

    @property
    def id(self) -> str:
        """SHA-256 of the public key, hex."""
        return key_id(bytes.fromhex(self.public))


class TrustedKeys(Record, frozen=True):
    """Whose bundles a device takes, as one signed statement.

    Attributes:
        device: a number that the device drew by lot, so that this holds for no other device.
        version: one more than the list before, so that an old list is not taken again.
        keys: none means that no signature is asked for.
    """

    device: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}\\Z")]
    version: Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
    keys: Annotated[tuple[PublicKey, ...], msgspec.Meta(max_length=MOST_KEYS)]

    def __post_init__(self) -> None:
        if len({each.public for each in self.keys}) != len(self.keys):
            raise ValueError("a key is listed twice")

    def find(self, key: str) -> PublicKey | None:
        """The key of that id."""
        return next((each for each in self.keys if each.id == key), None)


def key_id(public: bytes) -> str:
    """What a public key is called: SHA-256 of its 32 bytes, hex."""
    return hashlib.sha256(public).hexdigest()


def sign(content: bytes, purpose: bytes, private: Ed25519PrivateKey) -> bytes:
    """The record of a signature over ``content``, as it is stored and sent."""
    public = private.public_key().public_bytes_raw()
    return canonical.encode(
        Signature(key=key_id(public), signature=private.sign(purpose + content).hex())
    )


def decode(record: bytes) -> Signature:
    """Parse a signature's record.

    Raises:
        BundleCorrupt: it is none.
    """
    return canonical.decode(
        record,
        Signature,
        where=SIGNATURE_NAME,
        limit=LIMIT,
        hint="push the bundle again with `tartlet push --sign`",
    )


def verify(content: bytes, record: bytes, purpose: bytes, trusted: TrustedKeys) -> PublicKey:
    """Check that one of the trusted keys signed ``content`` for this purpose.

    Args:
        content: what was signed, not yet parsed.
        record: as `sign` gives it; empty for none.
        purpose: what it was signed for.
        trusted: whose signatures count.

    Returns:
        The key that signed.

    Raises:
        BundleUntrusted: there is no signature, its key is not trusted, or it is not for this
            content.
        BundleCorrupt: the record is damaged.
        DeviceError: signatures cannot be checked here.
    """
    known = ", ".join(f"{each.name} {each.id[:12]}" for each in trusted.keys)
    if not record:
        raise errors.BundleUntrusted(
            f"it is not signed, and only what {known} signed is taken",
            hint="sign it with one of these keys: `tartlet push --sign`",
        )
    found = decode(record)
    key = trusted.find(found.key)
    if key is None:
        raise errors.BundleUntrusted(
            f"it is signed by the key {found.key[:12]}, and only what {known} signed is taken",
            hint="sign it with a key that the device trusts: `tartlet push --sign`; or let "
            "somebody whom it trusts add yours: `tartlet key trust`",
        )
    if not _is_valid(bytes.fromhex(key.public), bytes.fromhex(found.signature), purpose + content):
        raise errors.BundleUntrusted(
            f"the signature of {key.name} is for something else, or one of both was changed",
            hint="sign it again: `tartlet push --sign`",
        )
    return key


def require_library() -> None:
    """Say now rather than later that signatures cannot be checked here.

    Raises:
        DeviceError: ``cryptography`` is not installed, or does not load.
    """
    try:
        import cryptography.hazmat.primitives.asymmetric.ed25519  # noqa: F401
    except ImportError as error:
        raise errors.DeviceError(
            f"signatures cannot be checked here: {error}",
            where="cryptography",
            hint="on the device: sudo apt install python3-cryptography",
        ) from error


def _is_valid(public: bytes, signature: bytes, message: bytes) -> bool:
    require_library()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
