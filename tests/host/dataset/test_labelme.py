"""LabelMe: shapes become boxes; damage is named with its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tartlet_host.dataset.read import read_dataset
from tartlet_host.dataset.sample import file_name
from tartlet_shared import errors
from tests.picture_files import write_picture


def shape(points: Any, kind: str = "rectangle", label: str = "cat") -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, "flags": {}}


def content(*shapes: Any, **changes: Any) -> dict[str, Any]:
    return {
        "version": "5.4.1",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": "a.jpg",
        "imageData": None,
        "imageHeight": 24,
        "imageWidth": 40,
        **changes,
    }


def write(folder: Path, name: str, value: Any) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    (folder / f"{name}.json").write_text(text)


RECTANGLE = shape([[4, 5], [20, 15]])


def test_every_shape_with_an_area_becomes_a_box(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_picture(tmp_path / "a.jpg")
    shapes = (
        shape([[20, 15], [4, 5]]),
        shape([[1, 2], [9, 4], [3, 8]], "polygon", "dog"),
        shape([[20, 12], [20, 17]], "circle"),
        shape([[5, 5]], "point"),
        shape([[5, 5], [9, 9]], "line"),
    )
    write(tmp_path, "a", content(*shapes))
    data = read_dataset(tmp_path)
    assert data.labels == ("cat", "dog")
    assert data.samples[0].boxes.tolist() == [[4, 5, 20, 15], [1, 2, 9, 8], [15, 7, 25, 17]]
    assert data.samples[0].class_ids.tolist() == [0, 1, 0]
    assert "a point is not a box" in caplog.text
    assert "a line is not a box" in caplog.text


def test_pictures_without_shapes_and_without_a_file(tmp_path: Path) -> None:
    for name in "abc":
        write_picture(tmp_path / f"{name}.jpg")
    write(tmp_path, "a", content(RECTANGLE))
    write(tmp_path, "b", content())
    by_name = {file_name(each.picture): each.labelled for each in read_dataset(tmp_path).samples}
    assert by_name == {"a.jpg": True, "b.jpg": True, "c.jpg": False}


def test_the_name_inside_counts_where_that_of_the_file_does_not(tmp_path: Path) -> None:
    write_picture(tmp_path / "photo.jpg")
    write(tmp_path, "label_1", content(RECTANGLE, imagePath=r"..\old\photo.jpg"))
    assert len(read_dataset(tmp_path).samples[0].boxes) == 1


@pytest.mark.parametrize(("size", "box"), [((24, 40), [2, 4, 9, 30]), ((40, 24), [4, 31, 20, 38])])
def test_the_size_tells_how_the_picture_lay(
    tmp_path: Path, size: tuple[int, int], box: list[int]
) -> None:
    """40x24 stored pixels, to be turned anticlockwise: the stored right edge is the upright top."""
    write_picture(tmp_path / "a.jpg", orientation=8)
    points = [[2, 4], [9, 20]] if size == (40, 24) else [[2, 4], [9, 30]]
    changes = {"imageWidth": size[0], "imageHeight": size[1]}
    write(tmp_path, "a", content(shape(points), **changes))
    assert read_dataset(tmp_path).samples[0].boxes.tolist() == [box]


def test_a_size_that_is_not_said_is_the_pictures(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.jpg")
    write(tmp_path, "a", content(RECTANGLE, imageWidth=None, imageHeight=None))
    sample = read_dataset(tmp_path).samples[0]
    np.testing.assert_array_equal(sample.boxes, [[4, 5, 20, 15]])


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        ('{"shapes": [\n{]}', errors.DatasetError, r"a.json, line 2: not a LabelMe file"),
        (content(shape([[1, "x"], [3, 4]])), errors.DatasetError, r"\$.shapes\[0\].points"),
        (content({"points": []}), errors.DatasetError, "label"),
        (content(shape([[4, 5], [4, 15]])), errors.BoxInvalid, r"shape 1 \(cat\).*empty"),
        (content(shape([[4, 5], [60, 15]])), errors.BoxInvalid, "outside a.jpg"),
        (content(shape([[4, 5], [20, 15]], label="")), errors.DatasetError, "no class"),
        (content(imageWidth=39), errors.DatasetError, "is 39x24 pixels, the picture is 40x24"),
    ],
)
def test_damage_is_named(
    tmp_path: Path, value: Any, error: type[errors.DatasetError], said: str
) -> None:
    write_picture(tmp_path / "a.jpg")
    write(tmp_path, "a", value)
    with pytest.raises(error, match=said) as caught:
        read_dataset(tmp_path)
    assert type(caught.value) is error
    assert "a.json" in caught.value.where


def test_a_picture_that_is_not_there(tmp_path: Path) -> None:
    write_picture(tmp_path / "b.jpg")
    write(tmp_path, "a", content(RECTANGLE))
    with pytest.raises(errors.PictureUnreadable, match=r"its picture a\.jpg is not there"):
        read_dataset(tmp_path)
