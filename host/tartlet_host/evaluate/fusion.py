"""Several views' detections of one picture become one set of boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tartlet_host.evaluate.curves import Floats
from tartlet_shared import nms
from tartlet_shared.detections import Detections, FloatArray, IntArray

MOST = 100  # detections that stay, as a model gives


def suppress(views: Sequence[Detections], *, iou_threshold: float = 0.5) -> Detections:
    """All detections in one heap, and non-maximum suppression within each class."""
    heap = _together(views)
    kept = nms.non_maximum_suppression(
        heap.xyxy, heap.score, heap.class_id, iou_threshold=iou_threshold, max_detections=MOST
    )
    return heap[kept]


def fuse(views: Sequence[Detections], *, iou_threshold: float = 0.55) -> Detections:
    """Weighted boxes fusion (Solovyev, Wang and Gabruseva 2021, arXiv:1910.13302).

    Boxes of one object are averaged, weighted by their scores, where suppression keeps the best
    one only. The score is their mean, lowered by the part of the views that did not see it.

    Args:
        views: what each view found, in pixels of the same picture.
        iou_threshold: boxes of one class that overlap more are one object.

    Returns:
        Best score first, at most `MOST`.
    """
    heap = _together(views)
    order = np.argsort(-heap.score, kind="stable")
    boxes = np.zeros((len(order), 4), np.float32)  # of each cluster, the fused one
    sums = np.zeros((len(order), 4), np.float64)
    scores = np.zeros(len(order), np.float64)
    members = np.zeros(len(order), np.int64)
    classes = np.zeros(len(order), np.int64)
    clusters = 0
    for row in order:
        box, score, kind = (
            heap.xyxy[row].astype(np.float64),
            float(heap.score[row]),
            int(heap.class_id[row]),
        )
        place = _cluster(boxes[:clusters], classes[:clusters], box, kind, iou_threshold)
        if place is None:
            place, clusters = clusters, clusters + 1
            classes[place] = kind
        sums[place] += box * score
        scores[place] += score
        members[place] += 1
        boxes[place] = sums[place] / scores[place] if scores[place] > 0 else box
    seen = np.minimum(members[:clusters], len(views)) / max(len(views), 1)
    fused = scores[:clusters] / np.maximum(members[:clusters], 1) * seen
    best = np.argsort(-fused, kind="stable")[:MOST]
    return Detections(
        boxes[:clusters][best], np.minimum(fused[best], 1).astype(np.float32), classes[best]
    )


def _cluster(
    boxes: FloatArray, classes: IntArray, box: Floats, kind: int, least: float
) -> int | None:
    """The cluster of its class that a box overlaps most, if it overlaps one enough."""
    if not len(boxes):
        return None
    overlap = np.where(
        classes == kind, nms.box_iou(boxes, box[np.newaxis].astype(np.float32))[:, 0], -1.0
    )
    place = int(overlap.argmax())
    return place if overlap[place] > least else None


def _together(views: Sequence[Detections]) -> Detections:
    every = [Detections.empty(), *views]
    return Detections(
        np.concatenate([each.xyxy for each in every]),
        np.concatenate([each.score for each in every]),
        np.concatenate([each.class_id for each in every]),
    )
