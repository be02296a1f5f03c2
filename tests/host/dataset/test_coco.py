"""COCO files: what is written is read back; each kind of damage has its own error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_host.dataset import coco
from tartlet_host.dataset.sample import Dataset, Sample
from tartlet_shared import errors


def content() -> dict[str, Any]:
    return {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 100, "height": 80}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 3, "bbox": [10, 20, 30, 40]}],
        "categories": [{"id": 3, "name": "person"}, {"id": 9, "name": "dog"}],
    }


def written(folder: Path, value: Any) -> Path:
    path = folder / "labels.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_boxes_become_corners_and_ids_become_places(tmp_path: Path) -> None:
    data = coco.read(written(tmp_path, content()))
    (sample,) = data.samples
    assert data.labels == ("person", "dog")
    assert sample.boxes.tolist() == [[10, 20, 40, 60]]
    assert sample.class_ids.tolist() == [0]
    assert sample.ignore.tolist() == [False]
    assert sample.picture == tmp_path / "a.jpg"


def change(**changes: Any) -> dict[str, Any]:
    value = content()
    value["annotations"][0].update(changes)
    return value


@pytest.mark.parametrize(
    ("damaged", "error", "said"),
    [
        (change(bbox=[90, 20, 30, 40]), errors.BoxInvalid, "outside a.jpg"),
        (change(bbox=[10, -5, 30, 40]), errors.BoxInvalid, "outside"),
        (change(bbox=[10, 20, 0, 40]), errors.BoxInvalid, "empty"),
        (change(bbox=[10, 20, -3, 40]), errors.BoxInvalid, "empty"),
        (change(bbox=[10, 20, 30]), errors.DatasetError, "bbox"),
        (change(category_id=4), errors.UnknownClass, r"3 \(person\), 9 \(dog\)"),
        (change(image_id=8), errors.DatasetError, "picture 8"),
        ({**content(), "images": []}, errors.DatasetNotFound, "no pictures"),
        ({"images": []}, errors.DatasetError, "annotations"),
        ("{not json", errors.DatasetError, "not a COCO"),
        ("[]", errors.DatasetError, "not a COCO"),
    ],
)
def test_damage_is_named(
    tmp_path: Path, damaged: Any, error: type[errors.TartletError], said: str
) -> None:
    with pytest.raises(error, match=said) as caught:
        coco.read(written(tmp_path, damaged))
    assert type(caught.value) is error
    assert "labels.json" in caught.value.where
    assert caught.value.hint


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(errors.DatasetNotFound, match="No such file"):
        coco.read(tmp_path / "nothing.json")


def test_a_box_one_pixel_outside_is_clipped(tmp_path: Path) -> None:
    data = coco.read(written(tmp_path, change(bbox=[-0.5, 20, 101, 60.5])))
    assert data.samples[0].boxes.tolist() == [[0, 20, 100, 80]]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 2**32 - 1)), min_size=1, max_size=4))
def test_what_is_written_is_read_back(pictures: list[tuple[int, int]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        samples = []
        for number, (count, seed) in enumerate(pictures):
            random = np.random.default_rng(seed)
            corner = random.integers(0, 300, (count, 2))
            boxes = np.hstack([corner, corner + random.integers(1, 100, (count, 2))])
            samples.append(
                Sample(
                    folder / "frames" / f"{number}.jpg",
                    400,
                    400,
                    boxes.astype(np.float32),
                    random.integers(0, 2, count),
                    random.random(count) < 0.3,
                )
            )
        sent = Dataset(("person", "dog"), tuple(samples))
        coco.write(sent, folder / "labels.json", "made by a test")
        received = coco.read(folder / "labels.json")
    assert received.labels == sent.labels
    for a, b in zip(received.samples, sent.samples, strict=True):
        assert a.picture == b.picture
        assert np.array_equal(a.boxes, b.boxes)
        assert np.array_equal(a.class_ids, b.class_ids)
        assert np.array_equal(a.ignore, b.ignore)
