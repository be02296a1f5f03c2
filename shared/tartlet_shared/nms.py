"""Intersection over union and non-maximum suppression, in numpy."""

from __future__ import annotations

import numpy as np

from tartlet_shared.detections import FloatArray, IntArray

_AT_ONCE = 64  # boxes compared with all others in one go; of a thousand, most are gone by then


def box_area(xyxy: FloatArray) -> FloatArray:
    """Area in square pixels of boxes ``(n, 4)``, shape ``(n,)``; an inverted box has area 0."""
    size = np.maximum(xyxy[:, 2:] - xyxy[:, :2], 0)
    area: FloatArray = size[:, 0] * size[:, 1]
    return area


def box_intersection(first: FloatArray, second: FloatArray) -> FloatArray:
    """Shared area of every pair, shape ``(n, m)``, for boxes ``(n, 4)`` and ``(m, 4)``."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    size = np.maximum(high - low, 0)
    shared: FloatArray = size[..., 0] * size[..., 1]
    return shared


def box_iou(first: FloatArray, second: FloatArray) -> FloatArray:
    """Intersection over union in ``[0, 1]`` of every pair, shape ``(n, m)``; 0 for empty boxes."""
    shared = box_intersection(first, second)
    union = box_area(first)[:, None] + box_area(second)[None, :] - shared
    iou: FloatArray = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return iou


def non_maximum_suppression(
    xyxy: FloatArray,
    score: FloatArray,
    class_id: IntArray,
    *,
    iou_threshold: float,
    max_detections: int,
) -> IntArray:
    """Greedy non-maximum suppression within each class.

    Args:
        xyxy: boxes ``(n, 4)``.
        score: ``(n,)``.
        class_id: ``(n,)``; boxes of different classes never suppress each other.
        iou_threshold: a box is dropped where its IoU with a better one is above this, ``[0, 1]``.
        max_detections: at most so many are kept.

    Returns:
        Indices of the boxes kept, best score first; ties keep the order of the input.
    """
    left = np.argsort(-score, kind="stable")
    kept: list[int] = []
    while len(left) and len(kept) < max_detections:
        best = left[:_AT_ONCE]
        overlaps = box_iou(xyxy[best], xyxy[left]) > iou_threshold
        suppresses = overlaps & (class_id[best][:, None] == class_id[left][None, :])
        alive = np.ones(len(left), dtype=bool)
        for position, row in enumerate(suppresses):
            if not alive[position]:
                continue
            kept.append(int(best[position]))
            if len(kept) == max_detections:
                break
            alive[position + 1 :] &= ~row[position + 1 :]
        left = left[len(best) :][alive[len(best) :]]
    return np.array(kept, dtype=np.int64)
