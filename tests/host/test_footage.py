"""The demo's footage is verified wherever it comes from."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from tartlet_host import footage
from tartlet_shared import errors


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vtest.avi").write_bytes(b"something else")
    with pytest.raises(errors.FootageUnreadable, match="SHA-256"):
        footage.fetch(tmp_path)


def test_a_kept_file_is_used_without_asking_anyone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vtest.avi").write_bytes(b"footage")
    monkeypatch.setattr(footage, "SHA256", hashlib.sha256(b"footage").hexdigest())
    monkeypatch.setattr(subprocess, "run", None)
    assert footage.fetch(tmp_path) == tmp_path / "vtest.avi"


@pytest.mark.parametrize("script", ["exit 100", "echo 'E: no mirror' >&2; exit 100"])
def test_apt_without_a_mirror_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    apt = tmp_path / "bin" / "apt-get"
    apt.parent.mkdir()
    apt.write_text(f"#!/bin/sh\n{script}\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{apt.parent}:/bin:/usr/bin")
    monkeypatch.setattr(footage, "MEMBER", "not/installed/vtest.avi")
    with pytest.raises(errors.FootageUnreadable) as caught:
        footage.fetch(tmp_path / "cache")
    assert "apt-get update" in caught.value.hint
    assert "--video" in caught.value.hint


def test_a_system_without_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(footage, "MEMBER", "not/installed/vtest.avi")
    with pytest.raises(errors.FootageUnreadable, match="no apt-get"):
        footage.fetch(tmp_path / "cache")
