"""Boxes on their way to the canvas, and what happens to them when something hides their object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tartlet_shared.detections import FloatArray, IntArray
from tartlet_shared.nms import box_area

# An object of which less than this part shows is no longer taught, only ignored.
LEAST_VISIBLE = 0.4

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class PlacedBoxes:
    """Boxes on the canvas.

    Attributes:
        xyxy: (n, 4) float32, what shows of each object, in canvas pixels.
        class_ids: (n,) int64.
        ignore: (n,) bool, neither object nor background.
        whole: (n,) float32, the object's area if nothing were cut off or hidden.
    """

    xyxy: FloatArray
    class_ids: IntArray
    ignore: Mask
    whole: FloatArray

    def __len__(self) -> int:
        return len(self.xyxy)

    def __getitem__(self, rows: Mask) -> PlacedBoxes:
        """The boxes that a mask (n,) chooses."""
        return PlacedBoxes(
            self.xyxy[rows], self.class_ids[rows], self.ignore[rows], self.whole[rows]
        )


def whole_boxes(xyxy: FloatArray, class_ids: IntArray, ignore: Mask) -> PlacedBoxes:
    """Boxes of which nothing is hidden yet; they may reach beyond the canvas."""
    return PlacedBoxes(xyxy, class_ids, ignore, box_area(xyxy))


def ignored_region(left: float, top: float, right: float, bottom: float) -> PlacedBoxes:
    """One region of which nobody said what is in it."""
    box = np.array([[left, top, right, bottom]], np.float32)
    return whole_boxes(box, np.zeros(1, np.int64), np.ones(1, np.bool_))


def join(parts: Sequence[PlacedBoxes]) -> PlacedBoxes:
    """Boxes of several pictures on one canvas."""
    return PlacedBoxes(
        np.concatenate([part.xyxy for part in parts]),
        np.concatenate([part.class_ids for part in parts]),
        np.concatenate([part.ignore for part in parts]),
        np.concatenate([part.whole for part in parts]),
    )


def clip(boxes: PlacedBoxes, left: float, top: float, right: float, bottom: float) -> PlacedBoxes:
    """Boxes seen through a window: cut off at its edges, dropped outside it."""
    limit = np.array([left, top, right, bottom], np.float32)
    xyxy = np.clip(boxes.xyxy, limit[[0, 1, 0, 1]], limit[[2, 3, 2, 3]])
    return _judge(boxes, xyxy, box_area(xyxy))


def hide(boxes: PlacedBoxes, hidden: Mask, *, trim: bool) -> PlacedBoxes:
    """Boxes of which a part was painted over.

    Args:
        boxes: inside the canvas.
        hidden: (H, W), true where nothing of the picture shows any more.
        trim: make a box smaller where a whole side of it is hidden, as it is at the canvas's edge.
    """
    xyxy = boxes.xyxy.copy()
    low = np.floor(xyxy[:, :2]).astype(np.intp)
    high = np.ceil(xyxy[:, 2:]).astype(np.intp)
    (left, top), (right, bottom) = low.T, high.T
    # A summed-area table gives the hidden pixels of all boxes at once.
    table = cv2.integral(hidden.astype(np.uint8))
    pixels = table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
    shown = 1 - pixels / np.maximum((high - low).prod(axis=1), 1)
    for row in np.flatnonzero((pixels > 0) & (shown > 0)) if trim else ():
        shows = ~hidden[top[row] : bottom[row], left[row] : right[row]]
        columns, rows = np.flatnonzero(shows.any(axis=0)), np.flatnonzero(shows.any(axis=1))
        inner = low[row] + [columns[0], rows[0]], low[row] + [columns[-1] + 1, rows[-1] + 1]
        xyxy[row, :2] = np.maximum(xyxy[row, :2], inner[0])
        xyxy[row, 2:] = np.minimum(xyxy[row, 2:], inner[1])
    return _judge(boxes, xyxy, (box_area(boxes.xyxy) * shown).astype(np.float32))


def _judge(boxes: PlacedBoxes, xyxy: FloatArray, visible: FloatArray) -> PlacedBoxes:
    """Boxes of which ``visible`` (n,) square pixels show: taught still, ignored, or gone."""
    little = visible < LEAST_VISIBLE * boxes.whole
    judged = PlacedBoxes(xyxy, boxes.class_ids, boxes.ignore | little, boxes.whole)
    shows = (visible > 0) & (xyxy[:, 2] > xyxy[:, 0]) & (xyxy[:, 3] > xyxy[:, 1])
    return judged[shows]
