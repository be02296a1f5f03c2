from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tartlet_device import files
from tartlet_device.events.settings import StorageSettings
from tartlet_device.events.storage import Storage

MB = 1_000_000


class World:
    """The clock and the disk."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0
        self.synchronized = True
        self.free = 10_000 * MB

    def storage(self, root: Path, **settings) -> Storage:
        return Storage(
            root,
            StorageSettings(**settings),
            clock_synchronized=lambda: self.synchronized,
            free_bytes=lambda _: self.free,
            now_s=lambda: self.now_s,
        )


@pytest.fixture
def world() -> World:
    return World()


def clip(root: Path, kind: str, name: str, size: int, time_s: float) -> None:
    folder = root / kind
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.mp4").write_bytes(bytes(size))
    os.utime(folder / f"{name}.mp4", (time_s, time_s))


def test_pictures_and_what_was_seen_are_written_and_found_again(tmp_path, world):
    storage = world.storage(tmp_path)
    assert storage.write_picture("0000000001-a", b"jpeg", b"{}")
    assert storage.write_picture("0000000001-a", b"better", b"{}")
    assert storage.path("pictures", "0000000001-a", ".jpg").read_bytes() == b"better"
    again = world.storage(tmp_path)
    assert again.names("pictures") == ["0000000001-a"]
    assert again.used_bytes("pictures") == storage.used_bytes("pictures") == 2 * 4096


def test_the_oldest_go_first_by_number_not_by_time(tmp_path, world):
    for number, time_s in ((1, world.now_s), (2, world.now_s - 5000), (3, world.now_s - 9000)):
        clip(tmp_path, "clips", f"{number:010d}-x", MB, time_s)
        (tmp_path / "clips" / f"{number:010d}-x.jsonl").write_text("{}\n")
    storage = world.storage(tmp_path, clips_mb=2)
    gone = storage.keep()
    assert [unit.name for unit in gone] == ["0000000001-x", "0000000002-x"]
    assert sorted(path.name for path in (tmp_path / "clips").iterdir()) == [
        "0000000003-x.jsonl",
        "0000000003-x.mp4",
    ]
    assert storage.keep() == []


def test_when_the_disk_is_short_of_room_footage_goes_before_clips(tmp_path, world):
    for kind in ("continuous", "clips"):
        for number in (1, 2):
            clip(tmp_path, kind, f"{number:010d}", MB, world.now_s)
    storage = world.storage(tmp_path, keep_free_mb=100)
    world.free = 98 * MB
    gone = storage.keep()
    assert [(unit.kind, unit.name[-1]) for unit in gone] == [
        ("continuous", "1"),
        ("continuous", "2"),
    ]
    assert storage.names("clips") == ["0000000001", "0000000002"]


def test_with_nothing_left_to_delete_it_is_a_fault_that_ends(tmp_path, world):
    storage = world.storage(tmp_path, keep_free_mb=100)
    world.free = 99 * MB
    assert storage.keep() == []
    assert "nothing left to delete" in storage.fault
    assert not storage.write_picture("0000000001-a", b"jpeg", b"{}")
    world.free = 101 * MB
    storage.keep()
    assert storage.fault is None
    assert storage.write_picture("0000000001-a", b"jpeg", b"{}")


def test_what_is_too_old_goes_only_if_the_clock_is_right(tmp_path, world):
    world.synchronized = False
    clip(tmp_path, "clips", "0000000001", 10, world.now_s - 40 * 86400)
    clip(tmp_path, "clips", "0000000002", 10, world.now_s - 20 * 86400)
    storage = world.storage(tmp_path, clips_days=30)
    assert storage.keep() == []
    world.synchronized = True
    assert [unit.name for unit in storage.keep()] == ["0000000001"]


def test_what_was_written_by_a_clock_that_was_wrong_is_not_old(tmp_path, world):
    """The Pi starts with the time of its last shutdown, months ago, until the network is there."""
    right = world.now_s
    world.now_s, world.synchronized = right - 90 * 86400, False
    storage = world.storage(tmp_path, clips_days=30)
    clip(tmp_path, "clips", "0000000001", 10, world.now_s + 60)
    storage._enter("clips", "0000000001")
    world.now_s, world.synchronized = right, True
    assert storage.keep() == []
    assert world.storage(tmp_path, clips_days=30).keep() == []
    world.now_s += 31 * 86400
    assert [unit.name for unit in storage.keep()] == ["0000000001"]


def test_what_a_killed_process_left_is_swept(tmp_path, world):
    for folder in ("pictures", "clips", "continuous"):
        (tmp_path / folder).mkdir()
    (tmp_path / "pictures" / ".0000000001-a.jpg.new").write_bytes(b"half")
    (tmp_path / "clips" / "0000000001-a.mp4.part").write_bytes(b"\0\0\0\x18ftyp")
    (tmp_path / "clips" / "0000000001-a.jsonl.part").write_bytes(b"{}\n")
    (tmp_path / "continuous" / "0000000001.jsonl.part").write_bytes(b"{}\n")
    storage = world.storage(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert storage.writable


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_refuses_is_a_fault_until_it_takes_something(
    tmp_path, world, monkeypatch, code, caplog
):
    storage = world.storage(tmp_path)

    def refuse(path: Path, content: bytes) -> None:
        raise OSError(code, os.strerror(code), str(path))

    with monkeypatch.context() as broken:
        broken.setattr(files, "write_synced", refuse)
        for _ in range(3):
            assert not storage.write_picture("0000000001-a", b"jpeg", b"{}")
            storage.keep()
            assert os.strerror(code) in storage.fault
    assert len([each for each in caplog.records if each.levelname == "WARNING"]) <= 2
    storage.keep()
    assert storage.fault is None
    assert storage.write_picture("0000000001-a", b"jpeg", b"{}")
    assert not list(tmp_path.glob(".probe"))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of two megabytes."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder]).returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["mount", "-o", "remount,rw", folder], check=True)
    subprocess.run(["umount", "-l", folder], check=True)


def fill(path: Path) -> None:
    """Make a file longer until the disk is full."""
    with pytest.raises(OSError, match="No space"), path.open("ab", buffering=0) as stream:
        stream.writelines(bytes(4096) for _ in range(10_000))


def real(root: Path) -> Storage:
    return Storage(root, StorageSettings(keep_free_mb=1), clock_synchronized=lambda: True)


def test_a_full_disk_makes_room_and_a_read_only_one_is_waited_for(small_disk):
    storage = real(small_disk)
    # Each takes a quarter of what may be used: the oldest go for the newest.
    for number in range(1, 13):
        storage.keep()
        assert storage.write_picture(f"{number:010d}-a", os.urandom(250_000), b"{}"), storage.fault
    assert storage.names("pictures")[-1] == "0000000012-a"
    assert len(storage.names("pictures")) < 12
    # Somebody else takes the rest: nothing of ours can make enough room.
    other = small_disk / "other"
    for _ in range(2):
        fill(other)
        storage.keep()
    assert storage.names("pictures") == []
    assert storage.fault
    assert not storage.write_picture("0000000013-a", os.urandom(250_000), b"{}")
    other.unlink()
    storage.keep()
    assert storage.fault is None
    assert storage.write_picture("0000000013-a", os.urandom(250_000), b"{}")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert not storage.write_picture("0000000014-a", b"jpeg", b"{}")
    assert "Read-only" in storage.fault
    storage.keep()
    assert "Read-only" in storage.fault
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    storage.keep()
    assert storage.fault is None
    assert storage.write_picture("0000000014-a", b"jpeg", b"{}")
