"""What the demo plays, and the test set that comes with it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tartlet_host import footage
from tartlet_host.dataset import coco
from tartlet_host.demo import scene, testing
from tartlet_shared import errors

TRUTH = Path(__file__).parents[3] / "models" / "people" / "test.json"


def clip(path: Path, frames: int) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (160, 120))
    for frame in range(frames):
        picture = np.full((120, 160, 3), 128, np.uint8)
        cv2.rectangle(picture, (frame % 140, 40), (frame % 140 + 14, 80), (20, 20, 200), -1)
        writer.write(picture)
    writer.release()
    return path


def test_the_truth_is_sixty_frames_that_training_never_sees() -> None:
    data = coco.read(TRUTH)
    numbers = [int(sample.picture.stem) for sample in data.samples]
    assert len(numbers) == len(set(numbers)) == 60
    assert min(numbers) >= 560
    assert max(numbers) <= footage.FRAMES
    assert data.labels == ("person",)
    assert sum(int((~sample.ignore).sum()) for sample in data.samples) > 400
    assert "How they were made" in TRUTH.read_text(encoding="utf-8")


def test_ones_own_footage_is_split_by_time_with_a_gap(tmp_path: Path) -> None:
    own = scene.own(clip(tmp_path / "a.avi", 120), "robot", None)
    assert own.train[0] == 1
    assert own.train[1] < own.test[0] - 1
    assert own.test[1] == 120
    assert own.recipe.labels == ("robot",)
    assert own.truth is None


def test_footage_that_is_too_short_says_how_much_is_needed(tmp_path: Path) -> None:
    with pytest.raises(errors.FootageUnreadable, match="20 frames, the demo needs 100"):
        scene.own(clip(tmp_path / "a.avi", 20), "robot", None)


def test_a_test_set_is_written_with_its_pictures(tmp_path: Path) -> None:
    own = scene.own(clip(tmp_path / "a.avi", 120), "robot", None)
    dataset, origin = testing.make_test_set(own, tmp_path / "test")
    assert origin == testing.FROM_MOTION
    again = coco.read(tmp_path / "test" / "labels.json")
    assert len(again.samples) == len(dataset.samples) == 37
    assert all(sample.picture.is_file() for sample in again.samples)
    assert min(int(sample.picture.stem) for sample in again.samples) == own.test[0]
