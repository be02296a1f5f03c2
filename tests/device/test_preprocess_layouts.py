"""Inputs of other models: stretched, channels first, blue first, scaled channel by channel."""

from __future__ import annotations

import numpy as np
import pytest

from tartlet_device import preprocess
from tartlet_shared.affine import Affine
from tartlet_shared.manifest import Preprocessing, Tensor

PICTURE = np.random.default_rng(3).integers(0, 256, (6, 8, 3)).astype(np.uint8)


def tensor(canvas: Preprocessing, affine: Affine | None = None) -> Tensor:
    dtype = "float32" if affine is None else "uint8"
    return Tensor(name="in", shape=canvas.shape, dtype=dtype, affine=affine)


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_every_channel_gets_its_own_scale_and_place(layout, order):
    means, stds = (10.0, 20.0, 30.0), (1.0, 2.0, 4.0)
    canvas = Preprocessing(
        width=8, height=6, layout=layout, order=order, channel_means=means, channel_stds=stds
    )
    made = preprocess.input_tensor(PICTURE, canvas, tensor(canvas))
    expected = (PICTURE.astype(np.float64) - means) / stds
    if order == "bgr":
        expected = expected[..., ::-1]
    if layout == "nchw":
        expected = np.moveaxis(expected, -1, 0)
    assert made.shape == canvas.shape
    assert made.flags.c_contiguous
    np.testing.assert_allclose(made[0], expected, rtol=1e-6)


def test_an_integer_input_takes_pixels_as_they_are():
    canvas = Preprocessing(width=8, height=6, mean=128.0, std=128.0, layout="nchw")
    made = preprocess.input_tensor(PICTURE, canvas, tensor(canvas, Affine(1 / 128, 128)))
    assert made.dtype == np.uint8
    assert np.array_equal(made[0], np.moveaxis(PICTURE, -1, 0))


def test_a_stretched_picture_leaves_no_border():
    bright = np.full((10, 40, 3), 200, np.uint8)
    boxed = Preprocessing(width=16, height=16, pad_value=0)
    stretched = Preprocessing(width=16, height=16, pad_value=0, fit="stretch")
    assert (preprocess.letterbox_picture(bright, boxed)[0] == 0).any()
    canvas, place = preprocess.letterbox_picture(bright, stretched)
    assert (canvas == 200).all()
    assert place.to_picture(np.array([[0, 0, 16, 16]], np.float32)).tolist() == [[0, 0, 40, 10]]
