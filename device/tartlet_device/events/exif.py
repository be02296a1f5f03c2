"""A comment inside a JPEG, where picture viewers look for one (Exif 2.32, UserComment)."""

from __future__ import annotations

import struct

MAX_COMMENT = 65_000
"""Bytes; a segment of a JPEG holds 65,533."""
_START = b"\xff\xd8"
_APP1 = 0xE1
_EXIF_FOLDER, _USER_COMMENT = 0x8769, 0x9286
_LONG, _UNDEFINED = 4, 7


def with_comment(jpeg: bytes, comment: str) -> bytes:
    """The JPEG with an ASCII comment.

    Raises:
        ValueError: it is no JPEG, or the comment is too long or not ASCII.
    """
    if not jpeg.startswith(_START):
        raise ValueError("no JPEG")
    text = b"ASCII\0\0\0" + comment.encode("ascii")
    if len(text) > MAX_COMMENT:
        raise ValueError(f"a comment of {len(text)} bytes, at most {MAX_COMMENT} are possible")
    # Two folders of one entry each; a folder is a count, entries of 12 bytes, and a link of 4.
    second, data = 8 + 18, 8 + 18 + 18
    tiff = (
        b"MM\0*"
        + struct.pack(">I", 8)
        + _folder(_EXIF_FOLDER, _LONG, 1, second)
        + _folder(_USER_COMMENT, _UNDEFINED, len(text), data)
        + text
    )
    body = b"Exif\0\0" + tiff
    return _START + struct.pack(">BBH", 0xFF, _APP1, len(body) + 2) + body + jpeg[2:]


def _folder(tag: int, kind: int, count: int, value: int) -> bytes:
    return struct.pack(">HHHIII", 1, tag, kind, count, value, 0)
