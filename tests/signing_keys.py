"""Key pairs without files, for tests."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tartlet_shared import canonical, signature
from tartlet_shared.signature import PublicKey, TrustedKeys


def private(number: int) -> Ed25519PrivateKey:
    """The same one for the same number."""
    return Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)


def public(number: int) -> PublicKey:
    return PublicKey(
        name=f"key{number}", public=private(number).public_key().public_bytes_raw().hex()
    )


def trusted(*numbers: int, device: str = "0" * 32, version: int = 1) -> TrustedKeys:
    return TrustedKeys(device=device, version=version, keys=tuple(public(each) for each in numbers))


def signed(content: bytes, number: int, purpose: bytes = signature.MANIFEST_PURPOSE) -> bytes:
    return signature.sign(content, purpose, private(number))


def statement(after: TrustedKeys, signer: int) -> tuple[bytes, bytes]:
    """A list of keys and the record of its signature."""
    content = canonical.encode(after)
    return content, signed(content, signer, signature.TRUST_PURPOSE)
