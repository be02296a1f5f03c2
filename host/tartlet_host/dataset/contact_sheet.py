"""Contact sheets: many pictures on one page with their boxes drawn, to be looked at."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from tartlet_device.preprocess import Picture
from tartlet_host.dataset.pictures import read_picture
from tartlet_host.dataset.sample import Dataset, Sample, file_name
from tartlet_host.files import write_atomically

# Colour-blind-safe (Okabe and Ito 2008), RGB
LABEL = (230, 159, 0)
IGNORED = (86, 180, 233)
_INK = (255, 255, 255)

THUMB_WIDTH = 480
COLUMNS = 4
ROWS = 5


def write_sheets(dataset: Dataset, folder: Path, *, most: int = 40) -> list[Path]:
    """Write sheets of 20 pictures each as JPEG; labels solid, ignored regions dashed.

    Args:
        dataset: pictures and boxes.
        folder: where ``sheet-1.jpg`` and so on go.
        most: pictures in all, spread evenly over the data set.

    Raises:
        PictureUnreadable: a picture is missing or damaged.
    """
    count = min(most, len(dataset.samples))
    places = np.linspace(0, len(dataset.samples) - 1, count).round().astype(int)
    thumbs = [thumbnail(dataset.samples[place], dataset.labels) for place in places]
    written = []
    for number, page in enumerate(_pages(thumbs), start=1):
        path = folder / f"sheet-{number}.jpg"
        good, encoded = cv2.imencode(".jpg", page[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
        assert good  # an RGB picture of sane size can always be encoded
        write_atomically(path, encoded.tobytes())
        written.append(path)
    return written


def thumbnail(sample: Sample, labels: tuple[str, ...]) -> Picture:
    """One picture, `THUMB_WIDTH` pixels wide, boxes and file name drawn."""
    picture = read_picture(sample)
    scale = THUMB_WIDTH / picture.shape[1]
    size = (THUMB_WIDTH, max(1, round(picture.shape[0] * scale)))
    small = np.array(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    for box, class_id, ignore in zip(sample.boxes, sample.class_ids, sample.ignore, strict=True):
        left, top, right, bottom = (round(float(value) * scale) for value in box)
        if ignore:
            _dashed(small, (left, top), (right, bottom))
            continue
        cv2.rectangle(small, (left, top), (right, bottom), LABEL, 1, cv2.LINE_AA)
        if len(labels) > 1:
            _write(small, labels[class_id], (left, max(top - 3, 10)), 0.35)
    _write(small, file_name(sample.picture), (4, size[1] - 6), 0.4)
    return small


def _pages(thumbs: list[Picture]) -> Iterator[Picture]:
    per_page = COLUMNS * ROWS
    for start in range(0, len(thumbs), per_page):
        batch = thumbs[start : start + per_page]
        height = max(thumb.shape[0] for thumb in batch)
        rows = math.ceil(len(batch) / COLUMNS)
        page = np.full((rows * height, COLUMNS * THUMB_WIDTH, 3), 40, np.uint8)
        for place, thumb in enumerate(batch):
            top, left = place // COLUMNS * height, place % COLUMNS * THUMB_WIDTH
            page[top : top + thumb.shape[0], left : left + THUMB_WIDTH] = thumb
        yield page


def _dashed(picture: Picture, low: tuple[int, int], high: tuple[int, int], dash: int = 5) -> None:
    (left, top), (right, bottom) = low, high
    for start in range(left, right, 2 * dash):
        for y in (top, bottom):
            cv2.line(picture, (start, y), (min(start + dash, right), y), IGNORED, 1)
    for start in range(top, bottom, 2 * dash):
        for x in (left, right):
            cv2.line(picture, (x, start), (x, min(start + dash, bottom)), IGNORED, 1)


def _write(picture: Picture, text: str, at: tuple[int, int], size: float) -> None:
    face = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(picture, text, at, face, size, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(picture, text, at, face, size, _INK, 1, cv2.LINE_AA)
