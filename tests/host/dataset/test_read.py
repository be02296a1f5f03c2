"""The format is found by looking; what cannot be told is said."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tartlet_host.dataset import coco
from tartlet_host.dataset.pictures import read_picture
from tartlet_host.dataset.read import read_dataset
from tartlet_host.dataset.sample import ArchiveMember, VideoFrame, file_name
from tartlet_shared import errors
from tests.picture_files import write_picture

VOC = (
    "<annotation><object><name>cat</name><bndbox><xmin>15</xmin><ymin>6</ymin><xmax>25</xmax>"
    "<ymax>18</ymax></bndbox></object></annotation>"
)
CVAT = (
    '<annotations><image id="0" name="a.jpg" width="40" height="24">'
    '<box label="cat" xtl="15" ytl="6" xbr="25" ybr="18"/></image></annotations>'
)


def coco_file(*names: str, **changes: Any) -> str:
    return json.dumps(
        {
            "images": [
                {"id": number, "file_name": name, "width": 40, "height": 24, **changes}
                for number, name in enumerate(names)
            ],
            "annotations": [{"id": 1, "image_id": 0, "category_id": 7, "bbox": [15, 6, 10, 12]}],
            "categories": [{"id": 7, "name": "cat"}],
        }
    )


LABELME = json.dumps(
    {"shapes": [{"label": "cat", "points": [[15, 6], [25, 18]], "shape_type": "rectangle"}],
     "imagePath": "a.jpg", "imageWidth": 40, "imageHeight": 24}
)  # fmt: skip

LAYOUTS: dict[str, dict[str, str | None]] = {
    "COCO, ours": {"labels.json": coco_file("pictures/a.jpg"), "pictures/a.jpg": None},
    "COCO, Roboflow": {"_annotations.coco.json": coco_file("a.jpg"), "a.jpg": None},
    "COCO, CVAT": {
        "annotations/instances_default.json": coco_file("a.jpg"),
        "images/a.jpg": None,
    },
    "COCO, as published": {
        "annotations/instances_val2017.json": coco_file("a.jpg"),
        "val2017/a.jpg": None,
    },
    "Pascal VOC": {"a.xml": VOC, "a.jpg": None},
    "Pascal VOC, deep": {"x/y/Annotations/a.xml": VOC, "x/y/JPEGImages/a.jpg": None},
    "YOLO, beside": {"a.txt": "0 0.5 0.5 0.25 0.5", "classes.txt": "cat", "a.jpg": None},
    "YOLO, export": {
        "data.yaml": "train: images\nnames: [cat]",
        "labels/a.txt": "0 0.5 0.5 0.25 0.5",
        "images/a.jpg": None,
        "README.txt": "exported",
    },
    "LabelMe": {"a.json": LABELME, "a.jpg": None},
    "CVAT": {"annotations.xml": CVAT, "images/a.jpg": None},
}


def lay_out(folder: Path, files: dict[str, str | None]) -> Path:
    for name, text in files.items():
        path = folder / name
        if text is None:
            write_picture(path)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return folder


def pack(folder: Path) -> Path:
    path = folder.with_suffix(".tar")
    with tarfile.open(path, "w") as tar:
        tar.add(folder, ".")
    return path


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("packed", [False, True])
def test_every_layout_in_a_folder_and_in_an_archive(
    tmp_path: Path, name: str, packed: bool
) -> None:
    path = lay_out(tmp_path / "set", LAYOUTS[name])
    data = read_dataset(pack(path) if packed else path)
    assert data.labels == ("cat",)
    (sample,) = data.samples
    assert sample.boxes.tolist() == [[15, 6, 25, 18]]
    assert isinstance(sample.picture, ArchiveMember if packed else Path)
    assert read_picture(sample).shape == (24, 40, 3)


@pytest.mark.parametrize(
    "name",
    ["labels.json", "images/../data.yaml", "annotations.xml", "annotations/instances_x.json"],
)
def test_a_label_file_can_be_given_itself(tmp_path: Path, name: str) -> None:
    files = {**LAYOUTS["COCO, ours"], **LAYOUTS["YOLO, export"], **LAYOUTS["CVAT"]}
    files["annotations/instances_x.json"] = coco_file("a.jpg")
    assert read_dataset(lay_out(tmp_path, files) / name).labels == ("cat",)


def test_our_own_file_wins(tmp_path: Path) -> None:
    """`tartlet data split` and others write it into folders that have labels already."""
    lay_out(tmp_path, {**LAYOUTS["COCO, ours"], **LAYOUTS["Pascal VOC"], **LAYOUTS["YOLO, beside"]})
    assert file_name(read_dataset(tmp_path).samples[0].picture) == "a.jpg"
    (tmp_path / "labels.json").unlink()
    with pytest.raises(errors.DatasetError, match=r"Pascal VOC \(a.xml\), YOLO \(a.txt\)"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "there is nothing"),
        ({"a.jpg": None, "b.jpg": None, "c.csv": ""}, r"there is 2 .jpg, 1 .csv"),
        ({"a.jpg": None, "a.json": '{"other": 1}'}, "no labels of a known format"),
        ({"a.jpg": None, "feed.xml": "<rss/>"}, "no labels of a known format"),
        ({"a.jpg": None, "notes.txt": "0 0.5 0.5 1 1"}, "no labels of a known format"),
        ({"a.jpg": None, "a.json": "{"}, "a.json: not a LabelMe file"),
        (
            {"x/a.json": coco_file("a.jpg"), "y/b.json": coco_file("b.jpg")},
            "2 COCO files, and nothing says which is meant: x/a.json, y/b.json",
        ),
        ({"a.xml": VOC, "b.xml": CVAT, "a.jpg": None}, "several formats: Pascal VOC .* CVAT"),
    ],
)
def test_what_cannot_be_told_is_said(
    tmp_path: Path, files: dict[str, str | None], said: str
) -> None:
    with pytest.raises(errors.DatasetError, match=said) as caught:
        read_dataset(lay_out(tmp_path, files))
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.xml", VOC, "a Pascal VOC file is about one picture"),
        ("a.json", LABELME, "a LabelMe file is about one picture"),
        ("a.csv", "x", "a .csv is not a data set"),
        ("photos.zip", "PK\x03\x04", "compressed .zip"),
        ("gone.json", None, "no such file or folder"),
    ],
)
def test_a_file_that_is_no_data_set(tmp_path: Path, name: str, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(errors.DatasetError, match=said):
        read_dataset(tmp_path / name)


def test_a_part_picks_one_of_several_coco_files(tmp_path: Path) -> None:
    files: dict[str, str | None] = {
        "annotations/instances_train2017.json": coco_file("a.jpg"),
        "annotations/instances_val2017.json": coco_file("b.jpg"),
        "train2017/a.jpg": None,
        "val2017/b.jpg": None,
    }
    lay_out(tmp_path, files)
    sample = read_dataset(Path(f"{tmp_path}#val2017")).samples[0]
    assert sample.picture == tmp_path / "val2017/b.jpg"
    with pytest.raises(errors.DatasetError, match="none or several of which are 'test'"):
        read_dataset(Path(f"{tmp_path}#test"))


def test_a_name_with_a_number_sign_is_a_name(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "tape #2", LAYOUTS["Pascal VOC"])
    assert len(read_dataset(folder).samples) == 1


def test_pictures_without_labels_are_welcome_only_where_they_are_asked_for(tmp_path: Path) -> None:
    lay_out(tmp_path, {"a.jpg": None, "b/c.png": None, "b/d.heic": "x"})
    with pytest.raises(errors.DatasetError, match="no labels"):
        read_dataset(tmp_path)
    data = read_dataset(tmp_path, unlabelled=True, labels=("cat",))
    assert data.labels == ("cat",)
    assert [(file_name(s.picture), s.width, s.labelled) for s in data.samples] == [
        ("a.jpg", 40, False),
        ("c.png", 40, False),
    ]


def test_labelled_by_name_only(tmp_path: Path) -> None:
    """A data.yaml without one text file: a hundred pictures of background they are not."""
    lay_out(tmp_path, {"data.yaml": "train: images\nnames: [cat]", "images/a.jpg": None})
    with pytest.raises(errors.DatasetError, match="none of its 1 pictures has labels"):
        read_dataset(tmp_path)


def write_video(path: Path, frames: int = 5) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (40, 24))
    for frame in range(frames):
        writer.write(np.full((24, 40, 3), 40 * frame, np.uint8))
    writer.release()
    return path


def test_a_video_is_its_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.avi")
    with pytest.raises(errors.DatasetError, match="no labels"):
        read_dataset(path)
    for given in (path, tmp_path):
        data = read_dataset(given, unlabelled=True)
        assert [each.picture for each in data.samples] == [VideoFrame(path, n) for n in range(1, 6)]
    assert [round(read_picture(s).mean() / 40) for s in reversed(data.samples)] == [4, 3, 2, 1, 0]


def test_coco_names_frames_and_members(tmp_path: Path) -> None:
    """What is written of a video and an archive is read back."""
    video = read_dataset(write_video(tmp_path / "clip.avi"), unlabelled=True)
    packed = read_dataset(pack(lay_out(tmp_path / "set", LAYOUTS["Pascal VOC"])))
    for number, data in enumerate((video, packed)):
        path = tmp_path / "out" / f"{number}.json"
        coco.write(data, path)
        again = coco.read(path)
        assert [each.labelled for each in again.samples] == [s.labelled for s in data.samples]
        for mine, theirs in zip(again.samples, data.samples, strict=True):
            assert file_name(mine.picture) == file_name(theirs.picture)
            np.testing.assert_array_equal(read_picture(mine), read_picture(theirs))


@pytest.mark.parametrize(
    ("labels", "expected"), [(("cat",), [0]), (("dog", "cat"), [1]), (None, [0])]
)
def test_labels_can_be_given(
    tmp_path: Path, labels: tuple[str, ...] | None, expected: list[int]
) -> None:
    for name, files in LAYOUTS.items():
        folder = lay_out(tmp_path / name.replace(", ", "-"), files)
        assert read_dataset(folder, labels=labels).samples[0].class_ids.tolist() == expected
        with pytest.raises(errors.UnknownClass):
            read_dataset(folder, labels=("dog",))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "labels.json").write_text(coco_file("a.jpg", "b.jpg", id=0)),
        lambda folder: (folder / "labels.json").write_text(coco_file("gone.tar#b.jpg")),
    ],
)
def test_coco_files_that_contradict_themselves(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    spoil(lay_out(tmp_path, LAYOUTS["COCO, ours"]))
    with pytest.raises(errors.DatasetError):
        read_dataset(tmp_path)
