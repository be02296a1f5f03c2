"""A device with trusted keys stores and serves what one of them signed, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tartlet_device import requirements
from tartlet_device.store import Store
from tartlet_device.trust import FILE_NAME, LIMIT
from tartlet_shared import bundle as bundles
from tartlet_shared import errors, manifest
from tartlet_shared.manifest import FileEntry, Manifest, Requirements
from tartlet_shared.signature import TRUST_PURPOSE, TrustedKeys
from tests.signing_keys import public, signed, statement


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def push(store: Store, folder: Path, signer: int | None = None, *, older: bool = True) -> str:
    content = (folder / manifest.MANIFEST_NAME).read_bytes()
    record = b"" if signer is None else signed(content, signer)
    digest, wanted = store.offer(content, record, allow_older=older)
    for entry in wanted:
        shutil.copy(folder / entry.name, store.incoming / entry.sha256)
    return store.accept(digest).digest


def trust(store: Store, *numbers: int, signer: int) -> TrustedKeys:
    before = store.trusted()
    after = TrustedKeys(
        device=before.device,
        version=before.version + 1,
        keys=tuple(public(each) for each in numbers),
    )
    assert store.trust(*statement(after, signer)) == after
    return after


def test_without_a_key_any_bundle_is_taken_as_before(store, make_bundle):
    assert store.trusted().keys == ()
    unsigned, other = push(store, make_bundle("one")), push(store, make_bundle("two"), 5)
    assert store.has(unsigned)
    assert store.has(other)
    assert (store.signed_by(unsigned), store.signed_by(other)) == ("", public(5).id)


def test_once_a_key_is_trusted_unsigned_and_unknown_are_refused(store, make_bundle, tmp_path):
    trust(store, 1, signer=1)
    folder = make_bundle()
    for signer, said in ((None, "not signed"), (2, "signed by the key")):
        with pytest.raises(errors.BundleUntrusted, match=said):
            push(store, folder, signer)
    assert list((tmp_path / "store" / "bundles").iterdir()) == []
    digest = push(store, folder, 1)
    assert store.activate(digest).current == digest
    assert Store(tmp_path / "store").open(digest).digest == digest  # after a start as well


def test_a_signature_of_another_manifest_is_refused(store, make_bundle):
    trust(store, 1, signer=1)
    one, two = make_bundle("one"), make_bundle("two")
    record = signed((one / manifest.MANIFEST_NAME).read_bytes(), 1)
    with pytest.raises(errors.BundleUntrusted, match="something else"):
        store.offer((two / manifest.MANIFEST_NAME).read_bytes(), record)


def test_nothing_unsigned_is_parsed(store):
    trust(store, 1, signer=1)
    for content in (b"", b"{}", b"[" * 100_000):
        with pytest.raises(errors.BundleUntrusted):
            store.offer(content)


def test_the_keys_count_that_hold_when_it_is_stored_and_opened(store, make_bundle, tmp_path):
    trust(store, 1, 2, signer=1)
    kept, stale = push(store, make_bundle("kept"), 1), push(store, make_bundle("stale"), 2)
    folder = make_bundle("offered")
    content = (folder / manifest.MANIFEST_NAME).read_bytes()
    digest, _ = store.offer(content, signed(content, 2))
    store.activate(kept)
    trust(store, 1, signer=2)  # a key may take itself away
    with pytest.raises(errors.BundleUntrusted):
        store.accept(digest)
    for act in (store.open, store.activate, store.manifest):
        with pytest.raises(errors.BundleUntrusted):
            act(stale)
    assert not store.has(stale)
    assert store.activate(kept).current == kept


def test_a_rollback_to_a_bundle_that_is_not_trusted_any_more_is_refused(store, make_bundle):
    old, new = push(store, make_bundle("old")), push(store, make_bundle("new"), 1)
    store.activate(old)
    store.activate(new)
    trust(store, 1, signer=1)
    with pytest.raises(errors.BundleUntrusted):
        store.open(store.serving().previous)


def test_a_bundle_signed_later_is_not_sent_again(store, make_bundle, tmp_path):
    folder = make_bundle()
    digest = push(store, folder)
    store.activate(digest)
    with pytest.raises(errors.BundleUntrusted, match="would not be trusted"):
        trust(store, 1, signer=1)
    assert store.trusted().keys == ()
    content = (folder / manifest.MANIFEST_NAME).read_bytes()
    assert store.offer(content, signed(content, 1)) == (digest, ())
    store.accept(digest)
    trust(store, 1, signer=1)
    assert Store(tmp_path / "store").open(digest).digest == digest


def test_keys_are_rotated_by_those_that_are_trusted(store, make_bundle):
    trust(store, 1, signer=1)
    digest = push(store, make_bundle(), 1)
    store.activate(digest)
    trust(store, 1, 2, signer=1)
    with pytest.raises(errors.BundleUntrusted, match="would not be trusted"):
        trust(store, 2, signer=1)
    content = (store.open(digest).folder / manifest.MANIFEST_NAME).read_bytes()
    store.offer(content, signed(content, 2))
    store.accept(digest)
    trust(store, 2, signer=2)
    assert store.open(digest).digest == digest
    with pytest.raises(errors.BundleUntrusted):
        trust(store, 1, signer=1)
    trust(store, signer=2)
    assert store.trusted().keys == ()


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("device", "ahead"),
    [("f" * 32, 1), (None, 0), (None, -1), (None, 2), (None, 100)],
    ids=["other device", "same version", "old version", "one left out", "many left out"],
)
def test_a_list_for_another_device_or_time_is_refused(
    store: Store, device: str | None, ahead: int, first: bool
) -> None:
    if not first:
        trust(store, 1, signer=1)
        trust(store, 1, 2, signer=1)
    before = store.trusted()
    after = TrustedKeys(
        device=device or before.device,
        version=max(before.version + ahead, 0),
        keys=(public(1),),
    )
    with pytest.raises(errors.BundleUntrusted, match="does not follow"):
        store.trust(*statement(after, 1))
    assert store.trusted() == before


def test_a_list_that_was_seen_before_is_not_taken_again(store):
    replayed = statement(
        TrustedKeys(device=store.trusted().device, version=1, keys=(public(1),)), 1
    )
    store.trust(*replayed)
    trust(store, 1, 2, signer=1)
    with pytest.raises(errors.BundleUntrusted, match="does not follow"):
        store.trust(*replayed)
    assert len(store.trusted().keys) == 2


@pytest.mark.parametrize("signer", [2, 3])
def test_who_is_not_trusted_changes_nothing(store, signer):
    trust(store, 1, signer=1)
    with pytest.raises(errors.BundleUntrusted):
        trust(store, 1, 2, signer=signer)
    before = store.trusted()
    after = msgspec.structs.replace(before, version=2, keys=())
    with pytest.raises(errors.BundleUntrusted):
        store.trust(statement(after, 1)[0], b"")
    content, _ = statement(after, 1)
    with pytest.raises(errors.BundleUntrusted):  # a signature for another purpose
        store.trust(content, signed(content, 1))
    assert store.trusted() == before


def test_the_first_list_is_signed_by_one_of_its_own(store):
    with pytest.raises(errors.BundleUntrusted):
        trust(store, 1, signer=2)
    with pytest.raises(errors.BundleUntrusted, match="empty"):
        trust(store, signer=1)
    for rubbish in (b"", b"{}", b"[" * 9000, b" " * (LIMIT + 1)):
        with pytest.raises(errors.BundleCorrupt):
            store.trust(rubbish, signed(rubbish, 1, TRUST_PURPOSE))


def test_a_damaged_list_trusts_nobody(store, make_bundle, tmp_path):
    trust(store, 1, signer=1)
    folder, path = make_bundle(), tmp_path / "store" / FILE_NAME
    good = path.read_bytes()
    for place in range(0, len(good), 7):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(errors.BundleUntrusted):
            push(store, folder)
    for content in (b"", b"\0" * 100, b" " * (LIMIT + 1), good[:-1]):
        path.write_bytes(content)
        with pytest.raises(errors.BundleUntrusted, match="damaged"):
            push(store, folder, 1)
    path.unlink()
    path.mkdir()
    with pytest.raises(errors.BundleUntrusted, match="damaged"):
        push(store, folder, 1)


def test_what_is_timed_must_be_of_a_signed_bundle(store, make_bundle):
    stranger = FileEntry(name="model.tflite", size=3, sha256="a" * 64)
    assert store.missing([stranger]) == ("a" * 64,)
    trust(store, 1, signer=1)
    with pytest.raises(errors.BundleUntrusted, match="no signed bundle"):
        store.missing([stranger])
    (store.incoming / stranger.sha256).write_bytes(b"abc")
    with pytest.raises(errors.BundleUntrusted), store.borrowed([stranger]):
        raise AssertionError("it was lent")
    digest = push(store, make_bundle(), 1)
    known = store.manifest(digest).files[0]
    assert store.missing([known]) == ()
    with store.borrowed([known]) as folder:
        assert (folder / known.name).stat().st_size == known.size


def released(number: int | None) -> Callable[[Manifest], Manifest]:
    release = msgspec.UNSET if number is None else number
    return lambda made: msgspec.structs.replace(made, release=release)


@pytest.mark.parametrize(
    ("serves", "offered", "refused"),
    [
        (None, None, False),
        (None, 1, False),
        (5, 5, False),
        (5, 6, False),
        (5, 4, True),
        (5, None, True),
        (20261122050000, 20261122045959, True),
    ],
)
def test_an_older_release_is_refused_unless_asked_for(
    store: Store, make_bundle, serves: int | None, offered: int | None, refused: bool
) -> None:
    store.activate(push(store, make_bundle("serves", change=released(serves))))
    folder = make_bundle("offered", change=released(offered))
    if refused:
        with pytest.raises(errors.ReleaseOlder, match="older than release"):
            push(store, folder, older=False)
    digest = push(store, folder)  # stored, for later or to compare
    if refused:
        with pytest.raises(errors.ReleaseOlder):
            store.activate(digest)
    assert store.activate(digest, allow_older=refused).current == digest
    store.roll_back()  # is asked for, too


def test_a_file_larger_than_said_is_not_copied_to_its_end(store, make_bundle, tmp_path):
    folder = make_bundle()
    digest, wanted = store.offer((folder / manifest.MANIFEST_NAME).read_bytes())
    for entry in wanted:
        shutil.copy(folder / entry.name, store.incoming / entry.sha256)
    with (store.incoming / wanted[0].sha256).open("r+b") as stream:
        stream.truncate(1 << 40)  # takes no room, and would fill the disk
    with pytest.raises(errors.BundleCorrupt):
        store.accept(digest)


@pytest.mark.parametrize(
    ("needed", "fits"),
    [
        (Requirements(), True),
        (Requirements(architectures=("x86_64", "aarch64")), True),
        (Requirements(architectures=("armv7l",)), False),
        (Requirements(runtimes={"ai-edge-litert": "2.1"}), True),
        (Requirements(runtimes={"ai-edge-litert": "2.1.0.0"}), True),
        (Requirements(runtimes={"ai-edge-litert": "2.1.1"}), False),
        (Requirements(runtimes={"ai-edge-litert": "2.10"}), False),
        (Requirements(runtimes={"ai-edge-litert": "9", "tflite-runtime": "2.0"}), False),
        (Requirements(runtimes={"tflite-runtime": "2.0"}), False),
    ],
)
def test_a_bundle_says_what_it_needs(
    make_bundle, monkeypatch: pytest.MonkeyPatch, needed: Requirements, fits: bool
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    monkeypatch.setattr(
        "tartlet_device.runtime.available", lambda: {"litert": "ai-edge-litert 2.1"}
    )
    folder = make_bundle(change=lambda made: msgspec.structs.replace(made, requires=needed))
    made = bundles.open_bundle(folder).manifest
    if fits:
        requirements.check(made)
        return
    with pytest.raises(errors.RuntimeUnavailable, match=r"it needs|it is for"):
        requirements.check(made)
