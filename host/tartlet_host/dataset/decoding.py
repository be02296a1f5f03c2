"""From a picture's file to its pixels, whatever kind of file it is.

OpenCV decodes; what it makes of unusual files is tested: EXIF orientation is applied, CMYK, grey,
palettes and 16 bits become 8-bit RGB, transparency is dropped, of an animation the first frame is
taken.
"""

from __future__ import annotations

import io

import cv2
import numpy as np

from tartlet_device.preprocess import Picture
from tartlet_host.dataset.header import Header, read_header
from tartlet_shared.errors import PictureUnreadable

LARGEST_PICTURE = 128_000_000  # pixels; decoded it takes three bytes for each
_JPEG = b"\xff\xd8"
# The flags are named after grey pictures, but are the bits for the size alone.
_REDUCTIONS = (
    (8, cv2.IMREAD_REDUCED_GRAYSCALE_8),
    (4, cv2.IMREAD_REDUCED_GRAYSCALE_4),
    (2, cv2.IMREAD_REDUCED_GRAYSCALE_2),
)
SMALLEST_SIDE = 8  # pixels; a smaller picture shows nothing


def decode_bytes(content: bytes, *, where: str, smallest: tuple[int, int] | None = None) -> Picture:
    """Decode a picture's file; its size is looked at before memory is spent.

    From memory, because OpenCV fills a truncated file up with grey where it reads it by name.

    Args:
        content: the file.
        where: names it in errors.
        smallest: width and height that are enough; a JPEG then comes at a half, a quarter or an
            eighth of its size if that is no smaller, which takes less time and memory.

    Raises:
        PictureUnreadable: see `read_picture`.
    """
    header = read_header(io.BytesIO(content), where=where)
    check_size(header, where=where)
    flags = cv2.IMREAD_COLOR_RGB
    if smallest is not None and content.startswith(_JPEG):
        flags |= _reduction(header.size, smallest)
    try:
        decoded = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        decoded = None
    if decoded is None:
        raise PictureUnreadable(
            "a damaged or cut off picture",
            where=where,
            hint="copy it again, or take it out of the data set",
        )
    return np.asarray(decoded, np.uint8)


def _reduction(size: tuple[int, int], smallest: tuple[int, int]) -> int:
    """OpenCV's flag for the strongest reduction that leaves enough, 0 for none."""
    for part, flag in _REDUCTIONS:
        if size[0] >= part * smallest[0] and size[1] >= part * smallest[1]:
            return flag
    return 0


def check_size(header: Header, *, where: str) -> None:
    """Refuse a picture that would take too much memory.

    Raises:
        PictureUnreadable: it has more than `LARGEST_PICTURE` pixels.
    """
    width, height = header.stored
    if width * height > LARGEST_PICTURE:
        raise PictureUnreadable(
            f"the picture has {width}x{height} pixels and would take "
            f"{width * height * 3 / 1e9:.1f} GB of memory; the limit is "
            f"{LARGEST_PICTURE // 1_000_000} million pixels",
            where=where,
            hint="scale it down or cut it into tiles before labelling",
        )
