"""Answers to `PredictRequest`: what the model sees in a frame, or in a picture sent along."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Executor

from tartlet_device.camera.owner import CameraOwner
from tartlet_device.image import Image
from tartlet_device.model import ServingModel
from tartlet_device.pictures import decode_picture, encode_jpeg
from tartlet_device.power import PowerWatch
from tartlet_shared.picture_messages import Prediction, PredictRequest, Timings, pack


def predicted(
    request: PredictRequest,
    camera: CameraOwner,
    model: ServingModel,
    encoder: Executor,
    power: PowerWatch,
    *,
    frame_timeout_s: float,
) -> Iterator[Prediction]:
    """One prediction.

    Raises:
        TartletError: no model serves, or camera or picture do not work; says why.
    """
    start = time.perf_counter()
    if request.picture:
        image = Image.of(decode_picture(request.picture, where="the picture sent along"))
        info = None
    else:
        frame = camera.next_frame(frame_timeout_s, full=request.want_picture)
        image, info = frame.image, frame.info
    captured = time.perf_counter()
    # Encoded beside the inference, on another core; both release the interpreter's lock.
    wanted = request.want_picture and info is not None
    encoding = encoder.submit(_jpeg, image, request.quality) if wanted else None
    found, times, active = model.detect(image, score_threshold=request.score_threshold)
    detected = time.perf_counter()
    jpeg = encoding.result() if encoding is not None else b""
    done = time.perf_counter()
    width, height = image.size
    yield Prediction(
        request_id=request.request_id,
        detections=pack(found),
        labels=active.labels,
        model=active.digest,
        width=width,
        height=height,
        timings=Timings(
            capture=(captured - start) * 1e3,
            preprocess=times.preprocess,
            inference=times.inference,
            postprocess=times.postprocess,
            encode=(done - detected) * 1e3,
            total=(done - start) * 1e3,
        ),
        jpeg=jpeg,
        frame=info,
        conditions=power.now(),
    )


def _jpeg(image: Image, quality: int) -> bytes:
    return encode_jpeg(image.rgb(), quality)
