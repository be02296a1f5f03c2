"""Pictures as they come: every kind of file becomes upright 8-bit RGB, or a clear error."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from tartlet_host.dataset import decoding
from tartlet_host.dataset.header import read_header
from tartlet_host.dataset.orientation import upright_boxes
from tartlet_host.dataset.pictures import header_of, read_picture
from tartlet_host.dataset.sample import without_boxes
from tartlet_shared.errors import PictureUnreadable
from tests.picture_files import corners, encoded, write_picture

RGB = Image.fromarray(corners())
KINDS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")


def animation(kind: str) -> bytes:
    stream = io.BytesIO()
    black = Image.fromarray(np.zeros_like(corners()))
    RGB.save(stream, kind, save_all=True, append_images=[black], duration=100, lossless=True)
    return stream.getvalue()


def with_alpha() -> Image.Image:
    picture = RGB.convert("RGBA")
    picture.putalpha(Image.fromarray(np.full((24, 40), 90, np.uint8)))
    return picture


def sixteen_bit(kind: str) -> bytes:
    good, content = cv2.imencode(kind, corners()[..., ::-1].astype(np.uint16) * 257)
    assert good
    return content.tobytes()


UNUSUAL = {
    "grey": (encoded(RGB.convert("L"), "PNG"), "L"),
    "grey and alpha": (encoded(RGB.convert("LA"), "PNG"), "L"),
    "black and white": (encoded(RGB.convert("1"), "PNG"), "1"),
    "alpha is dropped": (encoded(with_alpha(), "PNG"), "RGB"),
    "alpha in WebP": (encoded(with_alpha(), "WEBP"), "RGB"),
    "palette": (encoded(RGB.convert("P", palette=Image.Palette.ADAPTIVE), "PNG"), "RGB"),
    "16 bits": (sixteen_bit(".png"), "RGB"),
    "16 bits in TIFF": (sixteen_bit(".tiff"), "RGB"),
    "CMYK": (encoded(RGB.convert("CMYK"), "JPEG"), "RGB"),
    "CMYK in TIFF": (encoded(RGB.convert("CMYK"), "TIFF"), "RGB"),
    "animated GIF": (animation("GIF"), "RGB"),
    "animated WebP": (animation("WEBP"), "RGB"),
    "animated PNG": (animation("PNG"), "RGB"),
    **{kind: (encoded(RGB, kind), "RGB") for kind in KINDS},
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_every_kind_becomes_rgb(name: str) -> None:
    content, mode = UNUSUAL[name]
    expected = np.asarray(RGB.convert(mode).convert("RGB"), np.int16)
    decoded = decoding.decode_bytes(content, where=name)
    assert decoded.dtype == np.uint8
    assert decoded.shape == expected.shape
    # In the middle of each colour: lossy formats blur the borders between them.
    for row in (6, 18):
        for column in (10, 30):
            assert np.abs(decoded[row, column] - expected[row, column]).max() <= 4
    assert read_header(io.BytesIO(content), where=name).size == (40, 24)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(kind: str, orientation: int) -> None:
    content = encoded(RGB, kind, orientation)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    decoded = decoding.decode_bytes(content, where=kind)
    header = read_header(io.BytesIO(content), where=kind)
    assert header.size == upright.size == decoded.shape[1::-1]
    assert np.abs(decoded.astype(np.int16) - np.asarray(upright.convert("RGB"))).mean() < 6
    assert header.orientation == orientation
    assert header.stored == (40, 24)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_turn_with_their_picture(orientation: int) -> None:
    """The box around the red quarter of the stored picture is around the red one upright."""
    decoded = decoding.decode_bytes(encoded(RGB, "PNG", orientation), where="a")
    stored = np.array([[0, 0, 20, 12], [20, 0, 40, 12], [5, 3, 6, 9]], np.float32)
    boxes = upright_boxes(stored, (40, 24), orientation)
    for box, colour in zip(boxes[:2].astype(int), [(220, 30, 30), (30, 220, 30)], strict=True):
        left, top, right, bottom = box
        assert (decoded[top:bottom, left:right] == colour).all()
        assert (decoded == colour).all(axis=2).sum() == (right - left) * (bottom - top)
    assert (boxes[:, 2:] > boxes[:, :2]).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_none(kind: str, orientation: int) -> None:
    content = encoded(RGB, kind, orientation)
    assert read_header(io.BytesIO(content), where="a").size == (40, 24)
    assert decoding.decode_bytes(content, where="a").shape == (24, 40, 3)


@given(
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    kind=st.sampled_from(KINDS),
    mode=st.sampled_from(["RGB", "L", "RGBA", "P", "1"]),
    lossless=st.booleans(),
)
def test_the_header_agrees_with_the_decoder(
    size: tuple[int, int], kind: str, mode: str, lossless: bool
) -> None:
    if kind in ("JPEG", "BMP") and mode in ("RGBA", "P"):
        mode = "RGB"
    stream = io.BytesIO()
    Image.new(mode, size).save(stream, kind, lossless=lossless)
    decoded = decoding.decode_bytes(stream.getvalue(), where="a")
    stream.seek(0)
    assert read_header(stream, where="a").size == size == decoded.shape[1::-1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.3, 0.6, 0.9])
def test_a_cut_off_file_is_an_error_not_a_grey_picture(kind: str, kept: float) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (120, 160, 3), np.uint8)
    content = encoded(Image.fromarray(noise), kind)
    with pytest.raises(PictureUnreadable) as caught:
        decoding.decode_bytes(content[: int(len(content) * kept)], where="holiday.jpg")
    assert caught.value.where == "holiday.jpg"
    assert caught.value.hint


@given(st.data())
def test_damage_raises_nothing_else(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(UNUSUAL)))
    content = bytearray(UNUSUAL[name][0])
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, min(len(content), 200) - 1))
        content[place] = data.draw(st.integers(0, 255))
    try:
        header = read_header(io.BytesIO(bytes(content)), where=name)
    except PictureUnreadable:
        return
    assert min(header.size) >= 1


def huge_png() -> bytes:
    """A PNG of 20000x20000 pixels; its header says so in the first 33 bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_a_huge_picture_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: object) -> None:
        raise AssertionError("memory was spent")

    monkeypatch.setattr(cv2, "imdecode", decode)
    with pytest.raises(PictureUnreadable, match="20000x20000") as caught:
        decoding.decode_bytes(huge_png(), where="wall.png")
    assert "1.2 GB" in str(caught.value)
    assert "tiles" in caught.value.hint


def test_one_pixel_is_a_picture(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "dot.png", 1, 1)
    assert header_of(path).size == (1, 1)
    sample = without_boxes(path, 1, 1, labelled=True)
    assert read_picture(sample).shape == (1, 1, 3)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"GIF", "not a picture"),
        (b"%PDF-1.7 and so on", "not a picture"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b"\xff\xd8\xff", "cut off"),
        (b"\xff\xd8\xff\xda\0\x02", "cut off or damaged"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "cut off"),
        (b"II*\0\xff\xff\xff\xff", "cut off"),
        (b"BM" + bytes(30), "no pixels"),
    ],
)
def test_what_is_no_picture_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(PictureUnreadable, match=said) as caught:
        header_of(path)
    assert caught.value.where == str(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path: path.unlink(), "cannot read"),
        (lambda path: write_picture(path, 41, 24), "41x24 pixels, the data set says 40x24"),
        (lambda path: write_picture(path, 40, 24, orientation=6), "lying on its side"),
    ],
)
def test_a_picture_that_changed_is_named(
    tmp_path: Path, change: Callable[[Path], object], said: str
) -> None:
    path = write_picture(tmp_path / "a.jpg")
    sample = without_boxes(path, 40, 24, labelled=True)
    assert read_picture(sample).shape == (24, 40, 3)
    change(path)
    with pytest.raises(PictureUnreadable, match=said) as caught:
        read_picture(sample)
    assert caught.value.hint
