"""Heads of YOLOv5, and of YOLOv8 and its successors: one tensor, boxes as centre and size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tartlet_shared.candidates import Candidates, limits_of, passing, real
from tartlet_shared.decoding import YoloDecoding
from tartlet_shared.tensor import Tensor


def decode_yolo(
    outputs: Sequence[NDArray[Any]],
    tensors: Sequence[Tensor],
    decoding: YoloDecoding,
    canvas: tuple[int, int],
    limits: tuple[float, ...],
) -> Candidates:
    """Every pair of a box and a class whose score passes the limit of its class."""
    tensor = tensors[decoding.output]
    rows = outputs[decoding.output][0]
    if decoding.transposed:
        rows = rows.T
    least = min(limits)
    first = 4
    if decoding.objectness:
        # A product of probabilities is at most as large as each of them.
        rows = rows[passing(rows[:, 4], tensor, least)]
        first = 5
    boxes, class_id = np.nonzero(passing(rows[:, first:], tensor, least))
    score = real(rows[boxes, first + class_id], tensor)
    if decoding.objectness:
        score = score * real(rows[boxes, 4], tensor)
    above = score >= limits_of(limits, class_id)
    boxes, class_id, score = boxes[above], class_id[above], score[above]
    centre, size = np.split(real(rows[boxes, :4], tensor), 2, axis=1)
    xyxy = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
    if decoding.units == "parts":
        xyxy = xyxy * np.array([canvas[1], canvas[0]] * 2, np.float32)
    return Candidates(xyxy.astype(np.float32), score, score, class_id.astype(np.int64))
