"""Whatever happens to a label file: it is read, or the error is one of ours and names a file."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tartlet_host.dataset.read import read_dataset
from tartlet_shared.errors import DatasetError
from tests.picture_files import write_picture

COCO = json.dumps(
    {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 40, "height": 24}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 7, "bbox": [15, 6, 10, 12]}],
        "categories": [{"id": 7, "name": "cat"}],
    }
)
VOC = (
    "<annotation><size><width>40</width><height>24</height></size><object><name>cat</name><bndbox>"
    "<xmin>15</xmin><ymin>6</ymin><xmax>25</xmax><ymax>18</ymax></bndbox></object></annotation>"
)
LABELME = json.dumps(
    {
        "shapes": [{"label": "cat", "points": [[15, 6], [25, 18]], "shape_type": "rectangle"}],
        "imagePath": "a.jpg",
        "imageWidth": 40,
        "imageHeight": 24,
    }
)
IMAGES = (
    "<annotations><meta><task><labels><label><name>cat</name></label></labels></task></meta>"
    '<image id="0" name="a.jpg" width="40" height="24"><box label="cat" xtl="15" ytl="6" xbr="25" '
    'ybr="18" rotation="9"/><polygon label="cat" points="1,2;3,4;5,3"/></image></annotations>'
)
FRAMES = (
    "<annotations><meta><task><start_frame>0</start_frame><stop_frame>0</stop_frame><original_size><width>40</width><height>24</height>"
    '</original_size></task></meta><track id="0" label="cat"><box frame="0" outside="0" xtl="15" '
    'ytl="6" xbr="25" ybr="18"/></track></annotations>'
)
FILES = {
    "labels.json": COCO,
    "a.xml": VOC,
    "a.json": LABELME,
    "annotations.xml": IMAGES,
    "frames.xml": FRAMES,
    "a.txt": "0 0.5 0.5 0.25 0.5\n0 0.1 0.1 0.5 0.1 0.3 0.6\n",
    "data.yaml": "path: .\ntrain: [./]\nnames: {0: cat, 1: dog}\nnc: 2\n",
}
VALUES = [b"", b"-1", b"nan", b"inf", b"1e999", b"\xff\xfe", b"null", b"{}", b"[", b"\0", b"99999"]


def read(name: str, content: bytes) -> int:
    """Pictures read from a folder with that label file."""
    with tempfile.TemporaryDirectory() as folder:
        picture = "a_0.jpg" if name == "frames.xml" else "a.jpg"
        write_picture(Path(folder) / picture)
        (Path(folder) / name).write_bytes(content)
        if name == "data.yaml":
            (Path(folder) / "a.txt").write_text(FILES["a.txt"])
        return len(read_dataset(Path(folder)).samples)


def outcome(name: str, content: bytes) -> str:
    """What the error names, or that there was none; any other error ends the test."""
    try:
        return f"{read(name, content)} pictures"
    except DatasetError as error:
        return error.where


@pytest.mark.parametrize("name", FILES)
def test_undamaged_it_is_read(name: str) -> None:
    assert read(name, FILES[name].encode()) == 1


@pytest.mark.parametrize("name", FILES)
@given(data=st.data())
@settings(max_examples=40)
def test_damage_is_one_of_our_errors(name: str, data: st.DataObject) -> None:
    content = FILES[name].encode()
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(start, min(start + 12, len(content))))
        new = data.draw(st.sampled_from(VALUES) | st.binary(max_size=6))
        content = content[:start] + new + content[end:]
    assert outcome(name, content)


@given(
    number=st.sampled_from(["15", "40", "24", "0.25", "0.5", "0.1", "0"]),
    value=st.sampled_from(
        ["nan", "inf", "-inf", "1e400", "1e30", "-3", "", "0", "x", "1.5", "1e20"]
    ),
)
@example(number="24", value="inf")
@example(number="24", value="nan")
@settings(max_examples=30)
def test_numbers_that_are_none(number: str, value: str) -> None:
    for name, text in FILES.items():
        assert outcome(name, text.replace(number, value).encode())
