"""``POST /predict``: what the model sees in a picture that is sent, or in the camera's next one."""

from __future__ import annotations

import threading
from http import HTTPStatus
from typing import Any

import msgspec

from tartlet_device.handlers import Device
from tartlet_device.web import asking, exchange, multipart
from tartlet_device.web.exchange import Refused, Request, Response
from tartlet_shared import errors, picture_messages
from tartlet_shared.picture_messages import Prediction, PredictRequest

MOST_BYTES = 16_000_000
"""Of a body: a picture of 12 megapixels is 3-8 MB."""
_AT_A_TIME = 2
"""A picture that is decoded may take hundreds of megabytes."""
_PATIENCE_S = 10.0
_PICTURES = ("image/jpeg", "image/png", "image/jpg", "application/octet-stream")
_FORM = "multipart/form-data"


class Predictor:
    """Answers predictions, a few at a time."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._places = threading.BoundedSemaphore(_AT_A_TIME)

    def answer(self, request: Request) -> Response:
        """See `tartlet_device.web.routes`."""
        picture, fields = _picture(request)
        text = fields.get("threshold") or request.query.get("threshold")
        asked = PredictRequest(
            request_id=1,
            picture=picture,
            score_threshold=_threshold(text) if text else None,
            want_picture=False,
        )
        if not self._places.acquire(timeout=_PATIENCE_S):
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "busy",
                f"{_AT_A_TIME} predictions are being made, and others wait",
                hint="ask again a little later",
                headers=(("Retry-After", str(exchange.RETRY_S)),),
            )
        try:
            prediction = asking.one(self._device, asked, Prediction)
        finally:
            self._places.release()
        return exchange.as_json(_as_data(prediction))


def _picture(request: Request) -> tuple[bytes, dict[str, str]]:
    """The picture, empty for the camera's, and the form's other fields."""
    kind = request.content_type
    if not request.body:
        return b"", {}
    if kind in _PICTURES:
        return request.body, {}
    if kind != _FORM:
        raise Refused(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            f"the body is {kind or 'of no type'}",
            hint="send the picture as image/jpeg or image/png, or as a file of a form: "
            "curl -H 'Content-Type: image/jpeg' --data-binary @picture.jpg, or "
            "curl -F file=@picture.jpg",
        )
    parts = multipart.parse(request.body, request.headers["content-type"])
    sent = [part for part in parts if part.file_name is not None]
    if len(sent) != 1:
        raise errors.MessageMalformed(
            f"the form has {len(sent)} files", hint="send one picture at a time"
        )
    fields = {
        part.name: part.content.decode(errors="replace") for part in parts if part.file_name is None
    }
    if not sent[0].content:
        raise errors.PictureUnreadable("the file is empty", where=sent[0].file_name or "")
    return sent[0].content, fields


def _threshold(text: str) -> float:
    try:
        threshold = float(text)
    except ValueError:
        threshold = -1.0
    if not 0 <= threshold <= 1:
        raise errors.UsageError(f"threshold={text!r} is no number from 0 to 1", where="threshold")
    return threshold


def _as_data(prediction: Prediction) -> dict[str, Any]:
    """As `tartlet predict --json` prints it."""
    labels = prediction.labels
    return {
        "model": prediction.model,
        "width": prediction.width,
        "height": prediction.height,
        "frame": prediction.frame,
        "detections": [
            {
                "label": labels[class_id] if class_id < len(labels) else str(class_id),
                "class_id": class_id,
                "score": round(score, 4),
                "box": [round(side, 1) for side in box],
            }
            for box, score, class_id in picture_messages.unpack(prediction.detections)
        ],
        "timings_ms": {
            name: round(ms, 3) for name, ms in msgspec.structs.asdict(prediction.timings).items()
        },
    }
