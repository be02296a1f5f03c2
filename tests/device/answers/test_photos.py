"""Photos on request, with what is seen in them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from tartlet_device.answers import photos
from tartlet_device.camera.base import Frame
from tartlet_device.image import Image, RgbPixels
from tartlet_shared.detections import Detections
from tartlet_shared.message_base import FrameInfo
from tartlet_shared.messages import Failure
from tartlet_shared.picture_messages import CaptureRequest, Photo, PredictRequest, unpack


def test_without_being_asked_nobody_looks(daemon: Any, push: Any, make_bundle: Any) -> None:
    daemon.device.model.activate(push(daemon, make_bundle()))
    photo = daemon.connect().ask(CaptureRequest(request_id=1))
    assert isinstance(photo, Photo)
    assert photo.seen is None


def test_without_a_model_a_photo_is_a_photo(daemon: Any) -> None:
    photo = daemon.connect().ask(CaptureRequest(request_id=1, detect=True))
    assert isinstance(photo, Photo)
    assert photo.seen is None
    assert photo.jpeg.startswith(b"\xff\xd8")


def test_each_photo_has_what_is_seen_in_it(daemon: Any, push: Any, make_bundle: Any) -> None:
    digest = push(daemon, make_bundle())
    daemon.device.model.activate(digest)
    client = daemon.connect()
    client.send(CaptureRequest(request_id=1, count=5, detect=True))
    taken = [client.receive() for _ in range(5)]
    assert [each.remaining for each in taken] == [4, 3, 2, 1, 0]
    lefts = set()
    for photo in taken:
        assert photo.seen.model == digest
        assert photo.seen.labels == ("bright",)
        found = unpack(photo.seen.detections)
        _, encoded = cv2.imencode(".png", cv2.imdecode(np.frombuffer(photo.jpeg, np.uint8), 1))
        predicted = client.ask(PredictRequest(request_id=2, picture=encoded.tobytes()))
        expected = unpack(predicted.detections)
        assert len(found) == len(expected) > 0
        assert np.abs(found.xyxy - expected.xyxy).max() <= 2  # the JPEG
        lefts.add(16 * photo.frame.number)
    assert len(lefts) == 5
    assert all(photo.time_s is not None for photo in taken)


def test_boxes_are_in_pixels_of_the_photo() -> None:
    class Model:
        def active(self) -> object:
            return self

        digest, labels = "ab" * 32, ("thing",)

        def detect(self, image: Image, *, score_threshold: None) -> Any:
            box = np.array([[10, 20, 30, 40]])
            return Detections(box, np.array([0.5]), np.array([0])), None, self

    image = Image((100, 50), RgbPixels(np.zeros((100, 200, 3), np.uint8)))

    class Camera:
        def frames(self, count: int, timeout_s: float) -> Any:
            import contextlib

            frame = Frame(image, FrameInfo(number=1, monotonic_ns=1))
            return contextlib.nullcontext(iter([frame]))

    class Now:
        def submit(self, work: Any, *arguments: Any) -> Any:
            class Done:
                def result(self) -> bytes:
                    return work(*arguments)  # type: ignore[no-any-return]

            return Done()

    request = CaptureRequest(request_id=1, detect=True)
    (photo,) = photos.taken(request, Camera(), Model(), Now(), frame_timeout_s=1.0)  # type: ignore[arg-type]
    assert (photo.width, photo.height) == (200, 100)
    assert photo.seen is not None
    assert unpack(photo.seen.detections).xyxy.tolist() == [[20, 40, 60, 80]]


@pytest.mark.parametrize("detect", [False, True])
def test_a_camera_that_fails_is_told(daemon: Any, detect: bool) -> None:
    daemon.device.camera.stop()
    answer = daemon.connect().ask(CaptureRequest(request_id=1, detect=detect))
    assert isinstance(answer, Failure)
    assert answer.code == "device"
