"""Only what a trusted key signed for this purpose passes, to the bit."""

from __future__ import annotations

import sys

import msgspec
import pytest

from tartlet_shared import canonical, errors, signature
from tartlet_shared.signature import MANIFEST_PURPOSE, TRUST_PURPOSE, Signature, TrustedKeys
from tests.signing_keys import private, public, signed, trusted

CONTENT = b"a manifest's bytes"


def test_what_a_trusted_key_signed_passes() -> None:
    keys = trusted(1, 2)
    for number in (1, 2):
        found = signature.verify(CONTENT, signed(CONTENT, number), MANIFEST_PURPOSE, keys)
        assert found == public(number)


def test_the_vector_of_rfc_8032() -> None:
    """Section 7.1, test 1: an empty message, so that the curve and not the library is tested."""
    key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    made = (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd"
        "25bf5f0595bbe24655141438e7a100b"
    )
    keys = TrustedKeys(
        device="0" * 32, version=1, keys=(signature.PublicKey(name="rfc", public=key),)
    )
    record = canonical.encode(Signature(key=keys.keys[0].id, signature=made))
    assert signature.verify(b"", record, b"", keys).name == "rfc"


@pytest.mark.parametrize(
    ("content", "record", "said"),
    [
        (CONTENT, b"", "not signed"),
        (CONTENT, signed(CONTENT, 3), "only what key1"),
        (CONTENT + b" ", signed(CONTENT, 1), "something else"),
        (CONTENT, signed(b"another manifest", 1), "something else"),
        (CONTENT, signed(CONTENT, 1, TRUST_PURPOSE), "something else"),
        (CONTENT, signed(MANIFEST_PURPOSE + CONTENT, 1, b""), None),
        # somebody else's signature under the name of a trusted key
        (
            CONTENT,
            canonical.encode(
                Signature(
                    key=public(1).id, signature=signature.decode(signed(CONTENT, 3)).signature
                )
            ),
            "something else",
        ),
        (CONTENT, canonical.encode(Signature(key=public(1).id, signature="0" * 128)), "else"),
    ],
)
def test_anything_else_is_refused(content: bytes, record: bytes, said: str | None) -> None:
    if said is None:  # the purpose is nothing but a beginning of what is signed
        signature.verify(content, record, MANIFEST_PURPOSE, trusted(1, 2))
        return
    with pytest.raises(errors.BundleUntrusted, match=said):
        signature.verify(content, record, MANIFEST_PURPOSE, trusted(1, 2))


def test_every_bit_counts() -> None:
    record, keys = signed(CONTENT, 1), trusted(1)
    refused = 0
    for place in range(8 * len(record)):
        flipped = bytearray(record)
        flipped[place // 8] ^= 1 << place % 8
        with pytest.raises((errors.BundleUntrusted, errors.BundleCorrupt)):
            signature.verify(CONTENT, bytes(flipped), MANIFEST_PURPOSE, keys)
        refused += 1
    for place in range(8 * len(CONTENT)):
        changed = bytearray(CONTENT)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(errors.BundleUntrusted):
            signature.verify(bytes(changed), record, MANIFEST_PURPOSE, keys)
        refused += 1
    assert refused == 8 * (len(record) + len(CONTENT))


@pytest.mark.parametrize(
    "record",
    [
        b"{}",
        b"\x00" * 100,
        b"[" * 1000,
        b" " * (signature.LIMIT + 1),
        signed(CONTENT, 1)[:-1],
        signed(CONTENT, 1) + b"\n",
        signed(CONTENT, 1).replace(b'"format": 1', b'"format": 1,\n "format": 1'),
        signed(CONTENT, 1).replace(b'"format": 1', b'"format": 2'),
        signed(CONTENT, 1).upper(),
    ],
)
def test_a_record_in_another_form_is_refused(record: bytes) -> None:
    with pytest.raises(errors.BundleCorrupt, match=signature.SIGNATURE_NAME):
        signature.verify(CONTENT, record, MANIFEST_PURPOSE, trusted(1))


def test_a_key_is_trusted_once() -> None:
    twice = msgspec.to_builtins(trusted(1))
    twice["keys"] *= 2
    with pytest.raises(msgspec.ValidationError, match="twice"):
        msgspec.convert(twice, TrustedKeys)


def test_without_the_library_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = signed(CONTENT, 1)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    with pytest.raises(errors.DeviceError) as caught:
        signature.verify(CONTENT, record, MANIFEST_PURPOSE, trusted(1))
    assert "python3-cryptography" in caught.value.hint


def test_the_private_half_is_not_in_the_record() -> None:
    assert private(1).private_bytes_raw().hex().encode() not in signed(CONTENT, 1)
