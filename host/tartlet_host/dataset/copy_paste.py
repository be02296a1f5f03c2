"""Objects copied from one picture and pasted into another.

Ghiasi et al. 2021, "Simple Copy-Paste is a Strong Data Augmentation Method for Instance
Segmentation", with boxes instead of outlines: the copy fades out towards the corners of its box,
where an upright object seldom is. Footage of one scene shows its people on the same few paths; this
shows them elsewhere, so that the network learns the person and not the place.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from tartlet_host.dataset.sample import Sample
from tartlet_shared.detections import FloatArray
from tartlet_shared.nms import box_area, box_intersection

Picture = NDArray[np.uint8]

LARGEST_OVERLAP = 0.1  # part of either box; more would teach half-hidden objects as whole ones
ATTEMPTS = 4
SIZE_CHANGE = (0.7, 1.5)
LEAST_SIDE = 6  # pixels of the picture as it is kept
EDGE = 2.5
"""Exponent of the superellipse that is copied: 2 is an ellipse, more is nearer to the box."""


@dataclasses.dataclass(frozen=True)
class Donor:
    """An object that can be copied: row ``row`` of a sample's boxes."""

    sample: Sample
    row: int


def donors_of(sample: Sample) -> tuple[Donor, ...]:
    """A picture's objects that no other box touches and that lie whole inside it."""
    if not len(sample.boxes):
        return ()
    shared = box_intersection(sample.boxes, sample.boxes)
    np.fill_diagonal(shared, 0.0)
    alone = shared.max(axis=1) < LARGEST_OVERLAP * box_area(sample.boxes)
    low, high = sample.boxes[:, :2], sample.boxes[:, 2:]
    inside = (low > 1).all(axis=1) & (high < [sample.width - 1, sample.height - 1]).all(axis=1)
    return tuple(Donor(sample, int(row)) for row in np.flatnonzero(alone & inside & ~sample.ignore))


def paste(
    sample: Sample,
    donors: tuple[Donor, ...],
    picture_of: Callable[[Sample], Picture],
    rng: np.random.Generator,
    *,
    flip: float = 0.5,
) -> tuple[Sample, Picture]:
    """A copy of a picture with each donor's object in it, and its boxes.

    Args:
        sample: the picture to paste into.
        donors: from `donors_of`; one that finds no free place is left out.
        picture_of: a sample's picture, RGB uint8, of any resolution.
        rng: decides everything random.
        flip: probability that a copy is mirrored left to right.
    """
    picture = picture_of(sample)
    if not donors:
        return sample, picture
    picture = picture.copy()
    scale = np.array([picture.shape[1] / sample.width, picture.shape[0] / sample.height] * 2)
    boxes = [*(sample.boxes * scale).astype(np.float32)]
    added: list[FloatArray] = []
    class_ids: list[int] = []
    for donor in donors:
        copy = _cut_out(donor, picture_of(donor.sample), float(rng.uniform(*SIZE_CHANGE)))
        if rng.uniform() < flip:
            copy = np.ascontiguousarray(copy[:, ::-1])
        box = _free_place(copy.shape, picture.shape, boxes, rng)
        if box is None:
            continue
        _blend(picture, copy, box)
        boxes.append(box)
        added.append(box)
        class_ids.append(int(donor.sample.class_ids[donor.row]))
    if not added:
        return sample, picture
    more = (np.stack(added) / scale).astype(np.float32)
    return (
        dataclasses.replace(
            sample,
            boxes=np.concatenate([sample.boxes, more]),
            class_ids=np.concatenate([sample.class_ids, np.array(class_ids, np.int64)]),
            ignore=np.concatenate([sample.ignore, np.zeros(len(more), np.bool_)]),
        ),
        picture,
    )


def _cut_out(donor: Donor, picture: Picture, change: float) -> Picture:
    scale = np.array(
        [picture.shape[1] / donor.sample.width, picture.shape[0] / donor.sample.height]
    )
    low = np.floor(donor.sample.boxes[donor.row, :2] * scale).astype(int)
    high = np.maximum(np.ceil(donor.sample.boxes[donor.row, 2:] * scale).astype(int), low + 1)
    part = picture[low[1] : high[1], low[0] : high[0]]
    size = (max(1, round(part.shape[1] * change)), max(1, round(part.shape[0] * change)))
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _free_place(
    size: tuple[int, ...],
    canvas: tuple[int, ...],
    boxes: list[FloatArray],
    rng: np.random.Generator,
) -> FloatArray | None:
    height, width = size[:2]
    if min(height, width) < LEAST_SIDE or height >= canvas[0] or width >= canvas[1]:
        return None
    for _ in range(ATTEMPTS):
        left = int(rng.integers(canvas[1] - width))
        top = int(rng.integers(canvas[0] - height))
        box = np.array([left, top, left + width, top + height], np.float32)
        if not boxes:
            return box
        there = np.stack(boxes)
        shared = box_intersection(box[None], there)[0]
        smaller = np.minimum(box_area(box[None])[0], box_area(there))
        if (shared <= LARGEST_OVERLAP * smaller).all():
            return box
    return None


def _blend(picture: Picture, copy: Picture, box: FloatArray) -> None:
    left, top, right, bottom = (int(value) for value in box)
    weight = cv2.resize(_fading(), (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
    part = picture[top:bottom, left:right]
    part[:] = cv2.blendLinear(copy, part, weight, 1 - weight)


@functools.cache
def _fading() -> FloatArray:
    """How much of a copy shows: 1 inside a superellipse, 0 in the corners."""
    side = np.abs(np.linspace(-1, 1, 64, dtype=np.float32)) ** EDGE
    return np.clip((1.15 - side[None, :] - side[:, None]) / 0.3, 0, 1)
