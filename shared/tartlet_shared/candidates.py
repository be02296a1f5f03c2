"""What all decoders do alike: threshold in the tensor's own numbers, and finish a list of boxes.

Thresholding comes first and in the integers of the tensor, so that only the few values that pass
are ever converted to real numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tartlet_shared import affine, nms
from tartlet_shared.detections import Detections, FloatArray, IntArray
from tartlet_shared.letterbox import Letterbox
from tartlet_shared.tensor import Tensor

CANDIDATES = 1000  # boxes that go into non-maximum suppression, best first


@dataclass(frozen=True, eq=False)
class Candidates:
    """Boxes before suppression.

    Attributes:
        xyxy: ``(n, 4)``, pixels of the canvas.
        rank: ``(n,)``, what the scores are sorted by; logits, or the scores themselves.
        score: ``(n,)``.
        class_id: ``(n,)``.
    """

    xyxy: FloatArray
    rank: FloatArray
    score: FloatArray
    class_id: IntArray


def finish(
    found: Candidates, letterbox: Letterbox, *, iou_threshold: float, max_detections: int
) -> Detections:
    """Map the best candidates to the picture, drop what has no area there, suppress.

    An ``iou_threshold`` of 1 suppresses nothing.
    """
    sane = np.isfinite(found.xyxy).all(axis=1) & (found.score >= 0) & (found.score <= 1)
    order = np.argsort(-found.rank[sane], kind="stable")[:CANDIDATES]
    boxes = letterbox.to_picture(found.xyxy[sane][order])
    # A box that lies in the padding has no area once it is clipped to the picture.
    solid = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    order, boxes = order[solid], boxes[solid]
    score, class_id = found.score[sane][order], found.class_id[sane][order]
    kept = nms.non_maximum_suppression(
        boxes, score, class_id, iou_threshold=iou_threshold, max_detections=max_detections
    )
    return Detections(boxes[kept], score[kept], class_id[kept])


def passing(values: NDArray[Any], tensor: Tensor, least: float) -> NDArray[np.bool_]:
    """Which values of a tensor are at least the real number ``least``; of NaN none is."""
    if tensor.affine is None:
        above: NDArray[np.bool_] = values >= least
        return above
    if math.isinf(least):
        return np.full(values.shape, least < 0)
    limit = affine.threshold(least, tensor.affine)
    # Compared as plain Python integers: a limit outside the type's range lets all or none pass.
    limits = np.iinfo(values.dtype)
    if limit > limits.max:
        return np.zeros(values.shape, np.bool_)
    above = values >= values.dtype.type(max(limit, limits.min))
    return above


def real(values: NDArray[Any], tensor: Tensor) -> FloatArray:
    """Values of a tensor as real numbers, float32."""
    if tensor.affine is None:
        return values.astype(np.float32)
    return affine.dequantize(values, tensor.affine)


def limits_of(limits: tuple[float, ...], class_id: IntArray) -> FloatArray:
    """The limit of each candidate, ``(n,)``; `limits` has one for each class, or one for all."""
    every = np.array(limits, np.float32)
    return every[class_id] if len(every) > 1 else np.full(len(class_id), every[0], np.float32)


def sigmoid(logits: FloatArray) -> FloatArray:
    """The logistic function, without overflow for any finite input."""
    return np.exp(-np.logaddexp(np.float32(0), -logits)).astype(np.float32)


def logit(probability: float) -> float:
    """Inverse of the logistic function; -inf for 0, inf for 1."""
    if probability <= 0.0:
        return -math.inf
    if probability >= 1.0:
        return math.inf
    return math.log(probability / (1.0 - probability))
