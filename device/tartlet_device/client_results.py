"""What `tartlet_device.Client` gives and takes: objects, photos, pixels."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tartlet_shared import errors, picture_messages
from tartlet_shared.message_base import FrameInfo
from tartlet_shared.picture_messages import DetectionColumns, Timings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]
    """RGB, shape ``(rows, columns, 3)``."""

_NO_PIXELS = "neither bytes, a path nor uint8 pixels of shape (rows, columns, 3)"


@dataclass(frozen=True)
class Found:
    """An object in a picture.

    Attributes:
        label: its class.
        class_id: index into the model's labels.
        score: in ``[0, 1]``.
        box: left, top, right, bottom in pixels of the picture.
    """

    label: str
    class_id: int
    score: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Prediction:
    """What the model sees in a picture.

    Attributes:
        objects: best score first.
        width, height: of the picture.
        model: digest of the model that looked.
        timings: where the time went, milliseconds.
        frame: which frame of the camera; None for a picture that was given.
        jpeg: the camera's picture if it was wanted, else empty.
    """

    objects: tuple[Found, ...]
    width: int
    height: int
    model: str
    timings: Timings
    frame: FrameInfo | None = None
    jpeg: bytes = field(default=b"", repr=False)

    def rgb(self) -> Picture:
        """The camera's picture, RGB uint8 ``(rows, columns, 3)``.

        Raises:
            PictureUnreadable: it was not wanted.
        """
        return _decoded(self.jpeg)


@dataclass(frozen=True)
class Photo:
    """A photo, as large as the camera gives it.

    Attributes:
        jpeg: it.
        width, height: of it.
        frame: which frame of the camera.
        time_s: when it was taken, on the wall clock, Unix seconds.
        clock_synchronized: whether that can be trusted.
        objects: what the model sees in it; None if nobody looked, or no model serves.
    """

    jpeg: bytes = field(repr=False)
    width: int
    height: int
    frame: FrameInfo
    time_s: float | None
    clock_synchronized: bool
    objects: tuple[Found, ...] | None

    def rgb(self) -> Picture:
        """The photo, RGB uint8 ``(rows, columns, 3)``."""
        return _decoded(self.jpeg)


def objects_in(columns: DetectionColumns, labels: tuple[str, ...]) -> tuple[Found, ...]:
    """Objects, with the names of their classes."""
    return tuple(
        Found(labels[class_id] if class_id < len(labels) else str(class_id), class_id, score, box)
        for box, score, class_id in picture_messages.unpack(columns)
    )


def encoded(picture: bytes | str | Path | Picture) -> bytes:
    """A picture as the daemon takes it.

    Raises:
        PictureUnreadable: it is none, or cannot be read.
    """
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, str | Path):
        try:
            return Path(picture).read_bytes()
        except OSError as error:
            raise errors.PictureUnreadable(
                f"cannot be read: {error.strerror}", where=str(picture)
            ) from error
    return _png(picture)


def _png(pixels: Any) -> bytes:
    """Lossless, so that the model sees what was given; hardly compressed, which takes long."""
    import cv2  # takes a while to load
    import numpy as np

    if not (isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.ndim == 3):
        raise errors.PictureUnreadable(_NO_PIXELS, where="the picture")
    if pixels.shape[2] != 3 or pixels.size == 0:
        raise errors.PictureUnreadable(f"{_NO_PIXELS}: shape {pixels.shape}", where="the picture")
    bgr = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return encoded.tobytes()


def _decoded(jpeg: bytes) -> Picture:
    from tartlet_device.pictures import decode_picture  # loads OpenCV

    return decode_picture(jpeg, where="the picture")
