from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tartlet_host import annotate
from tartlet_shared.detections import Detections

GREY = 128


def grey(width: int, height: int) -> annotate.Picture:
    return np.full((height, width, 3), GREY, np.uint8)


def one(box: tuple[float, float, float, float], class_id: int = 0) -> Detections:
    return Detections(np.array([box]), np.array([0.5]), np.array([class_id]))


def test_the_original_is_left_alone_and_the_size_kept() -> None:
    picture = grey(100, 80)
    drawn = annotate.draw(picture, one((10, 30, 40, 60)), ["cat"])
    assert (picture == GREY).all()
    assert drawn.shape == picture.shape
    assert drawn.dtype == np.uint8
    assert not np.array_equal(drawn, picture)


def test_nothing_found_is_nothing_drawn() -> None:
    assert np.array_equal(annotate.draw(grey(50, 40), Detections.empty(), []), grey(50, 40))


def test_the_line_is_where_the_box_is_and_its_inside_is_free() -> None:
    drawn = annotate.draw(grey(400, 300), one((100, 100, 200, 250)), ["cat"])
    colour = np.array(annotate.PALETTE[0])
    for x, y in ((100, 180), (200, 180), (150, 250)):
        assert (drawn[y, x] == colour).all()
    assert (drawn[110:240, 110:190] == GREY).all()


def test_colours_follow_the_class() -> None:
    for class_id in range(2 * len(annotate.PALETTE)):
        drawn = annotate.draw(grey(400, 300), one((100, 100, 200, 250), class_id), [])
        assert tuple(drawn[180, 100]) == annotate.PALETTE[class_id % len(annotate.PALETTE)]


@settings(deadline=None, max_examples=60)
@given(
    width=st.integers(1, 500),
    height=st.integers(1, 500),
    corners=st.lists(st.floats(-50, 600, width=32), min_size=4, max_size=4),
    label=st.text(max_size=30),
)
def test_any_picture_box_and_label_can_be_drawn(
    width: int, height: int, corners: list[float], label: str
) -> None:
    left, right = sorted(corners[:2])
    top, bottom = sorted(corners[2:])
    drawn = annotate.draw(grey(width, height), one((left, top, right, bottom)), [label])
    assert drawn.shape == (height, width, 3)


@pytest.mark.parametrize("width", [64, 160, 768, 3000])
@pytest.mark.parametrize("place", [(0, 0), (1, 0), (0, 1), (1, 1), (0.5, 0.5)])
def test_a_label_is_never_off_the_picture(
    width: int, place: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    height = width * 3 // 4
    written: list[tuple[int, int, int, int]] = []
    original = cv2.putText

    def record(canvas: Any, text: str, corner: tuple[int, int], font: Any, scale: float,
               *rest: Any) -> Any:  # fmt: skip
        (wide, high), below = cv2.getTextSize(text, font, scale, rest[1])
        written.append((corner[0], corner[1] - high, corner[0] + wide, corner[1] + below))
        return original(canvas, text, corner, font, scale, *rest)

    monkeypatch.setattr(cv2, "putText", record)
    side = width / 4
    left, top = place[0] * (width - side), place[1] * (height - side)
    annotate.draw(
        grey(width, height), one((left, top, left + side, top + side)), ["somebody with a hat"]
    )
    ((x_from, y_from, x_to, y_to),) = written
    assert x_from >= 0
    assert x_to <= width
    assert y_from >= -1  # a text's measured height has its ascenders rounded up
    assert y_to <= height + 1


def test_labels_of_neighbours_keep_clear_of_each_other() -> None:
    found = Detections(
        np.array([[100, 100, 140, 180], [110, 104, 150, 186]]),
        np.array([0.9, 0.8]),
        np.zeros(2, int),
    )
    style = annotate._style(grey(640, 480))
    placed: list[Any] = []
    for box, _, _ in found:
        placed.append(annotate._place(grey(640, 480), box, "person 90%", style, placed))
    assert not placed[0].overlaps(placed[1])


def test_text_grows_with_the_picture_and_stays_readable() -> None:
    scales = [annotate._style(grey(side, side)).text_scale for side in (60, 300, 1200, 4000)]
    assert scales == sorted(scales)
    (_, height), _ = cv2.getTextSize("H", annotate._FONT, scales[0], 1)
    assert height >= 6


@pytest.mark.parametrize("colour", annotate.PALETTE)
def test_text_stands_out_from_its_plate(colour: tuple[int, int, int]) -> None:
    def luminance(rgb: tuple[int, int, int]) -> float:
        parts = [v / 255 for v in rgb]
        linear = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    pair = sorted([luminance(colour), luminance(annotate._text_colour(colour))])
    assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5  # WCAG 2.1, level AA


@pytest.mark.parametrize(
    ("text", "plain"), [("café", "cafe"), ("Straße", "Stra?e"), ("猫", "?"), ("a\nb", "a?b")]
)
def test_letters_that_the_font_lacks_are_replaced(text: str, plain: str) -> None:
    assert annotate._ascii(text) == plain
