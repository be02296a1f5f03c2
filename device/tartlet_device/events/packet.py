"""Encoded video on its way from the encoder to the ring and into clips."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

KEY_PICTURE, SEQUENCE_PARAMETERS, PICTURE_PARAMETERS = 5, 7, 8
"""Types of network abstraction layer units, ITU-T H.264 table 7-1."""


@dataclass(frozen=True)
class VideoFormat:
    """What a decoder must know before the first picture.

    Attributes:
        width, height: pixels.
        sequence_parameters, picture_parameters: the H.264 units, without start code.
    """

    width: int
    height: int
    sequence_parameters: bytes
    picture_parameters: bytes


@dataclass(frozen=True)
class VideoPacket:
    """One encoded picture. Pictures are decoded in the order in which they are shown.

    Attributes:
        content: its units, each behind its length as four bytes, big-endian, as MP4 has them.
        monotonic_ns: when it was taken.
        key: whether decoding can start here.
        format: what it was encoded as.
    """

    content: bytes
    monotonic_ns: int
    key: bool
    format: VideoFormat


def units(annex_b: bytes) -> Iterator[bytes]:
    """The units of an encoder's byte stream (ITU-T H.264 annex B), without start codes."""
    start = annex_b.find(b"\0\0\1")
    while start >= 0:
        end = annex_b.find(b"\0\0\1", start + 3)
        unit = annex_b[start + 3 : end if end >= 0 else None].rstrip(b"\0")
        if unit:
            yield unit
        start = end


def unit_type(unit: bytes) -> int:
    """What a unit is."""
    return unit[0] & 0x1F


def with_lengths(wanted: list[bytes]) -> bytes:
    """Units as MP4 has them."""
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in wanted)
