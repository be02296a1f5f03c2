"""Calibration pictures: spread, repeatable, and prepared as the device prepares them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_device import preprocess
from tartlet_host.dataset.pictures import read_picture
from tartlet_host.dataset.sample import Dataset, Sample
from tartlet_host.quantize import calibration
from tartlet_host.recipe import InputRecipe, QuantizeRecipe, Recipe, default_recipe
from tartlet_shared.errors import ConversionFailed, DatasetNotFound, PictureUnreadable

RECIPE: Recipe = msgspec.structs.replace(
    default_recipe(("square",)), input=InputRecipe(64, 96), quantize=QuantizeRecipe(3)
)
EMPTY = np.zeros((0, 4), np.float32)


def numbered(count: int) -> tuple[Sample, ...]:
    none = np.zeros(0, np.int64)
    return tuple(
        Sample(Path(f"{number}"), 10, 10, EMPTY, none, none.astype(np.bool_))
        for number in range(count)
    )


@given(st.integers(0, 300), st.integers(1, 120))
def test_spread_takes_distinct_samples_in_order_at_even_distances(count: int, most: int) -> None:
    taken = [int(sample.picture.name) for sample in calibration.spread(numbered(count), most)]
    assert len(taken) == min(count, most)
    gaps = np.diff(taken)
    assert (gaps >= 1).all()
    assert len(taken) < 2 or gaps.max() - gaps.min() <= 1


def test_canvases_are_what_the_device_would_make(make_squares: Callable[..., Dataset]) -> None:
    data = make_squares(5)
    made = calibration.collect(data, RECIPE)
    assert made.canvases.shape == (3, 64, 96, 3)
    chosen = calibration.spread(data.samples, 3)
    for canvas, tensor, sample in zip(made.canvases, made.tensors(), chosen, strict=True):
        expected, _ = preprocess.letterbox_picture(read_picture(sample), made.preprocessing)
        np.testing.assert_array_equal(canvas, expected)
        np.testing.assert_array_equal(tensor[0], (expected.astype(np.float32) - 127) / 128)


def test_collecting_twice_gives_the_same_and_reports_progress(
    make_squares: Callable[..., Dataset],
) -> None:
    data = make_squares(4)
    seen: list[tuple[int, int]] = []
    first = calibration.collect(data, RECIPE, pictures=2, progress=lambda *done: seen.append(done))
    second = calibration.collect(data, RECIPE, pictures=2)
    np.testing.assert_array_equal(first.canvases, second.canvases)
    assert seen == [(1, 2), (2, 2)]


def test_canvases_come_back_from_disk(make_squares: Callable[..., Dataset], tmp_path: Path) -> None:
    made = calibration.collect(make_squares(2), RECIPE)
    calibration.save(made, tmp_path / "canvases.npy")
    loaded = calibration.load(tmp_path / "canvases.npy", RECIPE)
    np.testing.assert_array_equal(loaded.canvases, made.canvases)
    other = msgspec.structs.replace(RECIPE, input=InputRecipe(96, 96))
    with pytest.raises(ConversionFailed, match="canvas is 96x96"):
        calibration.load(tmp_path / "canvases.npy", other)


def test_no_pictures_is_an_error() -> None:
    with pytest.raises(DatasetNotFound, match="no pictures"):
        calibration.collect(Dataset(("square",), ()), RECIPE)


@pytest.mark.parametrize("damage", ["missing", "empty", "text"])
def test_a_damaged_picture_is_named(damage: str, make_squares: Callable[..., Dataset]) -> None:
    data = make_squares(3)
    victim = data.samples[1].picture
    if damage == "missing":
        victim.unlink()
    else:
        victim.write_bytes(b"" if damage == "empty" else b"not a picture")
    with pytest.raises(PictureUnreadable) as caught:
        calibration.collect(data, RECIPE)
    assert victim.name in caught.value.where
