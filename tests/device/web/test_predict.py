"""``POST /predict``, as people know it from Flask."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import cv2
import pytest

from tartlet_device.camera.owner import CameraOwner
from tartlet_device.image import Image
from tartlet_device.web import asking, prediction
from tests.tiny_model import bright_picture
from tests.unix_http import UnixHttp, once


def encoded(suffix: str = ".png") -> bytes:
    picture = bright_picture((32, 32, 64, 64))
    return cv2.imencode(suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()


def form(*fields: tuple[str, str, bytes]) -> dict[str, Any]:
    body = b""
    for name, file_name, content in fields:
        file = f'; filename="{file_name}"' if file_name else ""
        body += f'--x\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode()
        body += content + b"\r\n"
    return {"body": body + b"--x--\r\n", "Content_Type": "multipart/form-data; boundary=x"}


SENT: list[dict[str, Any]] = [
    {"body": encoded(), "Content_Type": "image/png"},
    {"body": encoded(".jpg"), "Content_Type": "image/jpeg"},
    {"body": encoded(), "Content_Type": "application/octet-stream"},
    form(("image", "spot.png", encoded())),
    form(("file", "spot.jpg", encoded(".jpg")), ("threshold", "", b"0.4")),
]


def test_a_picture_that_is_sent(http: UnixHttp, serving: str, daemon: Any) -> None:
    expected, *_ = daemon.device.model.detect(
        Image.of(bright_picture((32, 32, 64, 64))), score_threshold=None
    )
    for sent in SENT:
        found = http.ask("POST", "/predict", **sent)
        assert found.status == 200, found.content
        detections = found.data["detections"]
        assert {each["label"] for each in detections} == {"bright"}
        assert len(detections) == len(expected)
        for each, (box, score, class_id) in zip(detections, expected, strict=True):
            assert each["box"] == pytest.approx(box, abs=4)
            assert each["score"] == pytest.approx(score, abs=0.1)
            assert each["class_id"] == class_id
        assert (found.data["width"], found.data["height"]) == (128, 96)
        assert found.data["model"] == serving
        assert found.data["frame"] is None
        assert found.data["timings_ms"]["total"] > 0


def test_without_a_picture_the_camera_takes_one(http: UnixHttp, serving: str) -> None:
    found = http.ask("POST", "/predict")
    assert found.data["frame"]["number"] >= 1
    assert found.data["detections"]
    assert http.ask("POST", "/predict?threshold=1").data["detections"] == []
    assert http.ask("GET", "/snapshot.jpg").content[:2] == b"\xff\xd8"


NO_PICTURES: list[tuple[dict[str, Any], int, str]] = [
    ({"body": b"GIF89a", "Content_Type": "image/png"}, 400, "picture-unreadable"),
    ({"body": encoded()[:60], "Content_Type": "image/png"}, 400, "picture-unreadable"),
    (
        {"body": b"x=1", "Content_Type": "application/x-www-form-urlencoded"},
        415,
        "unsupported-media-type",
    ),
    ({"body": b"hello", "Content_Type": "text/plain"}, 415, "unsupported-media-type"),
    ({"body": b"hello", "Content_Type": "multipart/form-data"}, 400, "message-malformed"),
    (form(("text", "", b"no file")), 400, "message-malformed"),
    (
        form(
            ("a", "1.png", b""),
        ),
        400,
        "picture-unreadable",
    ),
    (form(("a", "1.png", b"1"), ("b", "2.png", b"2")), 400, "message-malformed"),
    (form(("a", "1.png", encoded()), ("threshold", "", b"many")), 400, "usage"),
]


def test_what_is_no_picture(http: UnixHttp, serving: str) -> None:
    for sent, status, code in NO_PICTURES:
        found = http.ask("POST", "/predict", **sent)
        assert (found.status, found.code) == (status, code), sent
        assert found.data["error"]["what"]
    assert http.ask("POST", "/predict").status == 200


def test_thresholds_have_a_range(http: UnixHttp, serving: str) -> None:
    for threshold in ("2", "-0.1", "nan", "inf", "x"):
        assert http.ask("POST", f"/predict?threshold={threshold}").code == "usage"


def test_a_picture_that_is_too_large(http: UnixHttp, serving: str) -> None:
    found = http.ask(
        "POST", "/predict", bytes(prediction.MOST_BYTES + 1), Content_Type="image/jpeg"
    )
    assert (found.status, found.code) == (413, "message-too-large")


def test_without_a_model_it_is_to_be_asked_again(http: UnixHttp) -> None:
    found = http.ask("POST", "/predict", encoded(), Content_Type="image/png")
    assert (found.status, found.code) == (503, "no-active-model")
    assert found.headers["retry-after"]
    assert "tartlet push" in found.data["error"]["hint"]


def test_without_a_camera_it_is_to_be_asked_again(
    http: UnixHttp, serving: str, daemon: Any, footage: Any, until: Any
) -> None:
    for path in footage.iterdir():
        path.unlink()
    until(lambda: http.ask("POST", "/predict").status == 503)
    found = http.ask("GET", "/snapshot.jpg")
    assert (found.status, found.code) == (503, "footage-unreadable")
    assert found.headers["retry-after"]
    assert isinstance(daemon.device.camera, CameraOwner)
    sent = http.ask("POST", "/predict", encoded(), Content_Type="image/png")
    assert sent.status == 200  # that needs no camera


def test_too_many_at_once_are_to_be_asked_again(
    http: UnixHttp, serving: str, web: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction, "_PATIENCE_S", 0.1)
    let_go, begun = threading.Event(), threading.Semaphore(0)
    one = asking.one

    def slow(*arguments: Any) -> Any:
        begun.release()
        assert let_go.wait(30)
        return one(*arguments)

    monkeypatch.setattr(asking, "one", slow)
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(once(web, "POST", "/predict").status))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert begun.acquire(timeout=30)
    refused = http.ask("POST", "/predict")
    assert (refused.status, refused.code) == (503, "busy")
    assert refused.headers["retry-after"]
    let_go.set()
    for thread in threads:
        thread.join()
    assert statuses == [200, 200]
    assert http.ask("POST", "/predict").status == 200
