"""Head outputs to detections in pixels of the original picture.

Each cell of each scale predicts class logits and the distances from its centre to the box's four
sides (FCOS, Tian et al. 2019). Thresholding comes first and in the integers of the tensor, so that
only the few cells that pass are ever converted to real numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tartlet_shared import affine, nms
from tartlet_shared.detections import Detections, FloatArray
from tartlet_shared.letterbox import Letterbox
from tartlet_shared.manifest import Decoding, Level, Tensor

CANDIDATES = 1000  # cells that go into non-maximum suppression, best first


def decode(
    outputs: Sequence[NDArray[Any]],
    tensors: Sequence[Tensor],
    decoding: Decoding,
    letterbox: Letterbox,
    *,
    score_threshold: float | None = None,
) -> Detections:
    """Detections in one picture.

    Args:
        outputs: the model's raw outputs, each of the shape and type that ``tensors`` states.
        tensors: ``Manifest.outputs``.
        decoding: ``Manifest.decoding``.
        letterbox: how the picture lay on the canvas.
        score_threshold: overrides the manifest's, those of the classes too, in ``[0, 1]``.

    Returns:
        Best score first, boxes clipped to the picture, boxes without area dropped. Cells whose
        logits or distances are not finite give nothing.
    """
    limits = decoding.class_thresholds or (decoding.score_threshold,)
    if score_threshold is not None:
        limits = (score_threshold,)
    parts = [_decode_level(outputs, tensors, level, min(limits)) for level in decoding.levels]
    boxes = np.concatenate([part[0] for part in parts])
    logits = np.concatenate([part[1] for part in parts])
    class_ids = np.concatenate([part[2] for part in parts])
    if len(limits) > 1:
        least = np.array([logit(each) for each in limits], np.float32)
        passing = logits >= least[class_ids]
        boxes, logits, class_ids = boxes[passing], logits[passing], class_ids[passing]

    best = np.argsort(-logits, kind="stable")[:CANDIDATES]
    boxes = letterbox.to_picture(boxes[best])
    # A box that lies in the padding has no area once it is clipped to the picture.
    solid = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    boxes, best = boxes[solid], best[solid]
    found = Detections(boxes, sigmoid(logits[best]), class_ids[best])
    return found[
        nms.non_maximum_suppression(
            found.xyxy,
            found.score,
            found.class_id,
            iou_threshold=decoding.iou_threshold,
            max_detections=decoding.max_detections,
        )
    ]


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


def _decode_level(
    outputs: Sequence[NDArray[Any]], tensors: Sequence[Tensor], level: Level, threshold: float
) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
    scores, boxes = outputs[level.scores][0], outputs[level.boxes][0]
    passing = _passing(scores, tensors[level.scores], logit(threshold))
    rows, columns, class_ids = np.nonzero(passing)
    logits = _real(scores[rows, columns, class_ids], tensors[level.scores])
    distances = np.maximum(_real(boxes[rows, columns], tensors[level.boxes]), 0) * level.stride
    centres = (np.stack([columns, rows], axis=1).astype(np.float32) + 0.5) * level.stride
    xyxy = np.concatenate([centres - distances[:, :2], centres + distances[:, 2:]], axis=1)
    finite = np.isfinite(xyxy).all(axis=1) & np.isfinite(logits)
    return xyxy[finite].astype(np.float32), logits[finite], class_ids[finite].astype(np.int64)


def _passing(values: NDArray[Any], tensor: Tensor, least: float) -> NDArray[np.bool_]:
    if tensor.affine is None:
        passing: NDArray[np.bool_] = values >= least
        return passing
    if math.isinf(least):
        return np.full(values.shape, least < 0)
    limit = affine.threshold(least, tensor.affine)
    # Compared as plain Python integers: a limit outside the type's range lets all or none pass.
    limits = np.iinfo(values.dtype)
    if limit > limits.max:
        return np.zeros(values.shape, np.bool_)
    passing = values >= values.dtype.type(max(limit, limits.min))
    return passing


def _real(values: NDArray[Any], tensor: Tensor) -> FloatArray:
    if tensor.affine is None:
        return values.astype(np.float32)
    return affine.dequantize(values, tensor.affine)
