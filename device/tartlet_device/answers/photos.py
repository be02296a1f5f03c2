"""Answers to `CaptureRequest`: photos, and what is seen in them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Executor

import numpy as np

from tartlet_device import machine
from tartlet_device.camera.owner import CameraOwner
from tartlet_device.image import Image, Size
from tartlet_device.model import ServingModel
from tartlet_device.pictures import encode_jpeg
from tartlet_shared import picture_messages
from tartlet_shared.detections import Detections
from tartlet_shared.picture_messages import CaptureRequest, Photo, PhotoSeen


def taken(
    request: CaptureRequest,
    camera: CameraOwner,
    model: ServingModel,
    encoder: Executor,
    *,
    frame_timeout_s: float,
) -> Iterator[Photo]:
    """Consecutive frames, none left out.

    Raises:
        TartletError: the camera does not work, or the connection is too slow; says why.
    """
    with camera.frames(request.count, frame_timeout_s) as frames:
        for number, frame in enumerate(frames, start=1):
            photo = frame.image.photo()
            height, width = photo.shape[:2]
            # Encoded beside the inference, on another core.
            encoding = encoder.submit(encode_jpeg, photo, request.quality)
            seen = _seen(frame.image, (width, height), model) if request.detect else None
            age_s = (time.monotonic_ns() - frame.info.monotonic_ns) / 1e9
            yield Photo(
                request_id=request.request_id,
                jpeg=encoding.result(),
                width=width,
                height=height,
                frame=frame.info,
                remaining=request.count - number,
                time_s=time.time() - age_s,
                clock_synchronized=machine.clock_synchronized(),
                seen=seen,
            )


def _seen(image: Image, photo_size: Size, model: ServingModel) -> PhotoSeen | None:
    if model.active() is None:
        return None
    found, _, active = model.detect(image, score_threshold=None)
    # Boxes are in pixels of the picture that predictions show, which may be smaller.
    scale = np.tile(np.divide(photo_size, image.size), 2)
    return PhotoSeen(
        detections=picture_messages.pack(
            Detections(found.xyxy * scale, found.score, found.class_id)
        ),
        labels=active.labels,
        model=active.digest,
    )
