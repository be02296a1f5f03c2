"""Photos as files."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tartlet_host import photos
from tartlet_shared.detections import Detections
from tartlet_shared.message_base import FrameInfo
from tartlet_shared.picture_messages import Photo, PhotoSeen, pack

BOX = (20.0, 10.0, 60.0, 40.0)
USER_COMMENT = 37510


def photo(*labels: str, objects: int = 1, looked: bool = True) -> Photo:
    pixels = np.full((64, 96, 3), 90, np.uint8)
    _, jpeg = cv2.imencode(".jpg", pixels)
    found = Detections(
        np.tile(np.array([BOX]), (objects, 1)), np.full(objects, 0.75), np.zeros(objects, int)
    )
    seen = PhotoSeen(detections=pack(found), labels=labels or ("cat",), model="ab" * 32)
    return Photo(
        request_id=1,
        jpeg=jpeg.tobytes(),
        width=96,
        height=64,
        frame=FrameInfo(number=7, monotonic_ns=8),
        time_s=9.0,
        clock_synchronized=True,
        seen=seen if looked else None,
    )


def comment(path: Path) -> str:
    with Image.open(path) as opened:
        content: bytes = opened.getexif().get_ifd(0x8769)[USER_COMMENT]
    assert content.startswith(b"ASCII\0\0\0")
    return content[8:].decode("ascii")


@pytest.mark.parametrize("label", ["cat", "Kätzchen", "貓", "🐈"])
def test_what_was_seen_is_in_the_photo_and_beside_it(tmp_path: Path, label: str) -> None:
    data = photos.write(tmp_path / "a.jpg", photo(label))
    beside = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert json.loads(comment(tmp_path / "a.jpg")) == beside
    assert beside["detections"] == [
        {"label": label, "class_id": 0, "score": 0.75, "box": list(BOX)}
    ]
    assert (beside["width"], beside["height"], beside["time_s"]) == (96, 64, 9.0)
    assert beside["frame"] == {"number": 7, "monotonic_ns": 8}
    assert data == {**beside, "file": str(tmp_path / "a.jpg"), "bytes": data["bytes"]}
    assert data["bytes"] == (tmp_path / "a.jpg").stat().st_size
    assert cv2.imread(str(tmp_path / "a.jpg")).shape == (64, 96, 3)  # type: ignore[union-attr]


def test_a_photo_that_nobody_looked_at_is_as_the_camera_gave_it(tmp_path: Path) -> None:
    taken = photo(looked=False)
    data = photos.write(tmp_path / "a.jpg", taken, boxes=True)
    assert (tmp_path / "a.jpg").read_bytes() == taken.jpeg
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]
    assert "detections" not in data


def test_what_was_seen_goes_with_the_photo_that_is_replaced(tmp_path: Path) -> None:
    photos.write(tmp_path / "a.jpg", photo())
    photos.write(tmp_path / "a.jpg", photo(looked=False))
    assert not (tmp_path / "a.json").exists()


@pytest.mark.parametrize("content", ['{"mine": 1}', "[]", "no JSON", ""])
def test_a_file_of_others_beside_the_photo_stays(tmp_path: Path, content: str) -> None:
    photos.write(tmp_path / "a.jpg", photo())
    (tmp_path / "a.json").write_text(content)
    photos.write(tmp_path / "a.jpg", photo(looked=False))
    assert (tmp_path / "a.json").read_text() == content


def test_more_than_an_exif_comment_holds_is_beside_the_photo_only(tmp_path: Path) -> None:
    photos.write(tmp_path / "a.jpg", photo(objects=900))
    assert len(json.loads((tmp_path / "a.json").read_text())["detections"]) == 900
    with Image.open(tmp_path / "a.jpg") as opened:
        assert not opened.getexif()


def test_boxes_are_drawn_where_the_objects_are(tmp_path: Path) -> None:
    photos.write(tmp_path / "plain.jpg", photo())
    photos.write(tmp_path / "drawn.jpg", photo(), boxes=True)
    plain, drawn = (
        cv2.imread(str(tmp_path / name)).astype(int)  # type: ignore[union-attr]
        for name in ("plain.jpg", "drawn.jpg")
    )
    changed = np.abs(plain - drawn).max(axis=2) > 40
    left, top, right, bottom = (round(side) for side in BOX)
    assert changed[top + 5 : bottom, left].mean() > 0.9
    assert changed[bottom, left:right].mean() > 0.9
    assert not changed[-10:].any()
    assert json.loads(comment(tmp_path / "drawn.jpg"))["detections"]


def test_a_name_that_is_taken_is_not_taken_again(tmp_path: Path) -> None:
    names = []
    for _ in range(12):
        path = photos.free_name(tmp_path, "2026-11-22_08-30-00")
        path.write_bytes(b"x")
        names.append(path.name)
    assert names[:2] == ["2026-11-22_08-30-00.jpg", "2026-11-22_08-30-00_2.jpg"]
    assert len(set(names)) == 12
    assert names[0] == min(names)
