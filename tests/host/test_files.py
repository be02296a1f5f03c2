"""Writing aside: after any interruption the old file or the new one is there, never half."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tartlet_host.files import replacing, write_atomically


def test_content_and_folder_are_made(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "b.txt", "grüße")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "grüße".encode()


def _write_half(path: Path, error: type[BaseException]) -> None:
    with replacing(path) as stream:
        stream.write(b"half of the n")
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, ValueError])
def test_an_interruption_leaves_the_old_file_alone(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "kept.txt"
    write_atomically(path, "old")
    with pytest.raises(error):
        _write_half(path, error)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept.txt"]


def test_a_full_disk_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kept.txt"
    write_atomically(path, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept.txt"]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "x", "")
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640
