"""Pascal VOC: the layouts that tools write, and damage named with its file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tartlet_host.dataset.read import read_dataset
from tartlet_host.dataset.sample import file_name
from tartlet_shared import errors
from tests.picture_files import write_picture


def thing(name: str = "king", box: tuple[object, ...] = (4, 5, 20, 15), more: str = "") -> str:
    edges = "".join(
        f"<{edge}>{value}</{edge}>"
        for edge, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    return f"<object><name>{name}</name>{more}<bndbox>{edges}</bndbox></object>"


def annotation(*objects: str, size: tuple[int, int] | None = (40, 24), named: str = "x.jpg") -> str:
    said = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>" if size else ""
    path = r"<path>C:\somebody\else\x.jpg</path>"
    return (
        f"<annotation>\n<filename>{named}</filename>{path}{said}\n{''.join(objects)}</annotation>"
    )


def beside(folder: Path, stem: str, text: str | None, suffix: str = ".jpg") -> None:
    write_picture(folder / (stem + suffix))
    if text is not None:
        (folder / f"{stem}.xml").write_text(text)


def test_annotations_beside_pictures(tmp_path: Path) -> None:
    beside(tmp_path, "a", annotation(thing("queen"), thing("ace", (0, 0, 9.5, 9))))
    beside(tmp_path / "deep" / "er", "b", annotation())
    beside(tmp_path, "c", None)
    beside(tmp_path, "d", annotation(thing(more="<difficult>1</difficult>")), ".JPG")
    data = read_dataset(tmp_path)
    assert data.labels == ("ace", "king", "queen")
    by_name = {file_name(sample.picture): sample for sample in data.samples}
    assert by_name["a.jpg"].boxes.tolist() == [[4, 5, 20, 15], [0, 0, 9.5, 9]]
    assert by_name["a.jpg"].class_ids.tolist() == [2, 0]
    assert (by_name["b.jpg"].labelled, len(by_name["b.jpg"].boxes)) == (True, 0)
    assert (by_name["c.jpg"].labelled, len(by_name["c.jpg"].boxes)) == (False, 0)
    assert by_name["d.JPG"].ignore.tolist() == [True]


def test_classes_can_be_given_in_their_order(tmp_path: Path) -> None:
    beside(tmp_path, "a", annotation(thing("queen"), thing("king")))
    data = read_dataset(tmp_path, labels=("queen", "ten", "king"))
    assert data.labels == ("queen", "ten", "king")
    assert data.samples[0].class_ids.tolist() == [0, 2]
    with pytest.raises(errors.UnknownClass, match=r"object 1 \(queen\).*'queen' is not one of ten"):
        read_dataset(tmp_path, labels=("ten", "king"))


def devkit(root: Path) -> None:
    """The layout of the challenge, with a mask picture of the same name as a photo."""
    for stem in ("1", "2", "3"):
        write_picture(root / "JPEGImages" / f"{stem}.jpg")
        (root / "Annotations").mkdir(exist_ok=True)
        (root / "Annotations" / f"{stem}.xml").write_text(annotation(thing()))
    write_picture(root / "SegmentationClass" / "1.png")
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("1\n3\n")
    (lists / "king_val.txt").write_text("2  1\n")


@pytest.mark.parametrize(("part", "names"), [("", "123"), ("#train", "13"), ("#king_val", "2")])
def test_the_layout_of_the_challenge_and_its_parts(tmp_path: Path, part: str, names: str) -> None:
    devkit(tmp_path / "VOC2012")
    data = read_dataset(tmp_path / f"VOC2012{part}")
    assert [file_name(each.picture) for each in data.samples] == [f"{name}.jpg" for name in names]
    assert all(len(sample.boxes) == 1 for sample in data.samples)


def test_a_part_that_is_not_there(tmp_path: Path) -> None:
    devkit(tmp_path)
    with pytest.raises(errors.DatasetNotFound, match="there are: king_val, train"):
        read_dataset(Path(f"{tmp_path}#test"))


@pytest.mark.parametrize("size", [None, (0, 0), (40, 24)])
def test_a_size_that_is_missing_comes_from_the_picture(
    tmp_path: Path, size: tuple[int, int] | None
) -> None:
    beside(tmp_path, "a", annotation(thing(), size=size))
    sample = read_dataset(tmp_path).samples[0]
    assert (sample.width, sample.height) == (40, 24)


@pytest.mark.parametrize(
    ("stated", "box"),
    [((24, 40), [1, 2, 10, 30]), ((40, 24), [24 - 14, 1, 24 - 2, 10])],
)
def test_the_size_tells_how_the_picture_lay_when_it_was_labelled(
    tmp_path: Path, stated: tuple[int, int], box: list[int]
) -> None:
    """A photo of 40x24 stored pixels, to be turned clockwise: 24x40 upright."""
    write_picture(tmp_path / "a.jpg", 40, 24, orientation=6)
    drawn = (1, 2, 10, 30) if stated == (24, 40) else (1, 2, 10, 14)
    (tmp_path / "a.xml").write_text(annotation(thing(box=drawn), size=stated))
    sample = read_dataset(tmp_path).samples[0]
    assert (sample.width, sample.height) == (24, 40)
    assert sample.boxes.tolist() == [box]


def test_a_renamed_annotation_finds_its_picture_by_the_name_inside(tmp_path: Path) -> None:
    write_picture(tmp_path / "images" / "photo.jpg")
    (tmp_path / "renamed.xml").write_text(annotation(thing(), named=r"D:\pics\photo.jpg"))
    assert len(read_dataset(tmp_path).samples[0].boxes) == 1


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("<annotation><object></annotation>", errors.DatasetError, r"a.xml, line 1: not XML"),
        (annotation("<object>"), errors.DatasetError, "a.xml, line 3"),
        (annotation(thing(box=(4, 5, "wide", 15))), errors.DatasetError, "xmax is 'wide'"),
        (annotation(thing(box=(4, 5, "", 15))), errors.DatasetError, "xmax is missing"),
        (annotation(thing(box=(4, 5, 4, 15))), errors.BoxInvalid, r"object 1 \(king\).*empty"),
        (annotation(thing(box=(20, 5, 4, 15))), errors.BoxInvalid, "empty"),
        (annotation(thing(box=(4, 5, "nan", 15))), errors.BoxInvalid, "empty"),
        (annotation(thing(box=(4, 5, 60, 15))), errors.BoxInvalid, "outside a.jpg"),
        (annotation(thing(name=" ")), errors.DatasetError, "no class"),
        (annotation("<object><name>king</name></object>"), errors.DatasetError, "no <bndbox>"),
        (annotation(thing(), size=(41, 24)), errors.DatasetError, "is 41x24 pixels, the picture"),
    ],
)
def test_damage_is_named(
    tmp_path: Path, text: str, error: type[errors.DatasetError], said: str
) -> None:
    beside(tmp_path, "a", text)
    with pytest.raises(error, match=said) as caught:
        read_dataset(tmp_path)
    assert type(caught.value) is error
    assert "a.xml" in caught.value.where
    assert caught.value.hint


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / "a.jpg").unlink(), "its picture x.jpg is not there"),
        (lambda folder: (folder / "a.jpg").write_bytes(b"\xff\xd8"), "cut off"),
        (
            lambda folder: (folder / "x.xml").write_text(annotation(named="a.jpg")),
            "another annotation, a.xml",
        ),
        (lambda folder: (folder / "b.xml").write_text("<tv/>"), "root is <tv>"),
    ],
)
def test_files_that_do_not_belong_together(
    tmp_path: Path, change: Callable[[Path], object], said: str
) -> None:
    beside(tmp_path, "a", annotation(thing()))
    beside(tmp_path, "b", annotation(thing()))
    change(tmp_path)
    with pytest.raises(errors.DatasetError, match=said):
        read_dataset(tmp_path)


def test_all_problems_can_be_collected(tmp_path: Path) -> None:
    beside(tmp_path, "a", annotation(thing(), thing(box=(4, 5, 60, 15)), thing(box=(0, 0, 0, 0))))
    beside(tmp_path, "b", "no xml")
    beside(tmp_path, "c", annotation(thing("ace")))
    found: list[errors.DatasetError] = []
    data = read_dataset(tmp_path, problem=found.append)
    assert [type(each) for each in found] == [
        errors.BoxInvalid, errors.BoxInvalid, errors.DatasetError
    ]  # fmt: skip
    assert [len(sample.boxes) for sample in data.samples] == [1, 1]
    assert data.labels == ("ace", "king")
