"""What a killed process left of a clip: cut after its last whole fragment, it can be played."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def recover(path: Path) -> bool:
    """Cut off what is not whole, and fsync.

    Returns:
        Whether there is something to play.

    Raises:
        OSError: the disk does not let it be read or cut.
    """
    with path.open("r+b") as stream:
        found = list(_boxes(stream))
        ends = [end for kind, end in found if kind == b"mdat"]
        # Media data right behind the file's type: it is complete but for its name. Otherwise the
        # end may be a fragment's table without its data, or a table that nothing refers to yet.
        complete = [kind for kind, _ in found] == [b"ftyp", b"mdat", b"moov"]
        stream.truncate(found[-1][1] if complete else max(ends, default=0))
        stream.flush()
        os.fsync(stream.fileno())
    return bool(ends)


def _boxes(stream: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Kind and end of each whole box."""
    size = stream.seek(0, os.SEEK_END)
    place = 0
    while place + 8 <= size:
        stream.seek(place)
        header = stream.read(16)
        length, kind = struct.unpack_from(">I4s", header)
        if length == 1 and len(header) == 16:
            length = struct.unpack_from(">Q", header, 8)[0]
        if length < 8 or place + length > size:
            return
        place += length
        yield kind, place
