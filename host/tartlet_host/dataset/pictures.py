"""From a sample to its pixels, wherever they are: a file, an archive, a video."""

from __future__ import annotations

import io
from pathlib import Path

from tartlet_device.preprocess import Picture
from tartlet_host.dataset import video
from tartlet_host.dataset.decoding import decode_bytes
from tartlet_host.dataset.header import Header, read_header
from tartlet_host.dataset.sample import ArchiveMember, PicturePlace, Sample, VideoFrame
from tartlet_shared.errors import PictureUnreadable

_HEAD = 1 << 16


def read_picture(sample: Sample, *, smallest: tuple[int, int] | None = None) -> Picture:
    """Decode a sample's picture to RGB uint8 (height, width, 3), upright.

    Args:
        sample: whose picture.
        smallest: width and height that are enough; a larger picture may come reduced to a half, a
            quarter or an eighth.

    Raises:
        PictureUnreadable: it is missing, damaged, too large, or of another size than the sample.
        FootageUnreadable: the video of a frame is missing or damaged.
    """
    place = sample.picture
    decoded = decode(place, smallest=smallest)
    found = (decoded.shape[1], decoded.shape[0])
    if smallest is not None and not isinstance(place, VideoFrame):
        found = header_of(place).size  # what was decoded may be reduced
    if found != (sample.width, sample.height):
        raise _other_size(sample, found)
    return decoded


def decode(place: PicturePlace, *, smallest: tuple[int, int] | None = None) -> Picture:
    """Decode a picture to RGB uint8 (height, width, 3), upright, whatever its size.

    Args, Raises: see `read_picture`.
    """
    if isinstance(place, VideoFrame):
        return video.read_frame(place.video, place.number)
    return decode_bytes(read_bytes(place), where=str(place), smallest=smallest)


def header_of(place: Path | ArchiveMember) -> Header:
    """A picture's size and orientation without decoding it.

    Raises:
        PictureUnreadable: it is missing, or not a picture.
    """
    try:
        if isinstance(place, Path):
            # One read covers most headers; the rest is seeked over.
            with place.open("rb", buffering=4096) as stream:
                return read_header(stream, where=str(place))
        try:
            head = io.BytesIO(_member(place, min(place.size, _HEAD)))
            return read_header(head, where=str(place))
        except PictureUnreadable:
            return read_header(io.BytesIO(_member(place, place.size)), where=str(place))
    except OSError as error:
        raise _unreadable(place, error) from error


def read_bytes(place: Path | ArchiveMember) -> bytes:
    """A picture's file.

    Raises:
        PictureUnreadable: it is missing.
    """
    try:
        return place.read_bytes() if isinstance(place, Path) else _member(place, place.size)
    except OSError as error:
        raise _unreadable(place, error) from error


def _member(place: ArchiveMember, count: int) -> bytes:
    with place.archive.open("rb", buffering=0) as stream:
        stream.seek(place.offset)
        return stream.read(count)


def _unreadable(place: PicturePlace, error: OSError) -> PictureUnreadable:
    return PictureUnreadable(
        f"cannot read the picture: {error.strerror}",
        where=str(place),
        hint="pictures lie beside the data set's file, or where its file_name says",
    )


def _other_size(sample: Sample, found: tuple[int, int]) -> PictureUnreadable:
    said = f"the picture is {found[0]}x{found[1]} pixels, "
    said += f"the data set says {sample.width}x{sample.height}"
    place = sample.picture
    turned = not isinstance(place, VideoFrame) and header_of(place).orientation >= 5
    if turned and found == (sample.height, sample.width):
        return PictureUnreadable(
            f"{said}: its boxes were drawn on the picture as it is stored, lying on its side",
            where=str(place),
            hint="`tartlet data convert` turns the boxes with the pictures",
        )
    return PictureUnreadable(
        said,
        where=str(place),
        hint="boxes were drawn on another size: label it again or correct the data set",
    )
