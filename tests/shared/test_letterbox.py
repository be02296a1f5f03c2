"""The letterbox's inverse is exact, and the picture always lies inside the canvas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_shared import letterbox

sizes = st.integers(1, 5000)
canvases = st.integers(8, 1280)


@given(sizes, sizes, canvases, canvases, st.integers(0, 2**32 - 1))
def test_a_box_comes_back(pw: int, ph: int, cw: int, ch: int, seed: int) -> None:
    geometry = letterbox.fit(pw, ph, cw, ch)
    random = np.random.default_rng(seed)
    corners = np.sort(random.uniform(0, 1, (5, 2, 2)), axis=1) * [pw, ph]
    boxes = corners.reshape(5, 4).astype(np.float32)
    back = geometry.to_picture(geometry.to_canvas(boxes))
    # float32 canvas coordinates: the error grows with how much the picture was shrunk.
    tolerance = 1e-3 * max(pw / geometry.width, ph / geometry.height, 1)
    assert np.abs(back - boxes).max() <= tolerance


@given(sizes, sizes, canvases, canvases)
def test_the_picture_lies_inside_and_touches_two_sides(pw: int, ph: int, cw: int, ch: int) -> None:
    geometry = letterbox.fit(pw, ph, cw, ch)
    assert geometry.left >= 0
    assert geometry.top >= 0
    assert geometry.left + geometry.width <= cw
    assert geometry.top + geometry.height <= ch
    assert geometry.width == cw or geometry.height == ch
    assert abs((cw - geometry.width) - 2 * geometry.left) <= 1


@given(sizes, sizes, canvases, canvases)
def test_the_whole_picture_is_the_whole_rectangle(pw: int, ph: int, cw: int, ch: int) -> None:
    geometry = letterbox.fit(pw, ph, cw, ch)
    whole = np.array([[0, 0, pw, ph]], np.float32)
    expected = [
        geometry.left,
        geometry.top,
        geometry.left + geometry.width,
        geometry.top + geometry.height,
    ]
    np.testing.assert_allclose(geometry.to_canvas(whole)[0], expected, atol=1e-3)


@pytest.mark.parametrize(
    ("picture", "canvas", "expected"),
    [
        ((768, 576), (320, 256), (0, 8, 320, 240)),
        ((640, 480), (320, 320), (0, 40, 320, 240)),
        ((480, 640), (320, 320), (40, 0, 240, 320)),
        ((100, 100), (320, 320), (0, 0, 320, 320)),
        ((1, 5000), (320, 320), (159, 0, 1, 320)),
        ((1000, 333), (320, 320), (0, 106, 320, 107)),
    ],
)
def test_known_places(
    picture: tuple[int, int], canvas: tuple[int, int], expected: tuple[int, int, int, int]
) -> None:
    found = letterbox.fit(*picture, *canvas)
    assert (found.left, found.top, found.width, found.height) == expected


def test_boxes_in_the_padding_are_clipped() -> None:
    geometry = letterbox.fit(640, 480, 320, 320)
    padding = np.array([[0, 0, 320, 20]], np.float32)
    assert geometry.to_picture(padding).tolist() == [[0, 0, 640, 0]]
    assert geometry.to_picture(padding, clip=False)[0, 1] < 0


@pytest.mark.parametrize("sizes", [(0, 1, 1, 1), (1, 1, 1, 0), (1, -3, 1, 1)])
def test_sizes_below_one_pixel_are_refused(sizes: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="at least 1 pixel"):
        letterbox.fit(*sizes)
