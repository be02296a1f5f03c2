"""The messages of pictures: photos, predictions, and what is seen in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from tartlet_shared import errors
from tartlet_shared.health_messages import PowerAndHeat
from tartlet_shared.manifest import Probability, Sha256
from tartlet_shared.message_base import FrameInfo, Quality, Reply, Request

if TYPE_CHECKING:
    from tartlet_shared.detections import Detections

PhotoCount = Annotated[int, msgspec.Meta(ge=1, le=100_000)]


class CaptureRequest(Request, frozen=True, kw_only=True):
    """Take photos: ``count`` consecutive frames, JPEG ``quality``, no frame left out.

    Attributes:
        detect: find objects in them too, if a model serves.
    """

    count: PhotoCount = 1
    quality: Quality = 95
    detect: bool = False


class DetectionColumns(msgspec.Struct, frozen=True, kw_only=True):
    """Detections as little-endian columns: float32 ``(n, 4)``, float32 ``(n,)``, int32 ``(n,)``."""

    xyxy: bytes
    score: bytes
    class_id: bytes


class PhotoSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What a model sees in a photo, in the photo's pixels."""

    detections: DetectionColumns
    labels: tuple[str, ...]
    model: Sha256


class Photo(Reply, frozen=True, kw_only=True):
    """One photo; ``remaining`` more follow.

    Attributes:
        time_s: when it was taken, on the wall clock, Unix seconds; None where that is not told.
        clock_synchronized: whether the wall clock can be trusted.
        seen: None if nobody looked, or no model serves.
    """

    jpeg: bytes
    width: int
    height: int
    frame: FrameInfo
    remaining: int = 0
    time_s: float | None = None
    clock_synchronized: bool = False
    seen: PhotoSeen | None = None


class PredictRequest(Request, frozen=True, kw_only=True):
    """Find objects in the next camera frame, or in a picture sent along.

    Attributes:
        picture: encoded JPEG or PNG; empty means take one with the camera.
        score_threshold: overrides the model's own.
        want_picture: send the camera frame back as JPEG of ``quality``.
    """

    picture: bytes = b""
    score_threshold: Probability | None = None
    want_picture: bool = True
    quality: Quality = 90


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time of a prediction went on the device, milliseconds.

    ``capture`` is the wait for the camera or the decoding of the picture sent along.
    """

    capture: float
    preprocess: float
    inference: float
    postprocess: float
    encode: float
    total: float


class Prediction(Reply, frozen=True, kw_only=True):
    """What the active model sees.

    Attributes:
        detections: in pixels of the picture of ``width`` x ``height``.
        jpeg: the camera frame if it was asked for, else empty.
        frame: None for a picture that was sent along.
        conditions: power and heat at the time; the timings of a throttled board are not its own.
    """

    detections: DetectionColumns
    labels: tuple[str, ...]
    model: Sha256
    width: int
    height: int
    timings: Timings
    jpeg: bytes = b""
    frame: FrameInfo | None = None
    conditions: PowerAndHeat | None = None


def pack(detections: Detections) -> DetectionColumns:
    """Detections as wire columns."""
    return DetectionColumns(
        xyxy=detections.xyxy.astype("<f4").tobytes(),
        score=detections.score.astype("<f4").tobytes(),
        class_id=detections.class_id.astype("<i4").tobytes(),
    )


def unpack(columns: DetectionColumns) -> Detections:
    """Wire columns as detections.

    Raises:
        MessageMalformed: the columns have different lengths or impossible values.
    """
    # Here, so that a daemon that starts can greet before numpy is there.
    import numpy as np

    from tartlet_shared.detections import Detections

    try:
        return Detections(
            np.frombuffer(columns.xyxy, "<f4").reshape(-1, 4),
            np.frombuffer(columns.score, "<f4"),
            np.frombuffer(columns.class_id, "<i4").astype(np.int64),
        )
    except ValueError as error:
        raise errors.MessageMalformed(f"detections: {error}") from error
