from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tartlet_device.camera.holder import busy_words, holders

LOCK = """
import fcntl, sys
device = open(sys.argv[1], "r+b")
fcntl.lockf(device, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def device(tmp_path) -> Path:
    path = tmp_path / "media0"
    path.touch()
    return path


@pytest.fixture
def locker(device):
    """Another process with a lock on the device, as libcamera takes it."""
    process = subprocess.Popen(
        [sys.executable, "-c", LOCK, device], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"locked\n"
    yield process
    process.communicate()


def fake_process(proc: Path, number: int, name: str, *targets: Path, group: str = "") -> None:
    folder = proc / str(number) / "fd"
    folder.mkdir(parents=True)
    (folder.parent / "comm").write_text(name + "\n")
    (folder.parent / "cgroup").write_text(group)
    for descriptor, target in enumerate(targets):
        (folder / str(descriptor)).symlink_to(target)


def test_the_one_with_a_lock_is_found_without_looking_at_its_files(device, locker, tmp_path):
    (tmp_path / "proc").mkdir()
    what, hint = busy_words([device], proc=tmp_path / "proc")
    assert what == f"held by process {locker.pid}"
    assert hint == f"stop it: `sudo kill {locker.pid}`"
    name = Path(f"/proc/{locker.pid}/comm").read_text().strip()
    assert busy_words([device])[0] == f"held by {name} (process {locker.pid})"


def test_who_has_the_lock_is_named_and_not_everyone_with_the_file_open(device, locker, tmp_path):
    fake_process(tmp_path / "proc", 90, "wireplumber", device)
    assert [each.pid for each in holders([device], proc=tmp_path / "proc")] == [locker.pid]


def test_a_lock_that_is_gone_names_nobody(device, locker):
    locker.kill()
    locker.wait()
    assert holders([device]) == []


def test_without_a_lock_the_one_with_the_file_open_is_named(tmp_path, device):
    proc = tmp_path / "proc"
    fake_process(proc, 812, "motion", Path("/dev/null"), device)
    fake_process(proc, 90, "cat", Path("/dev/null"))
    (proc / "self").mkdir()
    assert [str(each) for each in holders([device], proc=proc)] == ["motion (process 812)"]
    what, hint = busy_words([device], proc=proc)
    assert what == "held by motion (process 812)"
    assert "kill 812" in hint


def test_a_service_is_stopped_as_one(tmp_path, device):
    fake_process(
        tmp_path / "proc", 812, "python3", device, group="0::/system.slice/motion.service\n"
    )
    assert "systemctl stop motion.service" in busy_words([device], proc=tmp_path / "proc")[1]


def test_a_holder_that_cannot_be_seen_can_still_be_found(tmp_path, device):
    (tmp_path / "proc" / "5").mkdir(parents=True)
    what, hint = busy_words([device], proc=tmp_path / "proc")
    assert what == "another process holds it"
    assert f"fuser -v {device}" in hint


def test_a_device_that_may_not_be_opened_names_nobody(tmp_path):
    assert holders([tmp_path / "none"], proc=tmp_path) == []


def test_the_own_process_is_no_holder(device):
    with device.open("rb"):
        assert os.getpid() not in [each.pid for each in holders([device])]
