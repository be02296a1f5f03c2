"""A picture's size and orientation from the first bytes of its file; no pixel is decoded.

Sources: ITU-T T.81 (JPEG markers), CIPA DC-008 (EXIF orientation), W3C PNG (IHDR, eXIf), RFC 9649
(WebP), GIF89a, TIFF 6.0, and Microsoft's BITMAPINFOHEADER.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from tartlet_shared.errors import PictureUnreadable

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture's file says about itself.

    Attributes:
        stored: width and height of the pixels as they are stored.
        orientation: EXIF's, 1-8: how to turn and mirror them to stand upright.
    """

    stored: tuple[int, int]
    orientation: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright picture."""
        width, height = self.stored
        return (height, width) if self.orientation >= 5 else (width, height)


def read_header(stream: BinaryIO, *, where: str) -> Header:
    """Read a JPEG, PNG, WebP, GIF, TIFF or BMP file's header; seeks over what it does not need.

    Raises:
        PictureUnreadable: it is none of these, or ends in its header.
    """
    start = stream.read(16)
    for matches, parse in _FORMATS:
        if matches(start):
            stream.seek(0)
            try:
                header = parse(stream)
            except (struct.error, EOFError) as error:
                raise PictureUnreadable(
                    "the picture's header is cut off or damaged", where=where, hint=_DAMAGED
                ) from error
            if min(header.stored) < 1:
                raise PictureUnreadable(
                    "its header says it has no pixels", where=where, hint=_DAMAGED
                )
            return header
    raise _unknown(start, where)


_DAMAGED = "copy it again, or take it out of the data set"


def _unknown(start: bytes, where: str) -> PictureUnreadable:
    if not start:
        return PictureUnreadable("the file is empty", where=where, hint=_DAMAGED)
    if start[4:8] == b"ftyp":
        return PictureUnreadable(
            "HEIC and AVIF pictures are not read",
            where=where,
            hint="export it as JPEG; phones have a setting for it ('Most compatible')",
        )
    return PictureUnreadable(
        "not a picture, or a damaged one",
        where=where,
        hint="pictures are JPEG, PNG, WebP, GIF, TIFF or BMP files; " + _DAMAGED,
    )


def _jpeg(stream: BinaryIO) -> Header:
    stream.seek(2)
    orientation = 1
    while True:
        marker = _marker(stream)
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:  # markers without a length
            continue
        (length,) = _unpack(stream, ">H")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # a start of frame
            _, height, width = _unpack(stream, ">BHH")
            return Header((width, height), orientation)
        if marker in (0xD9, 0xDA):
            raise EOFError("no start of frame")
        if marker == 0xE1:
            content = _take(stream, length - 2)
            if content[:6] == b"Exif\0\0":
                orientation = _orientation(content[6:])
        else:
            stream.seek(length - 2, 1)


def _marker(stream: BinaryIO) -> int:
    """The next marker's code; any number of 0xFF may stand before it."""
    if _take(stream, 1) != b"\xff":
        raise EOFError("no marker")
    code = 0xFF
    while code == 0xFF:
        code = _take(stream, 1)[0]
    return code


def _png(stream: BinaryIO) -> Header:
    stream.seek(8)
    length, kind = _unpack(stream, ">I4s")
    if kind != b"IHDR":
        raise EOFError("no IHDR")
    width, height = _unpack(stream, ">II")
    stream.seek(length - 8 + 4, 1)
    while True:
        try:
            length, kind = _unpack(stream, ">I4s")
        except EOFError:
            return Header((width, height))  # whether the pixels are there, decoding will tell
        if kind == b"eXIf":
            return Header((width, height), _orientation(_take(stream, length)))
        if kind in (b"IDAT", b"IEND"):
            return Header((width, height))
        stream.seek(length + 4, 1)


def _webp(stream: BinaryIO) -> Header:
    stream.seek(12)
    kind, length = _unpack(stream, "<4sI")
    if kind == b"VP8 ":
        tag = _take(stream, 10)
        if tag[3:6] != b"\x9d\x01\x2a":
            raise EOFError("no key frame")
        width, height = struct.unpack("<HH", tag[6:])
        return Header((width & 0x3FFF, height & 0x3FFF))
    if kind == b"VP8L":
        signature, bits = _unpack(stream, "<BI")
        if signature != 0x2F:
            raise EOFError("no lossless signature")
        return Header(((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1))
    if kind != b"VP8X":
        raise EOFError("no picture")
    content = _take(stream, 10)
    size = (1 + int.from_bytes(content[4:7], "little"), 1 + int.from_bytes(content[7:], "little"))
    if not content[0] & 0x08:
        return Header(size)
    stream.seek(length - 10 + length % 2, 1)
    while True:
        try:
            kind, length = _unpack(stream, "<4sI")
        except EOFError:
            return Header(size)
        if kind == b"EXIF":
            return Header(size, _orientation(_take(stream, length).removeprefix(b"Exif\0\0")))
        stream.seek(length + length % 2, 1)


def _gif(stream: BinaryIO) -> Header:
    stream.seek(6)
    width, height = _unpack(stream, "<HH")
    return Header((width, height))


def _bmp(stream: BinaryIO) -> Header:
    stream.seek(14)
    (length,) = _unpack(stream, "<I")
    width, height = _unpack(stream, "<HH") if length == 12 else _unpack(stream, "<ii")
    return Header((width, abs(height)))  # a negative height: rows from the top


def _tiff(stream: BinaryIO) -> Header:
    # A TIFF file is the structure that EXIF data have, its first directory the first picture.
    stream.seek(0)
    (order,) = _unpack(stream, "2s")
    end = "<" if order == b"II" else ">"
    version, offset = _unpack(stream, end + "HI")
    if version != 42:
        raise EOFError("BigTIFF")
    stream.seek(offset)
    (count,) = _unpack(stream, end + "H")
    found = _directory(_take(stream, 12 * count), end)
    if 256 not in found or 257 not in found:
        raise EOFError("no size")
    return Header((found[256], found[257]), _valid(found.get(274, 1)))


def _orientation(exif: bytes) -> int:
    """Tag 274 of EXIF data; 1 where it is missing or damaged, as viewers do."""
    try:
        end = {b"II": "<", b"MM": ">"}[exif[:2]]
        (offset,) = struct.unpack_from(end + "I", exif, 4)
        (count,) = struct.unpack_from(end + "H", exif, offset)
        entries = exif[offset + 2 : offset + 2 + 12 * count]
        return _valid(_directory(entries, end).get(274, 1))
    except (KeyError, struct.error):
        return 1


def _directory(entries: bytes, end: str) -> dict[int, int]:
    """Tags of a TIFF directory with one integer each."""
    found: dict[int, int] = {}
    for start in range(0, len(entries) - 11, 12):
        tag, kind, count = struct.unpack_from(end + "HHI", entries, start)
        if count == 1 and kind in (3, 4):  # unsigned integers of 16 and 32 bits
            (found[tag],) = struct.unpack_from(end + "HI"[kind - 3], entries, start + 8)
    return found


def _valid(orientation: int) -> int:
    return orientation if 1 <= orientation <= 8 else 1


def _take(stream: BinaryIO, count: int) -> bytes:
    content = stream.read(count) if count >= 0 else b""
    if len(content) != count:
        raise EOFError("cut off")
    return content


def _unpack(stream: BinaryIO, form: str) -> tuple[Any, ...]:
    return struct.unpack(form, _take(stream, struct.calcsize(form)))


_FORMATS: tuple[tuple[Callable[[bytes], bool], Callable[[BinaryIO], Header]], ...] = (
    (lambda start: start[:2] == b"\xff\xd8", _jpeg),
    (lambda start: start[:8] == b"\x89PNG\r\n\x1a\n", _png),
    (lambda start: start[:4] == b"RIFF" and start[8:12] == b"WEBP", _webp),
    (lambda start: start[:6] in (b"GIF87a", b"GIF89a"), _gif),
    (lambda start: start[:4] in (b"II*\0", b"MM\0*"), _tiff),
    (lambda start: start[:2] == b"BM", _bmp),
)
