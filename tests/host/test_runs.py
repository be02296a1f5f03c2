"""Folders for results, and finding the newest."""

from __future__ import annotations

from pathlib import Path

import pytest

from tartlet_host import runs
from tartlet_shared import errors


def test_two_runs_in_one_second_do_not_collide(tmp_path: Path) -> None:
    assert runs.new_run(tmp_path) != runs.new_run(tmp_path)


def test_latest_is_the_newest_that_has_the_file(tmp_path: Path) -> None:
    old, new = tmp_path / "2026-01-01_00-00-00", tmp_path / "2026-01-02_00-00-00"
    old.mkdir()
    new.mkdir()
    (old / "bundle").mkdir()
    assert runs.latest("bundle", tmp_path) == old / "bundle"
    (new / "bundle").mkdir()
    assert runs.latest("bundle", tmp_path) == new / "bundle"


def test_the_link_follows(tmp_path: Path) -> None:
    for _ in range(2):
        folder = runs.new_run(tmp_path)
        runs.mark_latest(folder)
        assert (tmp_path / "latest").resolve() == folder.resolve()


def test_no_run_yet_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match="bundle") as caught:
        runs.latest("bundle", tmp_path)
    assert "tartlet demo" in caught.value.hint


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.UsageError, match="cannot make"):
        runs.new_run(tmp_path / "file")
