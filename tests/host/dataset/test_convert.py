"""`tartlet data convert`: what comes out is what went in, and nothing is left half-done."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from tartlet_host.cli import cli
from tartlet_host.dataset import coco
from tartlet_host.dataset import convert as converting
from tartlet_host.dataset.archive import index_archive
from tartlet_host.dataset.convert import convert
from tartlet_host.dataset.fingerprint import fingerprint
from tartlet_host.dataset.pictures import read_picture
from tartlet_host.dataset.read import read_dataset
from tartlet_host.dataset.sample import (
    ArchiveMember,
    Dataset,
    Sample,
    VideoFrame,
    file_name,
    without_boxes,
)
from tartlet_shared import errors
from tests.picture_files import write_picture


def sample(picture: Path | ArchiveMember, box: tuple[float, ...] = (4, 5, 20, 15)) -> Sample:
    return Sample(picture, 40, 24, np.array([box], np.float32), np.array([1]), np.array([False]))


@pytest.fixture
def mixed(tmp_path: Path) -> Dataset:
    """Files of one name in two folders, one in an archive, two frames; one without labels."""
    first = write_picture(tmp_path / "in" / "x" / "a.jpg")
    second = write_picture(tmp_path / "in" / "y" / "a.jpg")
    packed = tmp_path / "set.tar"
    with tarfile.open(packed, "w") as tar:
        tar.add(first, "x/a.jpg")
    clip = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 10, (40, 24))
    for frame in range(6):
        writer.write(np.full((24, 40, 3), 40 * frame, np.uint8))
    writer.release()
    place = ArchiveMember(packed, "x/a.jpg", *index_archive(packed)["x/a.jpg"])
    return Dataset(
        ("dog", "cat"),
        (
            sample(first),
            without_boxes(second, 40, 24, labelled=True),
            sample(place, (1, 1, 3, 3)),
            without_boxes(VideoFrame(clip, 5), 40, 24, labelled=False),
            without_boxes(VideoFrame(clip, 2), 40, 24, labelled=True),
        ),
    )


@pytest.mark.parametrize("link", [False, True])
def test_all_sources_become_one_data_set(tmp_path: Path, mixed: Dataset, link: bool) -> None:
    seen: list[tuple[int, int]] = []
    convert(mixed, tmp_path / "out", link=link, progress=lambda *now: seen.append(now))
    made = read_dataset(tmp_path / "out")
    assert made.labels == mixed.labels
    assert seen == [(n, 5) for n in range(1, 6)]
    for mine, theirs in zip(made.samples, mixed.samples, strict=True):
        assert mine.labelled == theirs.labelled
        np.testing.assert_array_equal(mine.boxes, theirs.boxes)
        np.testing.assert_array_equal(mine.class_ids, theirs.class_ids)
        difference = np.abs(read_picture(mine).astype(int) - read_picture(theirs))
        assert difference.mean() < 2  # frames went through JPEG
    written = sorted(p.relative_to(tmp_path / "out").as_posix()
                     for p in (tmp_path / "out").rglob("*") if p.is_file())  # fmt: skip
    copies = [
        "pictures/clip/000002.jpg", "pictures/clip/000005.jpg",
        "pictures/x/a-2.jpg", "pictures/x/a.jpg", "pictures/y/a.jpg",
    ]  # fmt: skip
    assert written == ["labels.json", *([] if link else copies)]


def test_boxes_drawn_on_a_picture_on_its_side_are_turned(tmp_path: Path) -> None:
    """COCO is read without opening pictures, so training refuses such a picture by name."""
    place = write_picture(tmp_path / "a.jpg", orientation=6)
    with pytest.raises(errors.PictureUnreadable, match="on its side") as caught:
        read_picture(sample(place))
    assert "tartlet data convert" in caught.value.hint
    made = convert(Dataset(("a", "b"), (sample(place),)), tmp_path / "out")
    assert (made.samples[0].width, made.samples[0].height) == (24, 40)
    assert made.samples[0].boxes.tolist() == [[24 - 15, 4, 24 - 5, 20]]
    assert read_picture(made.samples[0]).shape == (40, 24, 3)


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interrupted_run_leaves_nothing(
    tmp_path: Path, mixed: Dataset, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    def broken(*_: object) -> bytes:
        raise fault

    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(converting, "_jpeg", broken)
    with pytest.raises(type(fault)):
        convert(mixed, tmp_path / "out")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_with_something_in_it_is_not_touched(tmp_path: Path, mixed: Dataset) -> None:
    (tmp_path / "out").mkdir()
    convert(mixed, tmp_path / "out")
    with pytest.raises(errors.UsageError, match="something already"):
        convert(mixed, tmp_path / "out")


def test_a_picture_of_another_size_is_refused(tmp_path: Path) -> None:
    place = write_picture(tmp_path / "a.jpg", 41, 24)
    with pytest.raises(errors.DatasetError, match="is 40x24 pixels, the picture is 41x24"):
        convert(Dataset(("a", "b"), (sample(place),)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command(tmp_path: Path) -> None:
    for name in "abc":
        write_picture(tmp_path / "in" / "images" / f"{name}.jpg")
    (tmp_path / "in" / "labels").mkdir()
    (tmp_path / "in" / "labels" / "a.txt").write_text("0 0.5 0.5 0.25 0.5")
    (tmp_path / "in" / "labels" / "b.txt").write_text("")
    out = tmp_path / "out"
    result = CliRunner().invoke(
        cli, ["data", "convert", str(tmp_path / "in"), "-o", str(out), "--json"]
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {
        "dataset": str(out / "labels.json"),
        "labels": ["0"],
        "pictures": 3,
        "boxes": 1,
        "ignored": 0,
        "background": 1,
        "unlabelled": 1,
    }
    result = CliRunner().invoke(cli, ["data", "convert", str(out), "-o", str(tmp_path / "again")])
    assert result.exit_code == 0
    assert "1 pictures are background" in result.stderr
    assert "1 pictures have no label file" in result.stderr


def test_the_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    data = Dataset(("a", "b"), (sample(write_picture(tmp_path / "a.jpg")),))
    made = convert(data, tmp_path / "out")
    assert fingerprint(made) == fingerprint(data)
    moved = Dataset(data.labels, (sample(tmp_path / "a.jpg", (4, 5, 20, 16)),))
    renamed = Dataset(("a", "c"), data.samples)
    assert len({fingerprint(each) for each in (data, moved, renamed)}) == 3


def test_unlabelled_pictures_stay_unlabelled_in_the_file(tmp_path: Path) -> None:
    places = [write_picture(tmp_path / f"{n}.jpg") for n in range(2)]
    data = Dataset(
        ("a",), tuple(without_boxes(p, 40, 24, labelled=n == 0) for n, p in enumerate(places))
    )
    coco.write(data, tmp_path / "labels.json")
    images = json.loads((tmp_path / "labels.json").read_text())["images"]
    assert [each.get("labelled") for each in images] == [None, False]
    again = coco.read(tmp_path / "labels.json")
    assert [(file_name(s.picture), s.labelled) for s in again.samples] == [
        ("0.jpg", True),
        ("1.jpg", False),
    ]
