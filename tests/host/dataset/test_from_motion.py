"""From footage to a data set on disk, and the contact sheets one looks at."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from tartlet_host.cli import cli
from tartlet_host.dataset import coco, contact_sheet
from tartlet_host.dataset.sample import Dataset, Sample
from tartlet_shared import errors


def clip(path: Path, frames: int = 40) -> Path:
    """A grey scene with four dark figures walking through it."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (320, 240))
    for frame in range(frames):
        picture = np.full((240, 320, 3), 128, np.uint8)
        for row, feet in enumerate((110, 150, 190, 230)):
            height, x = round(0.3 * feet + 5), (20 + 90 * row + (4 + row) * frame) % 300
            cv2.rectangle(
                picture, (x, feet - height), (x + height * 2 // 5, feet), (30, 20, 20), -1
            )
        writer.write(picture)
    writer.release()
    return path


def test_the_command_writes_a_data_set_that_can_be_read(tmp_path: Path) -> None:
    import json

    footage = clip(tmp_path / "clip.avi")
    result = CliRunner().invoke(
        cli,
        [
            "label",
            "--from-motion",
            str(footage),
            "-o",
            str(tmp_path / "data"),
            "--label",
            "robot",
            "--frames",
            "5-30",
            "--json",
        ],
    )
    assert result.exit_code == 0, result.output
    reported = json.loads(result.output)
    data = coco.read(Path(reported["dataset"]))
    assert data.labels == ("robot",)
    assert len(data.samples) == reported["pictures"] == 26
    assert sum(int((~each.ignore).sum()) for each in data.samples) == reported["boxes"] > 60
    assert data.samples[0].picture.name == "000005.jpg"
    for each in data.samples:
        assert cv2.imread(str(each.picture)).shape == (240, 320, 3)
    for sheet in reported["sheets"]:
        assert cv2.imread(sheet) is not None


@pytest.mark.parametrize("frames", ["0-5", "7-3", "x", "1-2-3", "-4"])
def test_a_range_that_is_none(tmp_path: Path, frames: str) -> None:
    result = CliRunner().invoke(cli, ["label", "--from-motion", "x.avi", "--frames", frames])
    assert result.exit_code == 2
    assert "range" in result.output or "frames" in result.output


def test_a_missing_picture_is_named_on_the_sheet(tmp_path: Path) -> None:
    nothing = np.zeros((0, 4), np.float32)
    sample = Sample(
        tmp_path / "gone.jpg", 10, 10, nothing, np.zeros(0, np.int64), np.zeros(0, np.bool_)
    )
    with pytest.raises(errors.PictureUnreadable) as caught:
        contact_sheet.write_sheets(Dataset(("a",), (sample,)), tmp_path)
    assert caught.value.where.endswith("gone.jpg")


def test_labels_are_solid_and_ignored_regions_dashed(tmp_path: Path) -> None:
    picture = tmp_path / "p.png"
    cv2.imwrite(str(picture), np.zeros((360, 480, 3), np.uint8))
    boxes = np.array([[50, 50, 100, 150], [200, 50, 250, 150]], np.float32)
    sample = Sample(picture, 480, 360, boxes, np.zeros(2, np.int64), np.array([False, True]))
    drawn = contact_sheet.thumbnail(sample, ("person",))
    solid, dashed = drawn[50, 55:95], drawn[50, 205:245]
    assert (solid.max(axis=1) > 100).all()
    assert 0.3 < (dashed.max(axis=1) > 100).mean() < 0.8
