"""MP4 of one H.264 track, written so that it can be played however the writing ends.

While it is written the file is a fragmented one (ISO/IEC 14496-12, movie fragments): the head says
the format only, each fragment brings its own table, and what is there can be played after any of
them. When it is complete, one table for the whole is written at the end and the fragments become
plain media data, by overwriting the header of a box that was left free for it at the start. Nothing
is copied, and players see an ordinary file that they can seek in.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from tartlet_device.events.packet import VideoFormat

TIMESCALE = 90_000
"""Ticks of a second."""
RESERVED = struct.pack(">I4sQ", 16, b"free", 0)
"""Becomes the header of the media data, whose size takes 64 bits."""
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_TRACK = 1
_KEY_FLAGS, _OTHER_FLAGS = 0x02000000, 0x01010000


@dataclass(frozen=True)
class Sample:
    """One picture in the file.

    Attributes:
        size: bytes.
        duration: ticks.
        key: whether decoding can start here.
        offset: where it lies in the file; 0 while that does not matter.
    """

    size: int
    duration: int
    key: bool
    offset: int = 0


def box(kind: bytes, *content: bytes) -> bytes:
    """One box."""
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def head(video: VideoFormat) -> bytes:
    """How the file starts: its type, room for a header, and the format."""
    brands = box(b"ftyp", b"isom", struct.pack(">I", 0x200), b"isomiso5iso6mp41")
    extends = box(b"mvex", _full(b"trex", 0, 0, struct.pack(">5I", _TRACK, 1, 0, 0, 0)))
    return brands + RESERVED + box(b"moov", _movie(0), _track(video, (), 0), extends)


def reserved_at() -> int:
    """Where in the file the reserved header lies."""
    return 32


def fragment(number: int, start: int, samples: Sequence[Sample]) -> tuple[bytes, int]:
    """The table of a fragment and the header of its data, which is to follow.

    Args:
        number: counts fragments, from 1.
        start: of its first picture, ticks from the start of the file.

    Returns:
        The bytes; how far behind their start the data begins.
    """
    rows = b"".join(
        struct.pack(">III", each.duration, each.size, _KEY_FLAGS if each.key else _OTHER_FLAGS)
        for each in samples
    )

    def table(data_at: int) -> bytes:
        run = _full(b"trun", 0, 0x701, struct.pack(">Ii", len(samples), data_at), rows)
        return box(
            b"moof",
            _full(b"mfhd", 0, 0, struct.pack(">I", number)),
            box(
                b"traf",
                _full(b"tfhd", 0, 0x020000, struct.pack(">I", _TRACK)),  # offsets from this box
                _full(b"tfdt", 1, 0, struct.pack(">Q", start)),
                run,
            ),
        )

    data_at = len(table(0)) + 8
    size = 8 + sum(each.size for each in samples)
    return table(data_at) + struct.pack(">I4s", size, b"mdat"), data_at


def tail(video: VideoFormat, samples: Sequence[Sample]) -> bytes:
    """The table of the whole file."""
    ticks = sum(each.duration for each in samples)
    return box(b"moov", _movie(ticks), _track(video, samples, ticks))


def media_header(size: int) -> bytes:
    """What to write over the reserved header: media data of ``size`` bytes, with this header."""
    return struct.pack(">I4sQ", 1, b"mdat", size)


def _full(kind: bytes, version: int, flags: int, *content: bytes) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *content)


def _movie(ticks: int) -> bytes:
    return _full(
        b"mvhd",
        1,
        0,
        struct.pack(">QQIQ", 0, 0, TIMESCALE, ticks),
        struct.pack(">IHHQ", 0x10000, 0x100, 0, 0),
        _MATRIX,
        bytes(24),
        struct.pack(">I", _TRACK + 1),
    )


def _track(video: VideoFormat, samples: Sequence[Sample], ticks: int) -> bytes:
    header = _full(
        b"tkhd",
        1,
        3,
        struct.pack(">QQIIQ", 0, 0, _TRACK, 0, ticks),
        bytes(16),
        _MATRIX,
        struct.pack(">II", video.width << 16, video.height << 16),
    )
    media = box(
        b"mdia",
        _full(b"mdhd", 1, 0, struct.pack(">QQIQHH", 0, 0, TIMESCALE, ticks, 0x55C4, 0)),
        _full(b"hdlr", 0, 0, struct.pack(">I4s", 0, b"vide"), bytes(12), b"video\0"),
        box(
            b"minf",
            _full(b"vmhd", 0, 1, bytes(8)),
            box(b"dinf", _full(b"dref", 0, 0, struct.pack(">I", 1), _full(b"url ", 0, 1))),
            _sample_table(video, samples),
        ),
    )
    return box(b"trak", header, media)


def _sample_table(video: VideoFormat, samples: Sequence[Sample]) -> bytes:
    durations: list[list[int]] = []
    for each in samples:
        if durations and durations[-1][1] == each.duration:
            durations[-1][0] += 1
        else:
            durations.append([1, each.duration])
    keys = [number for number, each in enumerate(samples, 1) if each.key]
    chunks = [(1, 1, 1)] if samples else []  # each picture is a chunk of its own
    return box(
        b"stbl",
        _full(b"stsd", 0, 0, struct.pack(">I", 1), _avc1(video)),
        _table(b"stts", ">II", durations),
        _table(b"stss", ">I", [(key,) for key in keys]) if samples else b"",
        _table(b"stsc", ">III", chunks),
        _full(
            b"stsz",
            0,
            0,
            struct.pack(">II", 0, len(samples)),
            struct.pack(f">{len(samples)}I", *(each.size for each in samples)),
        ),
        _table(b"co64", ">Q", [(each.offset,) for each in samples]),
    )


def _table(kind: bytes, layout: str, rows: Sequence[Sequence[int]]) -> bytes:
    packed = b"".join(struct.pack(layout, *row) for row in rows)
    return _full(kind, 0, 0, struct.pack(">I", len(rows)), packed)


def _avc1(video: VideoFormat) -> bytes:
    parameters = video.sequence_parameters
    # Profile, compatibility and level stand at the start of the parameters (14496-15, 5.3.3.1).
    configuration = box(
        b"avcC",
        bytes((1, *parameters[1:4], 0xFF, 0xE1)),
        struct.pack(">H", len(parameters)) + parameters,
        b"\x01" + struct.pack(">H", len(video.picture_parameters)) + video.picture_parameters,
    )
    return box(
        b"avc1",
        bytes(6) + struct.pack(">H", 1) + bytes(16),
        struct.pack(">HHIIIH", video.width, video.height, 0x480000, 0x480000, 0, 1),
        bytes(32) + struct.pack(">Hh", 24, -1),
        configuration,
    )
