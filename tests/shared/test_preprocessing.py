"""Preprocessing as data: shapes, channels, and what contradicts itself."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_shared import letterbox
from tartlet_shared.preprocessing import Preprocessing

sides = st.integers(1, 3000)


@pytest.mark.parametrize(("layout", "shape"), [("nhwc", (1, 48, 64, 3)), ("nchw", (1, 3, 48, 64))])
def test_the_layout_decides_the_tensors_shape(layout: Any, shape: tuple[int, ...]) -> None:
    assert Preprocessing(width=64, height=48, layout=layout).shape == shape


def test_channels_may_have_their_own_scale() -> None:
    assert list(Preprocessing(width=8, height=8, mean=1.0, std=2.0).means) == [1.0] * 3
    own = Preprocessing(width=8, height=8, channel_means=(1, 2, 3), channel_stds=(4, 5, 6))
    assert (list(own.means), list(own.stds)) == ([1, 2, 3], [4, 5, 6])


@pytest.mark.parametrize(
    "values",
    [
        {"channel_means": (1.0, 2.0)},
        {"channel_stds": (1.0, 0.0, 1.0)},
        {"channel_stds": (1.0, -1.0, 1.0)},
        {"mean": float("nan")},
        {"fit": "crop"},
        {"layout": "hwc"},
    ],
)
def test_nonsense_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises((ValueError, msgspec.ValidationError)):
        msgspec.convert({"width": 8, "height": 8, **values}, Preprocessing)


@given(sides, sides, sides, sides)
def test_a_stretched_picture_fills_the_canvas(a: int, b: int, c: int, d: int) -> None:
    placed = letterbox.stretch(a, b, c, d)
    assert (placed.left, placed.top, placed.width, placed.height) == (0, 0, c, d)
    whole = placed.to_picture(placed.to_canvas([[0, 0, a, b]]))  # type: ignore[arg-type]
    assert whole[0].tolist() == pytest.approx([0, 0, a, b], rel=1e-5)


def test_a_size_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        letterbox.stretch(0, 1, 1, 1)
