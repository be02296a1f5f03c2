"""Drawing detections on a picture, legible at any size and for colour-blind eyes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tartlet_shared.detections import Detections

Picture = NDArray[np.uint8]
Corners = tuple[float, float, float, float]

PALETTE = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
"""RGB; Okabe and Ito, "Color Universal Design", 2008, without black."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_TEXT_PER_SIDE = 1 / 45  # height of a capital letter against the picture's shorter side
_LEAST_TEXT = 7.0  # pixels of a capital letter; below that no one can read it
_LEAST_RIMMED = 240  # pixels; on a smaller picture a rim would hide more than it shows
_DARK, _LIGHT = (0, 0, 0), (255, 255, 255)


@dataclass(frozen=True)
class _Style:
    """Sizes in pixels, all from the picture's own size."""

    line: int
    rim: int
    text_scale: float
    text_line: int
    padding: int


@dataclass(frozen=True)
class _Plate:
    """A label's place, in pixels; ``baseline`` is the text's, from the plate's top."""

    text: str
    scale: float
    left: int
    top: int
    width: int
    height: int
    baseline: int

    def overlaps(self, other: _Plate) -> bool:
        return (
            self.left < other.left + other.width
            and other.left < self.left + self.width
            and self.top < other.top + other.height
            and other.top < self.top + self.height
        )


def draw(picture: Picture, detections: Detections, labels: Sequence[str]) -> Picture:
    """A copy of the picture with every detection's box, label and score.

    Args:
        picture: RGB, uint8, ``(height, width, 3)``.
        detections: in pixels of this picture; best first, so that the best are drawn last.
        labels: by class id; an id without a label is written as its number.

    Returns:
        A new picture of the same size. No text runs over its edge: a label that fits neither
        above nor below its box goes inside, one too wide is made smaller. Labels keep clear of
        each other where there is room.
    """
    canvas: Picture = np.ascontiguousarray(picture).copy()
    style = _style(canvas)
    placed: list[_Plate] = []
    rows = list(detections)
    for box, score, class_id in rows:
        label = labels[class_id] if class_id < len(labels) else str(class_id)
        text = f"{_ascii(label)} {score * 100:.0f}%"
        placed.append(_place(canvas, box, text, style, placed))
    colours = [PALETTE[class_id % len(PALETTE)] for _, _, class_id in rows]
    for (box, _, _), colour in reversed(list(zip(rows, colours, strict=True))):
        _box(canvas, box, colour, style)
    # All labels after all boxes: no line runs through a text.
    for plate, colour in reversed(list(zip(placed, colours, strict=True))):
        _label(canvas, plate, colour, style)
    return canvas


def _style(picture: Picture) -> _Style:
    side = min(picture.shape[:2])
    letters = max(_LEAST_TEXT, side * _TEXT_PER_SIDE)
    # OpenCV's font is scaled by a factor; measure a capital letter at factor 1.
    (_, unit), _ = cv2.getTextSize("H", _FONT, 1.0, 1)
    line = max(1, round(side / 300))
    return _Style(
        line=line,
        rim=line + 2 * max(1, line // 3) if side >= _LEAST_RIMMED else line,
        text_scale=letters / unit,
        text_line=max(1, round(letters / 10)),
        padding=max(2, round(letters / 4)),
    )


def _box(
    canvas: Picture,
    box: Corners,
    colour: tuple[int, int, int],
    style: _Style,
) -> None:
    height, width = canvas.shape[:2]
    left, right = (int(np.clip(round(x), 0, width - 1)) for x in (box[0], box[2]))
    top, bottom = (int(np.clip(round(y), 0, height - 1)) for y in (box[1], box[3]))
    # A dark rim under the line keeps it visible on a background of its own colour.
    cv2.rectangle(canvas, (left, top), (right, bottom), _DARK, style.rim)
    cv2.rectangle(canvas, (left, top), (right, bottom), colour, style.line)


def _place(
    canvas: Picture, box: Corners, text: str, style: _Style, placed: Sequence[_Plate]
) -> _Plate:
    """Where a label goes: above its box, else below, else inside, off the labels placed before."""
    height, width = canvas.shape[:2]
    scale = style.text_scale
    (text_width, text_height), below = cv2.getTextSize(text, _FONT, scale, style.text_line)
    if text_width + 2 * style.padding > width:
        scale *= max(width - 2 * style.padding, 1) / text_width
        (text_width, text_height), below = cv2.getTextSize(text, _FONT, scale, style.text_line)
    plate_width = min(text_width + 2 * style.padding, width)
    plate_height = min(text_height + below + style.padding, height)
    left = int(np.clip(round(box[0]), 0, width - plate_width))
    baseline = plate_height - below - style.padding // 2
    tops = (
        round(box[1]) - plate_height,
        round(box[3]),
        round(box[1]),
        round(box[3]) - plate_height,
    )
    on_picture = [top for top in tops if 0 <= top <= height - plate_height]
    on_picture.append(int(np.clip(tops[2], 0, height - plate_height)))
    plates = [
        _Plate(text, scale, left, top, plate_width, plate_height, baseline) for top in on_picture
    ]
    free = (plate for plate in plates if not any(plate.overlaps(other) for other in placed))
    return next(free, plates[0])


def _label(canvas: Picture, plate: _Plate, colour: tuple[int, int, int], style: _Style) -> None:
    corner = (plate.left + plate.width - 1, plate.top + plate.height - 1)
    cv2.rectangle(canvas, (plate.left, plate.top), corner, colour, cv2.FILLED)
    cv2.putText(
        canvas,
        plate.text,
        (plate.left + style.padding, plate.top + plate.baseline),
        _FONT,
        plate.scale,
        _text_colour(colour),
        style.text_line,
        cv2.LINE_AA,
    )


def _text_colour(background: tuple[int, int, int]) -> tuple[int, int, int]:
    """Black or white, whichever stands out (relative luminance, ITU-R BT.709)."""
    red, green, blue = background
    return _DARK if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 110 else _LIGHT


def _ascii(text: str) -> str:
    """OpenCV's font has ASCII only: others become what they are made of, or '?'."""
    import unicodedata  # only needed here

    plain = unicodedata.normalize("NFKD", text)
    return "".join(
        letter if letter.isascii() and letter.isprintable() else "?"
        for letter in plain
        if not unicodedata.combining(letter)
    )
