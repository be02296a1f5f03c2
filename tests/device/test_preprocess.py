from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_device import preprocess
from tartlet_shared import affine, letterbox
from tartlet_shared.affine import Affine
from tartlet_shared.manifest import Preprocessing, Tensor


def tensor(dtype: str, quantization: Affine | None) -> Tensor:
    return Tensor(name="x", shape=(1, 48, 64, 3), dtype=dtype, affine=quantization)


@given(width=st.integers(1, 200), height=st.integers(1, 200), pad=st.integers(0, 255))
def test_letterbox_fills_exactly_the_stated_rectangle(width, height, pad):
    preprocessing = Preprocessing(width=64, height=48, pad_value=pad)
    value = (pad + 100) % 256
    canvas, box = preprocess.letterbox_picture(
        np.full((height, width, 3), value, np.uint8), preprocessing
    )
    assert box == letterbox.fit(width, height, 64, 48)
    expected = np.full((48, 64, 3), pad, np.uint8)
    expected[box.top : box.top + box.height, box.left : box.left + box.width] = value
    assert np.array_equal(canvas, expected)


def test_letterbox_of_a_picture_of_the_canvas_size_changes_nothing():
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    canvas, _ = preprocess.letterbox_picture(picture, Preprocessing(width=64, height=48))
    assert np.array_equal(canvas, picture)


def test_shrinking_averages_areas():
    picture = np.zeros((96, 128, 3), np.uint8)
    picture[::2, ::2] = 200  # every second pixel both ways: any sampling without averaging shows
    canvas, _ = preprocess.letterbox_picture(picture, Preprocessing(width=64, height=48))
    assert (canvas == 50).all()


def test_letterbox_takes_a_read_only_picture():
    picture = np.zeros((96, 128, 3), np.uint8)
    picture.setflags(write=False)
    canvas, _ = preprocess.letterbox_picture(picture, Preprocessing(width=64, height=48))
    assert canvas.flags.writeable


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_letterbox_refuses_what_is_no_picture(picture):
    with pytest.raises(ValueError):
        preprocess.letterbox_picture(picture, Preprocessing(width=64, height=48))


@given(
    mean=st.floats(-10, 300),
    std=st.floats(0.1, 300),
    scale=st.floats(1e-4, 1.0),
    dtype=st.sampled_from(["int8", "uint8"]),
    data=st.data(),
)
def test_input_tensor_equals_the_quantization_of_every_pixel_value(mean, std, scale, dtype, data):
    limits = np.iinfo(dtype)
    quantization = Affine(scale, data.draw(st.integers(limits.min, limits.max)))
    preprocessing = Preprocessing(width=64, height=48, mean=mean, std=std)
    canvas = np.arange(48 * 64 * 3).astype(np.uint8).reshape(48, 64, 3)
    made = preprocess.input_tensor(canvas, preprocessing, tensor(dtype, quantization))
    real = (canvas.astype(np.float64) - mean) / std
    assert made.dtype == dtype
    assert np.array_equal(made[0], affine.quantize(real, quantization, dtype))


def test_input_tensor_of_a_float_model_is_float32():
    canvas = np.arange(48 * 64 * 3).astype(np.uint8).reshape(48, 64, 3)
    made = preprocess.input_tensor(
        canvas, Preprocessing(width=64, height=48), tensor("float32", None)
    )
    assert made.dtype == np.float32
    assert made.shape == (1, 48, 64, 3)
    assert np.array_equal(made[0], (canvas.astype(np.float32) - 127) / 128)
