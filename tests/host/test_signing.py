"""Key pairs on disk: private to their owner, never replaced, damaged ones refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tartlet_host import signing
from tartlet_host.remote import trust
from tartlet_shared import errors, signature
from tartlet_shared.push_messages import Have
from tartlet_shared.signature import MOST_KEYS, TrustedKeys
from tests.signing_keys import public, trusted


def check(key: signing.SigningKey, record: bytes, content: bytes = b"content") -> None:
    keys = TrustedKeys(device="0" * 32, version=1, keys=(key.public,))
    signature.verify(content, record, signature.MANIFEST_PURPOSE, keys)


@pytest.mark.parametrize("passphrase", ["", "a pie for tea"])
def test_a_key_signs_after_it_was_loaded_again(tmp_path: Path, passphrase: str) -> None:
    made = signing.create(tmp_path / "keys", "workshop", passphrase)
    loaded = signing.load_all(tmp_path / "keys")["workshop"]
    assert loaded == made
    assert loaded.encrypted == bool(passphrase)
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return passphrase

    check(loaded, loaded.sign(b"content", signature.MANIFEST_PURPOSE, ask))
    assert len(asked) == bool(passphrase)
    if passphrase:
        with pytest.raises(errors.ConfigError, match="passphrase is wrong"):
            loaded.sign(b"content", signature.MANIFEST_PURPOSE, lambda prompt: "cake")
        with pytest.raises(errors.ConfigError, match="nobody is here"):
            loaded.sign(b"content", signature.MANIFEST_PURPOSE)


@pytest.mark.skipif(os.name == "nt", reason="no such bits")
def test_the_private_key_is_for_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = signing.create(tmp_path / "keys", "workshop")
    finally:
        os.umask(before)
    assert made.path.stat().st_mode & 0o777 == 0o600
    assert made.path.parent.stat().st_mode & 0o777 == 0o700
    made.path.chmod(0o640)
    with pytest.raises(errors.ConfigError, match="others may read") as caught:
        made.sign(b"content", signature.MANIFEST_PURPOSE)
    assert "chmod 600" in caught.value.hint


@pytest.mark.parametrize("name", ["", "..", "../key", "a/b", "-key", "a b", "k" * 64, "key\n"])
def test_a_name_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    with pytest.raises(errors.UsageError):
        signing.create(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_a_key_is_never_replaced(tmp_path: Path) -> None:
    made = signing.create(tmp_path, "workshop")
    content = made.path.read_bytes()
    with pytest.raises(errors.UsageError, match="already"):
        signing.create(tmp_path, "workshop")
    assert made.path.read_bytes() == content


def test_damaged_and_exchanged_files_are_refused(tmp_path: Path) -> None:
    one, two = signing.create(tmp_path, "one"), signing.create(tmp_path, "two")
    one.path.write_bytes(two.path.read_bytes())
    with pytest.raises(errors.ConfigError, match="not that of"):
        one.sign(b"content", signature.MANIFEST_PURPOSE)
    one.path.write_bytes(b"rubbish")
    with pytest.raises(errors.ConfigError, match="no private key"):
        one.sign(b"content", signature.MANIFEST_PURPOSE)
    line = signing.public_line(two.public)
    for text in ("", "ssh-ed25519 AAAA two", line[:-5], line.replace(" ", "-"), line + " more"):
        one.path.with_suffix(".pub").write_text(text)
        with pytest.raises(errors.ConfigError, match="no public key"):
            signing.load_all(tmp_path)
    assert signing.read_public(line + "\n", "x") == two.public


def test_a_key_is_found_by_name_by_its_id_or_alone(tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match="no key"):
        signing.find({}, None)
    one = signing.create(tmp_path, "one")
    assert signing.find(signing.load_all(tmp_path), None) == one
    two = signing.create(tmp_path, "two")
    keys = signing.load_all(tmp_path)
    assert signing.find(keys, "two") == two
    assert signing.find(keys, one.public.id[:20]) == one
    for name in (None, "three"):
        with pytest.raises(errors.UsageError, match="one, two"):
            signing.find(keys, name)


def test_which_signature_a_push_sends(tmp_path: Path) -> None:
    key = signing.create(tmp_path, "mine")
    keys = {"mine": key}

    def have(*ids: str) -> Have:
        return Have(request_id=1, stored=False, active=False, trusted=ids)

    def sign(signer: signing.SigningKey) -> bytes:
        return f"signed by {signer.public.name}".encode()

    theirs = public(1).id
    table = [
        # in the bundle, the device trusts, asked for -> sent
        (b"", have(), None, b""),
        (b"", have(theirs), None, b""),
        (b"", have(theirs, key.public.id), None, b"signed by mine"),
        (b"packaged", have(), None, b"packaged"),
        (b"packaged", have(key.public.id), None, b"packaged"),
        (b"packaged", have(key.public.id), key, b"signed by mine"),
        (b"", have(), key, b"signed by mine"),
    ]
    for packaged, said, signer, sent in table:
        assert trust.choose_signature(packaged, said, sign, keys, signer=signer) == sent


def test_lists_of_keys_grow_and_shrink() -> None:
    one = trusted(1)
    both = trust.with_key(one, public(2))
    assert (both.version, both.device, both.keys) == (2, one.device, (public(1), public(2)))
    assert trust.without_key(both, "key1").keys == (public(2),)
    assert trust.without_key(both, public(2).id[:8]).keys == (public(1),)
    assert trust.without_keys(both).keys == ()
    full = trusted(*range(1, MOST_KEYS + 1))
    for refused in (
        lambda: trust.with_key(one, public(1)),
        lambda: trust.with_key(full, public(99)),
        lambda: trust.without_key(one, "key1"),
        lambda: trust.without_key(both, "key3"),
        lambda: trust.without_key(both, ""),
        lambda: trust.without_keys(trusted()),
    ):
        with pytest.raises(errors.UsageError):
            refused()
