"""Encoded pictures to arrays, RGB uint8 ``(rows, columns, 3)``, and back."""

from __future__ import annotations

import struct

import cv2
import numpy as np

from tartlet_device.preprocess import Picture
from tartlet_shared import errors

MAX_PIXELS = 50_000_000  # 150 MB decoded; a camera of 12 megapixels needs a quarter of that
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
# Start-of-frame markers; C4, C8 and CC in that range mean something else.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def decode_picture(content: bytes, *, where: str, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode a JPEG or PNG.

    The size is read from the header first: a few bytes can claim gigabytes of pixels.

    Raises:
        PictureUnreadable: it is neither, is damaged, or has more than ``max_pixels``.
    """
    size = picture_size(content)
    if size is None:
        raise errors.PictureUnreadable(
            f"{len(content)} bytes that are neither a JPEG nor a PNG",
            where=where,
            hint="send a .jpg or .png file",
        )
    width, height = size
    if width * height > max_pixels:
        raise errors.PictureUnreadable(
            f"{width}x{height} pixels, at most {max_pixels / 1e6:.0f} megapixels are accepted",
            where=where,
            hint="scale it down first",
        )
    try:
        bgr = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise errors.PictureUnreadable(
            f"cannot be decoded: {error.err}", where=where, hint="is the file complete?"
        ) from error
    if bgr is None:
        raise errors.PictureUnreadable(
            "cannot be decoded", where=where, hint="is the file complete?"
        )
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def encode_jpeg(rgb: Picture, quality: int) -> bytes:
    """A picture as JPEG of ``quality`` 1-100."""
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"no JPEG of a picture of shape {rgb.shape}")
    return encoded.tobytes()


def picture_size(content: bytes) -> tuple[int, int] | None:
    """Width and height that the header of a JPEG or PNG states; None for anything else."""
    if content.startswith(_PNG) and content[12:16] == b"IHDR" and len(content) >= 24:
        width, height = struct.unpack_from(">II", content, 16)
        return (width, height) if width and height else None
    if content.startswith(_JPEG):
        return _jpeg_size(content)
    return None


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    place = 2
    while place + 9 <= len(content):
        if content[place] != 0xFF:
            return None
        marker = content[place + 1]
        if marker == 0xFF:  # fill byte
            place += 1
            continue
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", content, place + 5)
            return (width, height) if width and height else None
        place += 2 + struct.unpack_from(">H", content, place + 2)[0]
    return None
