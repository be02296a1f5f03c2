"""A model's outputs to detections in pixels of the original picture, by the kind of its head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from tartlet_shared.candidates import CANDIDATES, finish, logit, sigmoid
from tartlet_shared.decode_cells import decode_cells
from tartlet_shared.decode_classes import decode_classes
from tartlet_shared.decode_lists import decode_end_to_end, decode_ssd
from tartlet_shared.decode_yolo import decode_yolo
from tartlet_shared.decoding import (
    CellDecoding,
    Decoding,
    EndToEndDecoding,
    SsdDecoding,
    YoloDecoding,
)
from tartlet_shared.detections import Detections
from tartlet_shared.letterbox import Letterbox
from tartlet_shared.tensor import Tensor

__all__ = ["CANDIDATES", "decode", "logit", "sigmoid"]

MOST_CLASSES = 65536
SUPPRESSES_NOTHING = 1.0  # IoU: for heads that give finished objects


def decode(
    outputs: Sequence[NDArray[Any]],
    tensors: Sequence[Tensor],
    decoding: Decoding,
    letterbox: Letterbox,
    *,
    classes: int | None = None,
    score_threshold: float | None = None,
) -> Detections:
    """Detections in one picture.

    Args:
        outputs: the model's raw outputs, each of the shape and type that ``tensors`` states.
        tensors: ``Manifest.outputs``.
        decoding: ``Manifest.decoding``.
        letterbox: how the picture lay on the canvas.
        classes: number of labels, for heads that give class ids: one beyond them is no detection.
            None lets every id pass.
        score_threshold: overrides the manifest's, those of the classes too, in ``[0, 1]``.

    Returns:
        Best score first, boxes clipped to the picture, boxes without area dropped. What is not
        finite gives nothing.
    """
    limits = decoding.class_thresholds or (decoding.score_threshold,)
    if score_threshold is not None:
        limits = (score_threshold,)
    known = classes or (len(limits) if len(limits) > 1 else MOST_CLASSES)
    canvas = (letterbox.canvas_height, letterbox.canvas_width)
    iou_threshold = SUPPRESSES_NOTHING
    if isinstance(decoding, CellDecoding):
        found = decode_cells(outputs, tensors, decoding, limits)
        iou_threshold = decoding.iou_threshold
    elif isinstance(decoding, YoloDecoding):
        found = decode_yolo(outputs, tensors, decoding, canvas, limits)
        iou_threshold = decoding.iou_threshold
    elif isinstance(decoding, SsdDecoding):
        found = decode_ssd(outputs, tensors, decoding, canvas, limits, known)
    elif isinstance(decoding, EndToEndDecoding):
        found = decode_end_to_end(outputs, tensors, decoding, canvas, limits, known)
    else:
        found = decode_classes(outputs, tensors, decoding, canvas, limits)
    return finish(
        found, letterbox, iou_threshold=iou_threshold, max_detections=decoding.max_detections
    )
