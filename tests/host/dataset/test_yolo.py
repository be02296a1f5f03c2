"""YOLO: text files and data.yaml in the layouts of common exports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_host.dataset.read import read_dataset
from tartlet_host.dataset.sample import count_pictures, file_name
from tartlet_host.dataset.yolo import label_names
from tartlet_shared import errors
from tests.picture_files import write_picture

BOX = "0 0.5 0.5 0.25 0.5\n"  # of 40x24 pixels: 15, 6, 25, 18


def label(root: Path, name: str, text: str | None) -> None:
    text_file = label_names(f"{name}.jpg")[0]
    write_picture(root / f"{name}.jpg")
    if text is not None:
        (root / text_file).parent.mkdir(parents=True, exist_ok=True)
        (root / text_file).write_text(text)


def write_yaml(root: Path, text: str = "train: images/train\nval: images/val\n") -> Path:
    path = root / "data.yaml"
    path.write_text(text + ("" if "names" in text else "names: [cat, dog]\n"))
    return path


@pytest.fixture
def two_parts(tmp_path: Path) -> Path:
    label(tmp_path, "images/train/a", BOX + "1 0.25 0.25 0.1 0.1\n")
    label(tmp_path, "images/train/deep/b", "")
    label(tmp_path, "images/train/c", None)
    label(tmp_path, "images/val/d", "1 0.5 0.5 1 1")
    write_yaml(tmp_path)
    return tmp_path


def test_a_part_of_the_yaml(two_parts: Path) -> None:
    data = read_dataset(Path(f"{two_parts}/data.yaml#train"))
    assert data.labels == ("cat", "dog")
    by_name = {file_name(sample.picture): sample for sample in data.samples}
    assert by_name["a.jpg"].boxes[0].tolist() == [15, 6, 25, 18]
    assert by_name["a.jpg"].class_ids.tolist() == [0, 1]
    counts = count_pictures(data)
    assert (counts.with_boxes, counts.background, counts.unlabelled) == (1, 1, 1)
    assert by_name["b.jpg"].labelled
    assert not by_name["c.jpg"].labelled


@pytest.mark.parametrize("path", ["images/val", "data.yaml#val", "#val", "#valid"])
def test_ways_to_name_the_same_part(two_parts: Path, path: str) -> None:
    joined = f"{two_parts}{path}" if path.startswith("#") else f"{two_parts}/{path}"
    data = read_dataset(Path(joined))
    assert [file_name(each.picture) for each in data.samples] == ["d.jpg"]
    assert data.samples[0].boxes.tolist() == [[0, 0, 40, 24]]
    assert data.labels == ("cat", "dog")


def test_several_parts_are_not_guessed(two_parts: Path) -> None:
    with pytest.raises(errors.DatasetError, match="several parts: train, val") as caught:
        read_dataset(two_parts)
    assert caught.value.hint.endswith("data.yaml#train")
    with pytest.raises(errors.DatasetNotFound, match="there are: train, val"):
        read_dataset(Path(f"{two_parts}#test"))


@pytest.mark.parametrize(
    "entry",
    [
        "train: ../train/images",
        "train: train/images",
        "path: gone/away\ntrain: train/images",
        "path: ./\ntrain: ./train/images",
        "train: [train/images]",
        "train: list.txt",
    ],
)
def test_paths_of_exports(tmp_path: Path, entry: str) -> None:
    root = tmp_path / "export"
    label(root, "train/images/a", BOX)
    (root / "list.txt").write_text("./train/images/a.jpg\n\n")
    write_yaml(root, entry + "\n")
    data = read_dataset(root)
    assert data.samples[0].boxes.tolist() == [[15, 6, 25, 18]]
    assert data.samples[0].picture.samefile(root / "train/images/a.jpg")


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        ("names: [cat, dog]", ("cat", "dog")),
        ("names:\n  0: cat\n  1: dog", ("cat", "dog")),
        ("names: {1: dog, 0: cat}\nnc: 2", ("cat", "dog")),
    ],
)
def test_names_as_list_and_as_table(tmp_path: Path, names: str, labels: tuple[str, ...]) -> None:
    label(tmp_path, "images/a", "1" + BOX[1:])
    write_yaml(tmp_path, f"{names}\ntrain: images\n")
    data = read_dataset(tmp_path)
    assert data.labels == labels
    assert data.samples[0].class_ids.tolist() == [1]


def test_without_yaml_a_list_of_classes_or_numbers(tmp_path: Path) -> None:
    label(tmp_path, "a", "2" + BOX[1:])
    assert read_dataset(tmp_path).labels == ("0", "1", "2")
    given_labels = ("x", "y", "z")
    data = read_dataset(tmp_path, labels=given_labels)
    assert (data.labels, data.samples[0].class_ids.tolist()) == (given_labels, [2])
    (tmp_path / "classes.txt").write_text("cat\ndog\nhen\n")
    assert read_dataset(tmp_path).labels == ("cat", "dog", "hen")
    data = read_dataset(tmp_path, labels=("hen",))
    assert (data.labels, data.samples[0].class_ids.tolist()) == (("hen",), [0])


def test_polygons_become_the_boxes_around_them(tmp_path: Path) -> None:
    label(tmp_path, "a", "0 0.25 0.5 0.5 0.25 0.75 0.5 0.5 0.75\n0 0.1 0.5 0.5 0.5 0.2 1.0\n")
    sample = read_dataset(tmp_path).samples[0]
    np.testing.assert_allclose(sample.boxes, [[10, 6, 30, 18], [4, 12, 20, 24]], atol=1e-4)


def test_shares_are_of_the_upright_picture(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.jpg", 40, 24, orientation=8)
    (tmp_path / "a.txt").write_text(BOX)
    sample = read_dataset(tmp_path).samples[0]
    assert (sample.width, sample.height) == (24, 40)
    assert sample.boxes.tolist() == [[9, 10, 15, 30]]


@pytest.mark.parametrize(
    ("line", "error", "said"),
    [
        ("cat 0.5 0.5 0.1 0.1", errors.DatasetError, "not a line of a YOLO label file: 'cat"),
        ("0.5 0.5 0.5 0.1 0.1", errors.DatasetError, "not a line"),
        ("-1 0.5 0.5 0.1 0.1", errors.DatasetError, "not a line"),
        ("0 0.5 0.5 0.1", errors.DatasetError, "3 numbers after the class"),
        ("0 0.5 0.5 0.1 0.1 0.9", errors.DatasetError, "5 numbers after the class"),
        ("0 20 12 10 10", errors.DatasetError, "pixels, not shares"),
        ("0 nan 0.5 0.1 0.1", errors.DatasetError, "pixels, not shares"),
        ("7 0.5 0.5 0.1 0.1", errors.UnknownClass, "class 7 is not one of cat, dog"),
        ("0 0.5 0.5 0 0.1", errors.BoxInvalid, "empty"),
        ("0 0.9 0.5 0.5 0.1", errors.BoxInvalid, "outside a.jpg"),
        ("inf 0.9 0.5 0.5 0.1", errors.DatasetError, "not a line"),
    ],
)
def test_damage_is_named_with_its_line(
    tmp_path: Path, line: str, error: type[errors.DatasetError], said: str
) -> None:
    label(tmp_path, "images/a", f"{BOX}\n{line}\n")
    write_yaml(tmp_path, "train: images\n")
    with pytest.raises(error, match=said) as caught:
        read_dataset(tmp_path)
    assert type(caught.value) is error
    assert caught.value.where.endswith("labels/a.txt, line 3")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("names: [cat\ntrain: x\n", r"data.yaml, line 2: not YAML"),
        ("names: []\ntrain: x\n", "no `names`"),
        ("[names]\n", "no `names`"),
        ("names: [cat, cat]\n", "the same name"),
        ("names: {a: cat}\n", "not numbered"),
        ("names: [cat]\nnc: 3\n", "`nc` says 3 classes, `names` has 1"),
    ],
)
def test_a_wrong_yaml(tmp_path: Path, text: str, said: str) -> None:
    label(tmp_path, "images/a", BOX)
    write_yaml(tmp_path, text)
    with pytest.raises(errors.DatasetError, match=said):
        read_dataset(tmp_path)


@given(
    st.lists(
        st.tuples(*[st.floats(0.0, 0.45)] * 2, *[st.floats(0.05, 0.5)] * 2), min_size=1, max_size=5
    )
)
def test_shares_and_pixels_agree(boxes: list[tuple[float, float, float, float]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        lines = [f"0 {x + w / 2:.6f} {y + h / 2:.6f} {w:.6f} {h:.6f}" for x, y, w, h in boxes]
        label(Path(name), "a", "\n".join(lines))
        found = read_dataset(Path(name)).samples[0].boxes
    expected = [[x * 40, y * 24, (x + w) * 40, (y + h) * 24] for x, y, w, h in boxes]
    np.testing.assert_allclose(found, expected, atol=1e-3)
