from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_device.image import Image, RgbPixels, YuvPixels, resize
from tartlet_device.preprocess import letterbox_picture
from tartlet_shared.manifest import Preprocessing

COLOURS = [
    *[(220, 40, 40), (40, 200, 40), (40, 60, 220), (220, 220, 40)],
    *[(40, 200, 200), (200, 40, 200), (128, 128, 128), (240, 240, 240)],
]
LAYOUTS = ["YUV420", "NV12"]


def patches(width=320, height=160):
    """Eight patches in two rows, RGB."""
    picture = np.zeros((2, 4, 3), np.uint8)
    picture[:] = np.array(COLOURS).reshape(2, 4, 3)
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_NEAREST)


def smooth(width, height, seed=0):
    """Something with colour everywhere and no edge that halved colour would blur."""
    few = np.random.default_rng(seed).integers(40, 216, (7, 11, 3), np.uint8)
    return cv2.resize(few, (width, height), interpolation=cv2.INTER_LINEAR)


def planar(rgb, layout) -> YuvPixels:
    height, width = rgb.shape[:2]
    planes = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
    if layout == "NV12":
        halves = planes[height:].reshape(2, -1)
        planes = np.concatenate([planes[:height], halves.T.reshape(height // 2, width)])
    return YuvPixels(planes, layout)


def centres(rgb):
    height, width = rgb.shape[:2]
    return rgb[height // 4 :: height // 2, width // 8 :: width // 4].reshape(-1, 3)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [(320, 160), (160, 80), (101, 33), (640, 320)])
def test_colours_are_where_they_belong(layout, size):
    image = Image((320, 160), planar(patches(), layout))
    for picture in (image.rgb(), image.photo(), image.scaled(size)):
        assert np.abs(centres(picture).astype(int) - COLOURS).max() <= 3


@pytest.mark.parametrize("layout", LAYOUTS)
@given(
    width=st.integers(96, 400).map(lambda half: 2 * half),  # at least twice the canvas
    height=st.integers(64, 300).map(lambda half: 2 * half),
    seed=st.integers(0, 9),
)
def test_a_planar_picture_gives_nearly_the_models_input_of_its_rgb(layout, width, height, seed):
    pixels = planar(smooth(width, height, seed), layout)
    preprocessing = Preprocessing(width=96, height=64)
    expected, box = letterbox_picture(pixels.rgb(), preprocessing)
    canvas, same_box = letterbox_picture(Image(pixels.size, pixels), preprocessing)
    assert box == same_box
    difference = np.abs(canvas.astype(int) - expected)
    assert difference.mean() < 1
    assert difference.max() <= 12  # 10 in 24,000 random cases


def test_both_layouts_are_the_same_picture():
    rgb = smooth(128, 96)
    first, second = (planar(rgb, layout) for layout in LAYOUTS)
    assert np.array_equal(first.rgb(), second.rgb())
    assert np.array_equal(first.scaled((50, 40)), second.scaled((50, 40)))


def test_the_small_picture_is_taken_where_it_suffices():
    full, small = planar(patches(), "YUV420"), planar(patches(64, 32) // 2, "YUV420")
    image = Image((320, 160), full, small)
    assert image.scaled((64, 32)).max() < 130  # made darker above, to tell the two apart
    assert image.scaled((66, 32)).max() > 230
    assert image.photo().max() > 230
    only_small = Image((320, 160), None, small)
    assert only_small.scaled((66, 32)).shape == (32, 66, 3)
    assert only_small.rgb().shape == (160, 320, 3)


def test_boxes_refer_to_the_picture_and_not_to_its_small_copy():
    image = Image((1280, 720), None, planar(patches(64, 36), "YUV420"))
    _, box = letterbox_picture(image, Preprocessing(width=64, height=48))
    assert (box.picture_width, box.picture_height) == (1280, 720)
    assert (box.width, box.height) == (64, 36)


def test_a_photo_may_be_larger_than_the_picture():
    image = Image((160, 80), RgbPixels(patches()))
    assert image.photo().shape == (160, 320, 3)
    assert np.array_equal(image.rgb(), resize(patches(), (160, 80)))


def test_rgb_is_letterboxed_as_ever():
    rgb = smooth(130, 70)
    preprocessing = Preprocessing(width=96, height=64)
    assert np.array_equal(
        letterbox_picture(rgb, preprocessing)[0],
        letterbox_picture(Image.of(rgb), preprocessing)[0],
    )


def test_nobody_can_change_a_picture_that_others_hold():
    image = Image.of(patches())
    with pytest.raises(ValueError):
        image.photo()[0] = 0
    with pytest.raises(ValueError):
        planar(patches(), "NV12").planes[0] = 0


def test_a_picture_without_pixels_is_an_error():
    with pytest.raises(ValueError):
        Image((2, 2), None).rgb()
