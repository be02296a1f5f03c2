"""Heads that give finished objects: SSD with TFLite's post-processing, and NMS-free YOLO."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tartlet_shared.candidates import Candidates, limits_of, real
from tartlet_shared.decoding import EndToEndDecoding, SsdDecoding
from tartlet_shared.detections import FloatArray
from tartlet_shared.tensor import Tensor


def decode_ssd(
    outputs: Sequence[NDArray[Any]],
    tensors: Sequence[Tensor],
    decoding: SsdDecoding,
    canvas: tuple[int, int],
    limits: tuple[float, ...],
    classes: int,
) -> Candidates:
    """Objects above their class's limit; what counts as background is none.

    Boxes that post-processing left outside the canvas, inverted or not finite are for the caller to
    drop.
    """
    scores = real(outputs[decoding.scores][0], tensors[decoding.scores])
    count = len(scores)
    if decoding.count is not None:
        stated = real(outputs[decoding.count], tensors[decoding.count])[0]
        count = int(np.clip(np.nan_to_num(stated), 0, count))
    ids = real(outputs[decoding.classes][0], tensors[decoding.classes])
    yxyx = real(outputs[decoding.boxes][0], tensors[decoding.boxes])
    height, width = canvas
    xyxy = yxyx[:, [1, 0, 3, 2]] * np.array([width, height] * 2, np.float32)
    there = np.arange(len(scores)) < count
    return _chosen(xyxy, scores, ids - decoding.background, there, limits, classes)


def decode_end_to_end(
    outputs: Sequence[NDArray[Any]],
    tensors: Sequence[Tensor],
    decoding: EndToEndDecoding,
    canvas: tuple[int, int],
    limits: tuple[float, ...],
    classes: int,
) -> Candidates:
    """Objects above their class's limit."""
    rows = real(outputs[decoding.output][0], tensors[decoding.output])
    xyxy = rows[:, :4]
    if decoding.units == "parts":
        xyxy = xyxy * np.array([canvas[1], canvas[0]] * 2, np.float32)
    there = np.ones(len(rows), np.bool_)
    return _chosen(xyxy, rows[:, 4], rows[:, 5], there, limits, classes)


def _chosen(
    xyxy: FloatArray,
    scores: FloatArray,
    ids: FloatArray,
    there: NDArray[np.bool_],
    limits: tuple[float, ...],
    classes: int,
) -> Candidates:
    named = there & (ids > -0.5) & (ids < classes - 0.5)  # not so for NaN
    xyxy, scores = xyxy[named], scores[named]
    class_id = np.rint(ids[named]).astype(np.int64)
    above = scores >= limits_of(limits, class_id)
    return Candidates(xyxy[above].astype(np.float32), scores[above], scores[above], class_id[above])
