"""The page of a check: whole, on its own, and safe whatever files are called."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from tartlet_host.dataset import check_page, check_plots
from tartlet_host.dataset.check import check
from tartlet_host.dataset.sample import Dataset, Sample, without_boxes
from tartlet_host.recipe import InputRecipe

MakeSquares = Callable[..., Dataset]
VOID = frozenset({"meta", "img", "br", "rect", "path", "use", "image", "stop"})


class Reader(HTMLParser):
    """Collects text and tags; complains about what does not close."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def pictures(self) -> list[str]:
        return [attributes["src"] or "" for tag, attributes in self.tags if tag == "img"]


def page_of(datasets: dict[str, Dataset], thumbnails: int = 30) -> str:
    report = check(datasets, thumbnails=thumbnails, processes=0)
    return check_page.check_page(report, "my <photos>")


def test_the_page_is_whole_and_on_its_own(make_squares: MakeSquares, tmp_path: Path) -> None:
    data = make_squares(30, labels=("square", "circle"))
    bad = tmp_path / "<b>bad.png"
    bad.write_bytes(b"nothing")
    unlabelled = without_boxes(data.samples[0].picture, 96, 64, labelled=False)
    train = Dataset(data.labels, (*data.samples[:20], without_boxes(bad, 96, 64, labelled=True)))
    validation = Dataset(data.labels, (*data.samples[20:], unlabelled))
    made = page_of({"train": train, "validation": validation})
    page = Reader(made)
    assert "my <photos>" in page.text
    assert "<b>bad" not in made
    assert "Pictures that cannot be read" in page.text
    assert "no label file" in page.text
    assert "Sheet 1 of" in page.text
    assert len(page.pictures()) >= 30
    assert all(uri.startswith("data:image/jpeg;base64,") for uri in page.pictures())
    addresses = re.findall(r'(?:src|href)="([^"]*)"', made)
    assert all(each.startswith(("data:", "#")) for each in addresses)
    assert "<script" not in made


def test_boxes_lie_where_the_labels_say(make_squares: MakeSquares) -> None:
    data = make_squares(1)
    page = Reader(page_of({"train": data}))
    left, top, right, bottom = data.samples[0].boxes[0].tolist()
    drawn = [attributes for tag, attributes in page.tags if tag == "rect" and "x" in attributes]
    places = {
        tuple(float(each[key] or 0) for key in ("x", "y", "width", "height")) for each in drawn
    }
    assert (left, top, right - left, bottom - top) in places


def test_pictures_of_findings_are_shown_though_no_sheet_has_them(
    make_squares: MakeSquares, tmp_path: Path
) -> None:
    data = make_squares(12)
    copy = tmp_path / "copy.png"
    copy.write_bytes(Path(str(data.samples[5].picture)).read_bytes())
    twin = Sample(copy, 96, 64, data.samples[5].boxes, data.samples[5].class_ids, np.zeros(1, bool))
    page = Reader(page_of({"train": Dataset(data.labels, (*data.samples, twin))}, thumbnails=1))
    assert "Pictures that are there more than once" in page.text
    pairs = [attributes for _, attributes in page.tags if attributes.get("class") == "pair"]
    assert len(pairs) == 1


def crowded(path: Path, boxes: int) -> Sample:
    """A picture of noise, the worst for JPEG, with many boxes."""
    rng = np.random.default_rng(boxes)
    assert cv2.imwrite(str(path), rng.integers(0, 255, (240, 320, 3), np.uint8))
    corners = np.sort(rng.uniform(0, 240, (boxes, 2, 2)), axis=1).reshape(-1, 4).astype(np.float32)
    return Sample(path, 320, 240, corners, np.zeros(boxes, np.int64), np.zeros(boxes, np.bool_))


def test_a_large_data_set_makes_no_large_page(tmp_path: Path) -> None:
    samples = (crowded(tmp_path / "a.jpg", 10),) * (2 * check_page.THUMBNAILS)
    made = page_of({"train": Dataset(("x",), samples)}, check_page.THUMBNAILS)
    assert len(made) < 8e6
    assert len(Reader(made).pictures()) < 1.5 * check_page.THUMBNAILS


def test_not_every_box_of_a_crowd_is_drawn(tmp_path: Path) -> None:
    report = check({"train": Dataset(("x",), (crowded(tmp_path / "a.jpg", 300),))}, thumbnails=1)
    page = Reader(check_page.check_page(dataclasses.replace(report, findings=()), "crowd"))
    drawn = [attributes for _, attributes in page.tags if attributes.get("class") == "box"]
    assert len(drawn) == 200


def test_a_page_without_pictures_or_findings(make_squares: MakeSquares) -> None:
    Reader(page_of({"train": Dataset(("x",), ())}))
    report = dataclasses.replace(check({"train": make_squares(2)}, processes=0), findings=())
    assert "Nothing was found" in Reader(check_page.check_page(report, "sound")).text


@pytest.mark.parametrize("count", [1, 2])
def test_plots_of_anything(count: int) -> None:
    names = ["train", "validation"][:count]
    boxes = {name: {f"class {k}": k for k in range(40)} for name in names}
    assert "rarer classes are left out" in check_plots.class_histogram(boxes)
    nothing = np.zeros((0, 2), np.float32)
    assert "cell of 8" in check_plots.box_sizes(
        dict.fromkeys(names, nothing), InputRecipe(), (8, 16)
    )
    assert "<svg" in check_plots.picture_shapes({name: [] for name in names}, InputRecipe())
