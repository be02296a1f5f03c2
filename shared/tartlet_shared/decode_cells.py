"""tartlet's own head.

Each cell of each scale predicts class logits and the distances from its centre to the box's four
sides (FCOS, Tian et al. 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tartlet_shared.candidates import Candidates, limits_of, logit, passing, real, sigmoid
from tartlet_shared.decoding import CellDecoding, Level
from tartlet_shared.detections import FloatArray
from tartlet_shared.tensor import Tensor


def decode_cells(
    outputs: Sequence[NDArray[Any]],
    tensors: Sequence[Tensor],
    decoding: CellDecoding,
    limits: tuple[float, ...],
) -> Candidates:
    """Boxes of all cells whose score passes the limit of its class."""
    parts = [_level(outputs, tensors, level, min(limits)) for level in decoding.levels]
    boxes, logits, class_ids = (np.concatenate([part[k] for part in parts]) for k in range(3))
    if len(limits) > 1:
        kept = logits >= limits_of(tuple(logit(each) for each in limits), class_ids)
        boxes, logits, class_ids = boxes[kept], logits[kept], class_ids[kept]
    # By logits: the scores of the surest cells all round to 1.
    return Candidates(boxes, logits, sigmoid(logits), class_ids)


def _level(
    outputs: Sequence[NDArray[Any]], tensors: Sequence[Tensor], level: Level, threshold: float
) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
    scores, boxes = outputs[level.scores][0], outputs[level.boxes][0]
    above = passing(scores, tensors[level.scores], logit(threshold))
    rows, columns, class_ids = np.nonzero(above)
    logits = real(scores[rows, columns, class_ids], tensors[level.scores])
    distances = np.maximum(real(boxes[rows, columns], tensors[level.boxes]), 0) * level.stride
    centres = (np.stack([columns, rows], axis=1).astype(np.float32) + 0.5) * level.stride
    xyxy = np.concatenate([centres - distances[:, :2], centres + distances[:, 2:]], axis=1)
    finite = np.isfinite(xyxy).all(axis=1) & np.isfinite(logits)
    return xyxy[finite].astype(np.float32), logits[finite], class_ids[finite].astype(np.int64)
