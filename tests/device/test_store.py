from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tartlet_device import files
from tartlet_device.serving import Serving
from tartlet_device.store import Store
from tartlet_device.stored_bundles import KEPT_BUNDLES
from tartlet_shared import bundle as bundles
from tartlet_shared import errors, manifest
from tartlet_shared.push_messages import Arrived


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "store"


def offer(store: Store, folder: Path):
    return store.offer((folder / manifest.MANIFEST_NAME).read_bytes())


def upload(store: Store, folder: Path, wanted) -> None:
    for entry in wanted:
        shutil.copy(folder / entry.name, store.incoming / entry.sha256)


def push(store: Store, folder: Path) -> str:
    digest, wanted = offer(store, folder)
    upload(store, folder, wanted)
    assert store.accept(digest).digest == digest
    return digest


def leftovers(root: Path) -> list[str]:
    """What must not be there between two pushes."""
    return [
        *(path.name for path in (root / "incoming").iterdir()),
        *(path.name for path in (root / "bundles").iterdir() if path.name.startswith(".")),
        *(path.name for path in root.iterdir() if path.name.startswith(".serving")),
    ]


def test_a_pushed_bundle_is_stored_and_serves_only_once_activated(root, make_bundle):
    store = Store(root)
    digest = push(store, make_bundle())
    assert store.has(digest)
    assert store.serving() == Serving()
    assert store.activate(digest) == Serving(current=digest)
    assert Store(root).serving().current == digest
    assert store.open(digest).manifest.name == "bright"
    assert leftovers(root) == []


def test_files_that_are_there_already_are_not_wanted(root, make_bundle):
    store = Store(root)
    first, second = make_bundle("one"), make_bundle("two")  # they differ in the manifest only
    push(store, first)
    digest, wanted = offer(store, second)
    assert wanted == ()
    store.accept(digest)
    assert store.has(digest)
    assert offer(store, second)[1] == ()


def test_a_stored_file_that_was_damaged_is_wanted_again(root, make_bundle):
    store = Store(root)
    folder = make_bundle()
    digest = push(store, folder)
    stored = root / "bundles" / digest / "golden.png"
    stored.write_bytes(stored.read_bytes()[:-1] + b"?")
    assert not store.has(digest)
    with pytest.raises(errors.BundleCorrupt):
        store.open(digest)
    assert [entry.name for entry in offer(store, folder)[1]] == ["golden.png"]
    push(store, folder)
    assert store.has(digest)
    assert leftovers(root) == []


def test_activation_remembers_the_previous_one_and_rollback_swaps(root, make_bundle):
    store = Store(root)
    first, second = (push(store, make_bundle(name)) for name in ("one", "two"))
    store.activate(first)
    with pytest.raises(errors.NothingToRollBackTo):
        store.roll_back()
    assert store.activate(second) == Serving(second, first)
    assert store.activate(second) == Serving(second, first)
    assert store.roll_back() == Serving(first, second)
    assert Store(root).roll_back() == Serving(second, first)


def test_only_a_stored_bundle_can_be_activated_opened_or_accepted(root):
    store = Store(root)
    for act in (store.activate, store.open, store.accept):
        with pytest.raises(errors.BundleNotOnDevice):
            act("0" * 64)
    assert not store.has("0" * 64)


def test_a_damaged_record_means_that_nothing_serves(root, make_bundle):
    store = Store(root)
    digest = push(store, make_bundle())
    store.activate(digest)
    for content in (b"", b"\0" * 40, b'{"current": "../../etc"}'):
        (root / "serving.json").write_bytes(content)
        assert Store(root).serving() == Serving()
    store.activate(digest)
    assert store.serving().current == digest


@pytest.mark.parametrize("damage", ["missing", "short", "other", "link", "pipe", "folder"])
def test_an_upload_that_is_not_the_file_is_refused_and_swept(root, make_bundle, damage, tmp_path):
    store = Store(root)
    folder = make_bundle()
    digest, wanted = offer(store, folder)
    upload(store, folder, wanted)
    target = store.incoming / wanted[0].sha256
    content = target.read_bytes()
    target.unlink()
    if damage == "short":
        target.write_bytes(content[:-1])
    elif damage == "other":
        target.write_bytes(bytes(len(content)))
    elif damage == "link":  # even to the right content: it may point anywhere
        elsewhere = tmp_path / "secret"
        elsewhere.write_bytes(content)
        target.symlink_to(elsewhere)
    elif damage == "pipe":
        os.mkfifo(target)
    elif damage == "folder":
        target.mkdir()
    with pytest.raises(errors.BundleCorrupt):
        store.accept(digest)
    assert not store.has(digest)
    assert leftovers(root) == []
    push(store, folder)
    assert store.has(digest)


def test_leftovers_of_an_interrupted_accept_are_swept_at_start(root, make_bundle):
    store = Store(root)
    digest = push(store, make_bundle())
    (root / "bundles" / ".new-abc").mkdir()
    (root / "bundles" / ".new-abc" / "model.tflite").write_bytes(b"half")
    store = Store(root)
    assert leftovers(root) == []
    assert store.has(digest)


def test_what_has_arrived_stays_over_a_restart_and_is_told(root, make_bundle):
    folder = make_bundle()
    _, wanted = offer(Store(root), folder)
    model, picture = (
        next(each for each in wanted if each.name.startswith(kind)) for kind in ("model", "golden")
    )
    half = (folder / model.name).read_bytes()[: model.size // 2]
    (root / "incoming" / f"{model.sha256}.mine.part").write_bytes(half)
    shutil.copy(folder / picture.name, root / "incoming" / picture.sha256)
    store = Store(root)
    digest, wanted = offer(store, folder)
    assert wanted == (model,)  # the picture is there, though in no bundle
    assert store.arrived(wanted) == (
        Arrived(
            name=f"{model.sha256}.mine.part",
            size=len(half),
            sha256=hashlib.sha256(half).hexdigest(),
        ),
    )
    upload(store, folder, wanted)
    store.accept(digest)
    assert leftovers(root) == [f"{model.sha256}.mine.part"]  # perhaps somebody is still sending


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "longer", "empty"])
def test_what_cannot_be_a_beginning_is_not_told(root, make_bundle, tmp_path, kind):
    store = Store(root)
    _, wanted = offer(store, make_bundle())
    entry = wanted[0]
    part = store.incoming / f"{entry.sha256}.x.part"
    if kind == "link":
        (tmp_path / "secret").write_bytes(b"secret")
        part.symlink_to(tmp_path / "secret")
    elif kind == "pipe":
        os.mkfifo(part)
    elif kind == "folder":
        part.mkdir()
    else:
        part.write_bytes(bytes(entry.size + 1 if kind == "longer" else 0))
    assert store.arrived(wanted) == ()


def test_an_upload_that_is_whole_but_wrong_is_wanted_again(root, make_bundle):
    store = Store(root)
    folder = make_bundle()
    _, wanted = offer(store, folder)
    upload(store, folder, wanted)
    (store.incoming / wanted[0].sha256).write_bytes(bytes(wanted[0].size))
    assert offer(store, folder)[1] == (wanted[0],)


def test_two_laptops_push_the_same_and_neither_is_told_of_the_other(root, make_bundle):
    store = Store(root)
    folder = make_bundle()
    digest, wanted = offer(store, folder)
    assert offer(store, folder) == (digest, wanted)
    upload(store, folder, wanted)
    assert store.accept(digest).digest == digest
    upload(store, folder, wanted)  # the second one is later
    assert store.accept(digest).digest == digest
    assert leftovers(root) == []


def test_a_bundle_that_lends_files_to_one_in_transfer_stays(root, make_bundle):
    store = Store(root)
    lender = push(store, make_bundle("lender"))
    borrower = make_bundle("borrower")
    digest, wanted = offer(store, borrower)
    assert wanted == ()
    os.utime(root / "bundles" / lender, ns=(0, 0))
    for number in range(KEPT_BUNDLES + 2):
        push(store, make_bundle(f"b{number}", spots=((number, 0, number + 20, 20),)))
    assert store.accept(digest).digest == digest


def test_abandoned_uploads_make_room_for_the_next_push(root, make_bundle):
    store = Store(root)
    old, new = (root / "incoming" / name for name in ("old.part", "new.part"))
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    offer(store, make_bundle())
    assert (old.exists(), new.exists()) == (False, True)


def test_where_room_is_short_idle_uploads_go_but_not_what_is_pushed_now(
    root, make_bundle, monkeypatch
):
    store = Store(root)
    folder = make_bundle()
    _, wanted = offer(store, folder)
    mine = store.incoming / f"{wanted[0].sha256}.mine.part"
    idle, busy = (store.incoming / name for name in ("idle.x.part", "busy.x.part"))
    for path in (mine, idle, busy):
        path.write_bytes(b"x")
    for path in (mine, idle):
        os.utime(path, (time.time() - 1000,) * 2)
    monkeypatch.setattr(files, "free_bytes", lambda _folder: 5000)
    with pytest.raises(errors.StorageFull):
        offer(store, folder)
    assert [path.exists() for path in (mine, idle, busy)] == [True, False, True]


def test_uploads_are_for_the_group_only(root):
    mode = Store(root).incoming.stat().st_mode
    assert mode & 0o7777 == 0o2770


def test_a_service_that_may_not_set_the_group_bit_still_takes_uploads(root, monkeypatch):
    chmod = Path.chmod

    def restricted(path, mode):
        if mode & 0o2000:
            raise PermissionError(errno.EPERM, "RestrictSUIDSGID")
        chmod(path, mode)

    monkeypatch.setattr(Path, "chmod", restricted)
    assert Store(root).incoming.stat().st_mode & 0o777 == 0o770


def test_old_bundles_go_but_never_the_current_and_the_previous(root, make_bundle):
    store = Store(root)
    digests = []
    for number in range(KEPT_BUNDLES + 4):
        digests.append(push(store, make_bundle(f"b{number}")))
        if number < 2:
            store.activate(digests[-1])
        os.utime(root / "bundles" / digests[-1], ns=(number * 10**9,) * 2)
    stored = {path.name for path in (root / "bundles").iterdir()}
    assert stored == {*digests[:2], *digests[-KEPT_BUNDLES:]}


def test_what_is_no_manifest_is_refused(root):
    for content in (b"", b"{}", b'{"format": 2}', b"\xff" * 100, b"[" * 100_000):
        with pytest.raises(errors.BundleCorrupt):
            Store(root).offer(content)


def test_only_the_last_few_offers_are_remembered(root, make_bundle):
    store = Store(root)
    first, _ = offer(store, make_bundle("first"))
    for number in range(8):
        offer(store, make_bundle(f"b{number}"))
    with pytest.raises(errors.BundleNotOnDevice):
        store.accept(first)


# -- a full disk


def test_an_offer_that_does_not_fit_is_refused(root, make_bundle, monkeypatch):
    store = Store(root)
    monkeypatch.setattr(files, "free_bytes", lambda _folder: 5000)
    with pytest.raises(errors.StorageFull) as caught:
        offer(store, make_bundle())
    assert "needed" in caught.value.what
    assert "free" in caught.value.what


class FullDisk:
    """Lets ``left`` calls of os.fsync pass, then says that the disk is full."""

    def __init__(self, left: int, number: int = errno.ENOSPC) -> None:
        self.left, self.number, self.failed = left, number, False
        self._fsync = os.fsync

    def __call__(self, descriptor: int) -> None:
        if self.left <= 0:
            self.failed = True
            raise OSError(self.number, os.strerror(self.number))
        self.left -= 1
        self._fsync(descriptor)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("passing", range(8))
def test_a_disk_that_fills_up_leaves_nothing_half_written(
    root, make_bundle, monkeypatch, passing, number
):
    nothing = contextlib.nullcontext()
    store = Store(root)
    serving = push(store, make_bundle("serving"))
    store.activate(serving)
    other = make_bundle("other", spots=((0, 0, 40, 40),))
    digest, wanted = offer(store, other)
    upload(store, other, wanted)
    disk = FullDisk(passing, number)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", disk)
        with pytest.raises(errors.StorageFull, match="MB are needed") if passing < 6 else nothing:
            store.accept(digest)
            store.activate(digest)
    assert disk.failed == (passing < 6)
    # The last fsync is that of the folder, after the rename: then the new bundle serves already.
    assert store.serving() == (Serving(serving) if passing < 5 else Serving(digest, serving))
    assert leftovers(root) == []
    assert store.has(serving)
    assert Store(root).has(store.serving().current)
    push(store, other)
    assert store.activate(digest).current == digest


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS])
def test_other_errors_of_the_disk_are_said(root, make_bundle, monkeypatch, number):
    store = Store(root)
    folder = make_bundle()
    digest, wanted = offer(store, folder)
    upload(store, folder, wanted)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", FullDisk(0, number))
        with pytest.raises(errors.DeviceError, match=f"written: {os.strerror(number)}") as caught:
            store.accept(digest)
    assert type(caught.value) is errors.DeviceError  # not a full disk
    assert leftovers(root) == []


# -- a power cut, between any two changes of the disk

_CRASHING = """
import os, sys
from pathlib import Path
root, folder, step = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
from tartlet_device.store import Store
store = Store(root)
digest, wanted = store.offer((folder / "manifest.json").read_bytes())
for entry in wanted:
    (store.incoming / entry.sha256).write_bytes((folder / entry.name).read_bytes())
changes = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.chmod")
def die(event, arguments):
    global step
    opened = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if event in changes or opened:
        if step == 0:
            os._exit(7)
        step -= 1
sys.addaudithook(die)
store.accept(digest)
store.activate(digest)
os._exit(0)
"""


@pytest.mark.parametrize("first_step", range(4))
def test_a_power_cut_leaves_the_state_before_or_after(root, make_bundle, first_step):
    serving, other = make_bundle("serving"), make_bundle("other", spots=((0, 0, 40, 40),))
    store = Store(root)
    digest = push(store, serving)
    store.activate(digest)
    new = manifest.digest((other / manifest.MANIFEST_NAME).read_bytes())
    step, code = first_step, 7
    while code == 7:
        done = subprocess.run(
            [sys.executable, "-c", _CRASHING, root, other, str(step)],
            check=False,
            capture_output=True,
            text=True,
        )
        code = done.returncode
        assert code in (0, 7), done.stderr
        after = Store(root)
        assert [name for name in leftovers(root) if name.startswith(".")] == []
        assert after.serving() in (Serving(digest), Serving(new, digest))
        assert after.has(after.serving().current)
        assert after.has(digest)
        # A bundle is either not there or complete.
        for folder in (root / "bundles").iterdir():
            bundles.open_bundle(folder, expected_digest=folder.name)
        if code == 7:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(root / "bundles" / new)
            files.write_atomically(root / "serving.json", f'{{"current": "{digest}"}}'.encode())
        step += 4
    assert step > first_step + 8, "the crashes were not between the steps"
    assert Store(root).serving() == Serving(new, digest)
