"""Several pictures on one canvas, and patches that hide parts of one; their boxes go along.

Mosaic: A. Bochkovskiy et al., "YOLOv4", 2020. Mixup for detection: Z. Zhang et al., "Bag of
Freebies for Training Object Detection Neural Networks", 2019. CutMix: S. Yun et al., ICCV 2019,
here with boxes. Cutout: T. DeVries and G. Taylor, 2017.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from tartlet_host.dataset.augment import PAD_VALUE
from tartlet_host.dataset.placed_boxes import PlacedBoxes, clip, hide, join

Picture = NDArray[np.uint8]
Drawn = tuple[Picture, PlacedBoxes]
"""A canvas, RGB uint8 (H, W, 3), and the boxes on it."""
DrawInto = Callable[[int, int], Drawn]
"""Draws a random view of a picture onto a canvas of this width and height."""

CENTRE = (0.3, 0.7)  # of the canvas: where a mosaic's four pictures meet
SHARE = (0.4, 0.6)  # of the one picture in a mixup; the loss has no weights, so neither is faint
PATCH = (0.3, 0.7)  # of the canvas's sides: the other picture's part in a cutmix
HOLES = (1, 4)
HOLE = (0.05, 0.25)  # of the canvas's sides


def mosaic(draws: Sequence[DrawInto], width: int, height: int, rng: np.random.Generator) -> Drawn:
    """Four pictures, each in a corner of the canvas."""
    x, y = (round(side * rng.uniform(*CENTRE)) for side in (width, height))
    corners = [(0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)]
    canvas = np.empty((height, width, 3), np.uint8)
    parts = []
    for draw_into, (left, top, right, bottom) in zip(draws, corners, strict=True):
        part, boxes = draw_into(right - left, bottom - top)
        canvas[top:bottom, left:right] = part
        shift = np.array([left, top, left, top], np.float32)
        parts.append(dataclasses.replace(boxes, xyxy=boxes.xyxy + shift))
    return canvas, join(parts)


def mixup(first: Drawn, second: Drawn, rng: np.random.Generator) -> Drawn:
    """Two pictures that shine through each other, with the boxes of both."""
    share = float(rng.uniform(*SHARE))
    canvas = cv2.addWeighted(first[0], share, second[0], 1 - share, 0)
    return np.asarray(canvas, np.uint8), join([first[1], second[1]])


def cutmix(first: Drawn, second: Drawn, rng: np.random.Generator) -> Drawn:
    """A patch of the second picture in the first; boxes are cut off at its edges."""
    height, width = first[0].shape[:2]
    left, top, right, bottom = _rectangle(width, height, PATCH, rng)
    canvas = first[0].copy()
    canvas[top:bottom, left:right] = second[0][top:bottom, left:right]
    hidden = np.zeros((height, width), np.bool_)
    hidden[top:bottom, left:right] = True
    left_over = hide(first[1], hidden, trim=True)
    return canvas, join([left_over, clip(second[1], left, top, right, bottom)])


def cutout(drawn: Drawn, rng: np.random.Generator) -> Drawn:
    """Grey patches over parts of a picture; boxes keep their size, the object is still there."""
    height, width = drawn[0].shape[:2]
    canvas = drawn[0].copy()
    hidden = np.zeros((height, width), np.bool_)
    for _ in range(int(rng.integers(HOLES[0], HOLES[1] + 1))):
        left, top, right, bottom = _rectangle(width, height, HOLE, rng)
        hidden[top:bottom, left:right] = True
        canvas[top:bottom, left:right] = PAD_VALUE
    return canvas, hide(drawn[1], hidden, trim=False)


def _rectangle(
    width: int, height: int, part: tuple[float, float], rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """A random rectangle inside the canvas with sides of `part` of the canvas's."""
    across, down = (max(1, round(side * rng.uniform(*part))) for side in (width, height))
    left, top = int(rng.integers(width - across + 1)), int(rng.integers(height - down + 1))
    return left, top, left + across, top + down
