"""Decoded pictures in memory and on disk: bounded, the same, and never trusted blindly."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tartlet_host.dataset import disk_cache, picture_cache
from tartlet_host.dataset.disk_cache import DiskCache
from tartlet_host.dataset.picture_cache import PictureStore, kept_size
from tartlet_host.dataset.sample import Dataset, Sample
from tartlet_host.recipe import InputRecipe
from tartlet_shared.errors import PictureUnreadable

CANVAS = InputRecipe(64, 96)
BYTES = 64 * 96 * 3
ENTRY = BYTES + 16
NOW = 1e9
MakeSquares = Callable[..., Dataset]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the pictures that were really decoded."""
    names: list[str] = []
    real = picture_cache.read_picture

    def counted(sample: Sample, **options: Any) -> np.ndarray:
        names.append(str(sample.picture))
        return real(sample, **options)

    monkeypatch.setattr(picture_cache, "read_picture", counted)
    return names


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("??/*"))


def test_memory_is_bounded_whatever_the_data_sets_size(make_squares: MakeSquares) -> None:
    dataset = make_squares(9)
    store = PictureStore(CANVAS, 3 * BYTES + 5, recent_bytes=2 * BYTES)
    held = []
    for sample in dataset.samples * 2:
        store.get(sample)
        held.append(store.nbytes)
    assert max(held) == held[-1] == 5 * BYTES


def test_what_fits_is_decoded_once(make_squares: MakeSquares, decoded: list[str]) -> None:
    dataset = make_squares(4)
    store = PictureStore(CANVAS, 2 * BYTES)
    for sample in dataset.samples * 3:
        store.get(sample)
    assert len(decoded) == 2 + 3 * 2


def test_a_recent_picture_is_not_decoded_again(
    make_squares: MakeSquares, decoded: list[str]
) -> None:
    first, second, third = make_squares(3).samples
    store = PictureStore(CANVAS, 0, recent_bytes=2 * BYTES)
    for sample in (first, second, first, third, first, second):
        store.get(sample)
    names = [Path(name).name for name in decoded]
    assert names == ["0.png", "1.png", "2.png", "1.png"]


@pytest.mark.parametrize(
    ("size", "kept"),
    [
        ((4000, 3000), (171, 128)),
        ((96, 64), (96, 64)),
        ((30, 5000), (1, 128)),
        ((192, 10), (192, 10)),
    ],
)
def test_pictures_are_kept_at_twice_their_size_on_the_canvas(
    size: tuple[int, int], kept: tuple[int, int]
) -> None:
    assert kept_size(*size, CANVAS) == kept


@pytest.mark.parametrize(
    ("suffix", "canvas", "decoded"),
    [
        (".jpg", InputRecipe(32, 32), (100, 75)),  # kept at 64x48: an eighth of 800x600
        (".jpg", InputRecipe(64, 64), (200, 150)),
        (".jpg", InputRecipe(128, 192), (400, 300)),
        (".jpg", InputRecipe(256, 320), (800, 600)),
        (".png", InputRecipe(32, 32), (800, 600)),
    ],
)
def test_a_large_jpeg_is_decoded_no_larger_than_needed(
    tmp_path: Path, suffix: str, canvas: InputRecipe, decoded: tuple[int, int]
) -> None:
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 256, (12, 16, 3), np.uint8)
    picture = cv2.resize(coarse, (800, 600), interpolation=cv2.INTER_CUBIC)
    path = tmp_path / f"large{suffix}"
    assert cv2.imwrite(str(path), picture[..., ::-1])
    boxes = np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.bool_)
    sample = Sample(path, 800, 600, *boxes)
    size = kept_size(800, 600, canvas)
    assert picture_cache.read_picture(sample, smallest=size).shape[1::-1] == decoded
    kept = PictureStore(canvas, 0).get(sample)
    assert kept.shape[1::-1] == size
    plain = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    assert np.abs(kept.astype(int) - plain).mean() < 3
    wrong = dataclasses.replace(sample, width=801)
    with pytest.raises(PictureUnreadable, match="800x600"):
        PictureStore(canvas, 0).get(wrong)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(PictureUnreadable):
        PictureStore(canvas, 0).get(sample)


def test_the_disk_gives_back_what_was_decoded(
    make_squares: MakeSquares, tmp_path: Path, decoded: list[str]
) -> None:
    sample = make_squares(1).samples[0]
    small = InputRecipe(32, 32)
    plain = PictureStore(small, 0).get(sample)
    for _ in range(2):
        disk = DiskCache(tmp_path / "cache", 10 * ENTRY, run_started=NOW)
        picture = PictureStore(small, 0, disk=disk).get(sample)
        np.testing.assert_array_equal(picture, plain)
    assert len(decoded) == 2  # once without the disk, once for it


def test_a_changed_picture_or_canvas_finds_no_entry(
    make_squares: MakeSquares, tmp_path: Path
) -> None:
    sample = make_squares(1).samples[0]
    disk = DiskCache(tmp_path / "cache", 10 * ENTRY, run_started=NOW)
    picture = PictureStore(CANVAS, 0, disk=disk).get(sample)
    size = (96, 64)
    assert disk.get(sample, size) is not None
    assert disk.get(sample, (48, 32)) is None
    assert disk.get(dataclasses.replace(sample, width=97), size) is None
    os.utime(sample.picture, (5, 5))
    assert disk.get(sample, size) is None
    disk.put(sample, size, picture)
    sample.picture.unlink()
    assert disk.get(sample, size) is None


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: b"", id="empty"),
        pytest.param(lambda content: content[:7], id="cut in the header"),
        pytest.param(lambda content: content[:-1], id="cut"),
        pytest.param(lambda content: content[:500] + b"!" + content[501:], id="one byte"),
        pytest.param(lambda content: b"x" + content[1:], id="something else"),
    ],
)
def test_a_damaged_entry_is_made_again(
    make_squares: MakeSquares,
    tmp_path: Path,
    damage: Callable[[bytes], bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    sample = make_squares(1).samples[0]
    disk = DiskCache(tmp_path / "cache", 10 * ENTRY, run_started=NOW)
    store = PictureStore(CANVAS, 0, disk=disk)
    plain = store.get(sample)
    (entry,) = entries(tmp_path / "cache")
    good = entry.read_bytes()
    entry.write_bytes(damage(good))
    np.testing.assert_array_equal(store.get(sample), plain)
    assert "damaged" in caplog.text
    assert entry.read_bytes() == good


def test_the_disk_is_capped_and_the_oldest_goes_first(
    make_squares: MakeSquares, tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    before, after = make_squares(6).samples[:3], make_squares(6).samples[3:]
    earlier = DiskCache(folder, 3 * ENTRY, run_started=NOW)
    for age, sample in enumerate(before):
        PictureStore(CANVAS, 0, disk=earlier).get(sample)
        newest = max(entries(folder), key=lambda path: path.stat().st_mtime)
        os.utime(newest, (100 - age, 100 - age))  # the last is the oldest
    later = DiskCache(folder, 3 * ENTRY + 5, run_started=NOW)
    PictureStore(CANVAS, 0, disk=later).get(after[0])
    assert len(entries(folder)) == 3
    assert [later.get(sample, (96, 64)) is not None for sample in before] == [True, True, False]


def test_a_run_does_not_throw_out_its_own(make_squares: MakeSquares, tmp_path: Path) -> None:
    disk = DiskCache(tmp_path / "cache", 2 * ENTRY, run_started=NOW)
    samples = make_squares(5).samples
    for sample in samples * 2:
        PictureStore(CANVAS, 0, disk=disk).get(sample)
    kept = [disk.get(sample, (96, 64)) is not None for sample in samples]
    assert kept == [True, True, False, False, False]


def test_a_full_disk_makes_it_slower_and_not_worse(
    make_squares: MakeSquares,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tries = []

    def full(descriptor: int, mode: str) -> None:
        os.close(descriptor)
        tries.append(mode)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk_cache.os, "fdopen", full)
    disk = DiskCache(tmp_path / "cache", 9 * ENTRY, run_started=NOW)
    store = PictureStore(CANVAS, 0, disk=disk)
    for sample in make_squares(3).samples:
        assert store.get(sample).shape == (64, 96, 3)
    assert len(tries) == 1
    assert "No space left" in caplog.text
    assert not entries(tmp_path / "cache")


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "ab"
    folder.mkdir(parents=True)
    old, new = folder / "aside-old", folder / "aside-new"
    for path, age in ((old, 7200), (new, 60)):
        path.write_bytes(b"half")
        os.utime(path, (NOW - age, NOW - age))
    DiskCache(tmp_path / "cache", 100, run_started=NOW)
    assert not old.exists()
    assert new.exists()
