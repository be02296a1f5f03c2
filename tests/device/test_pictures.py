from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_device import pictures
from tartlet_shared import errors

PICTURE = np.random.default_rng(1).integers(0, 256, (30, 40, 3), np.uint8)


def png(picture=PICTURE) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()


def test_png_is_decoded_without_loss_as_rgb():
    assert np.array_equal(pictures.decode_picture(png(), where="x"), PICTURE)


def test_jpeg_keeps_the_colours_apart():
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 250
    seen = pictures.decode_picture(pictures.encode_jpeg(red, 95), where="x")
    assert np.abs(seen.astype(int) - red).max() < 8


@pytest.mark.parametrize("encode", [png, lambda: pictures.encode_jpeg(PICTURE, 80)])
def test_size_is_read_from_the_header(encode):
    assert pictures.picture_size(encode()) == (40, 30)


def bomb() -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + bytes(100)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "neither"),
        (b"hello", "neither"),
        (b"GIF89a" + bytes(50), "neither"),
        (png()[:60], "cannot be decoded"),
        (b"\xff\xd8\xff", "neither"),
        (bomb(), "60000x60000"),
    ],
)
def test_what_cannot_be_read_is_refused(content, words):
    with pytest.raises(errors.PictureUnreadable, match=words) as caught:
        pictures.decode_picture(content, where="the picture")
    assert caught.value.where == "the picture"


@given(st.binary(max_size=300), st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"]))
def test_arbitrary_bytes_are_a_picture_or_a_clear_error(content, start):
    try:
        picture = pictures.decode_picture(start + content, where="x", max_pixels=10_000)
    except errors.PictureUnreadable:
        return
    assert picture.dtype == np.uint8


@given(place=st.integers(0, 2000), value=st.integers(0, 255))
def test_a_damaged_jpeg_is_a_picture_or_a_clear_error(place, value):
    content = bytearray(pictures.encode_jpeg(PICTURE, 80))
    content[place % len(content)] = value
    try:
        pictures.decode_picture(bytes(content), where="x", max_pixels=1_000_000)
    except errors.PictureUnreadable:
        return
