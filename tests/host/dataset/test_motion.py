"""Motion labels on footage made for the purpose: who walks is found, shadows and noise are not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tartlet_host.dataset import motion, video
from tartlet_host.dataset.background import SubtractionSettings, foreground, learn_background
from tartlet_shared import errors
from tartlet_shared.nms import box_iou

WIDTH, HEIGHT, FRAMES = 320, 240, 60
SCENE = cv2.resize(
    np.random.default_rng(3).integers(90, 160, (24, 32, 3)).astype(np.uint8), (WIDTH, HEIGHT)
)


def person_height(feet: float) -> float:
    """The perspective of the made-up scene."""
    return 0.22 * feet + 5


def walkers(frame: int) -> list[tuple[float, float]]:
    """Feet (x, y) of four people in a frame: some of them meet."""
    return [
        (20 + 4 * frame, 80),
        (300 - 4 * frame, 150),
        (25 + 5 * frame, 165),
        (310 - 5 * frame, 235),
    ]


def box_of(x: float, feet: float) -> tuple[int, int, int, int]:
    height = person_height(feet)
    width = height * 0.4
    return round(x - width / 2), round(feet - height), round(x + width / 2), round(feet)


def draw(frame: int) -> np.ndarray:
    picture = SCENE.copy()
    for x, feet in walkers(frame):
        left, top, right, bottom = box_of(x, feet)
        # a shadow to the right: the ground at 70 % of its light, all channels alike
        ground = picture[bottom - 4 : bottom, right : right + 25]
        ground[:] = (ground * 0.7).astype(np.uint8)
        cv2.rectangle(picture, (left, top), (right - 1, bottom - 1), (30, 40, 200), -1)
    noise = np.random.default_rng(frame).integers(-4, 5, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frames")
    for frame in range(FRAMES):
        cv2.imwrite(str(folder / f"{frame:03d}.png"), draw(frame)[..., ::-1])
    return folder


def truth(frame: int) -> np.ndarray:
    boxes = np.array([box_of(*feet) for feet in walkers(frame)], np.float32)
    inside = (boxes[:, 0] >= 2) & (boxes[:, 2] <= WIDTH - 2)
    return boxes[inside]


def test_people_are_found_where_they_are(frames: Path) -> None:
    labelled = motion.label_footage(frames)
    assert [each.number for each in labelled] == list(range(1, FRAMES + 1))
    found = wanted = false = missed_silently = 0
    for each in labelled:
        expected = truth(each.number - 1)
        iou = box_iou(expected, each.boxes[~each.ignore])
        hit = iou.max(axis=1, initial=0) >= 0.5
        wanted += len(expected)
        found += int(hit.sum())
        everyone = np.array([box_of(*feet) for feet in walkers(each.number - 1)], np.float32)
        false += int(
            (box_iou(each.boxes[~each.ignore], everyone).max(axis=1, initial=0) < 0.4).sum()
        )
        ignored = box_iou(expected[~hit], each.boxes[each.ignore]).max(axis=1, initial=0)
        missed_silently += int((ignored == 0).sum())
    assert found / wanted > 0.85
    assert false / wanted < 0.05
    assert missed_silently / wanted < 0.05


def test_shadows_are_not_foreground() -> None:
    settings = SubtractionSettings()
    background = learn_background([draw(frame) for frame in range(0, FRAMES, 3)], settings)
    mask = foreground(draw(10), background, settings)
    for x, feet in walkers(10):
        left, top, right, bottom = box_of(x, feet)
        assert mask[top + 2 : bottom - 2, left + 2 : right - 2].mean() > 0.9
        assert mask[bottom - 4 : bottom, right + 6 : right + 24].mean() < 0.1


def test_an_empty_scene_gives_nothing(tmp_path: Path) -> None:
    for frame in range(10):
        noise = np.random.default_rng(frame).integers(-4, 5, SCENE.shape)
        cv2.imwrite(str(tmp_path / f"{frame}.png"), np.clip(SCENE + noise, 0, 255))
    assert all(len(each.boxes) == 0 for each in motion.label_footage(tmp_path))


def test_without_a_perspective_everything_that_moves_is_ignored(tmp_path: Path) -> None:
    for frame in range(12):  # too few blobs to judge sizes by
        picture = SCENE.copy()
        cv2.rectangle(picture, (20 * frame, 100), (20 * frame + 20, 150), (20, 20, 220), -1)
        cv2.imwrite(str(tmp_path / f"{frame:02d}.png"), picture)
    labelled = motion.label_footage(tmp_path)
    assert any(len(each.boxes) for each in labelled)
    assert all(each.ignore.all() for each in labelled)


def test_only_the_frames_asked_for(frames: Path) -> None:
    seen: list[tuple[int, int]] = []
    labelled = motion.label_footage(
        frames, first=11, last=40, progress=lambda done, total: seen.append((done, total))
    )
    assert [each.number for each in labelled] == list(range(11, 41))
    assert seen[-1] == (30, 30)


def test_a_video_file_and_its_frames_are_the_same_footage(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (WIDTH, HEIGHT))
    for frame in range(7):
        writer.write(draw(frame)[..., ::-1])
    writer.release()
    assert video.count_frames(path) == 7
    assert [number for number, _ in video.read_frames(path, first=3, last=6)] == [3, 4, 5, 6]
    assert [number for number, _ in video.read_frames(path, step=3)] == [1, 4, 7]
    _, picture = next(video.read_frames(path, first=5))
    assert np.abs(picture.astype(int) - draw(4)).mean() < 12  # RGB, not BGR, and frame 5


@pytest.mark.parametrize(
    ("name", "content"), [("gone.avi", None), ("text.avi", b"not a video"), ("empty", "folder")]
)
def test_footage_that_is_none(tmp_path: Path, name: str, content: bytes | str | None) -> None:
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(errors.FootageUnreadable) as caught:
        motion.label_footage(path)
    assert str(path) in caught.value.where


def test_a_damaged_frame_is_named(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "0.jpg"), SCENE)
    (tmp_path / "1.jpg").write_bytes((tmp_path / "0.jpg").read_bytes()[:100])
    with pytest.raises(errors.PictureUnreadable) as caught:
        motion.label_footage(tmp_path)
    assert caught.value.where.endswith("1.jpg")
