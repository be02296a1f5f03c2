"""From a model's shapes and what it answers to a complete decoding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tartlet_host.foreign.heads import Shape, listed
from tartlet_host.foreign.labels import Labels
from tartlet_shared import errors
from tartlet_shared.detections import FloatArray
from tartlet_shared.manifest import (
    ClassDecoding,
    Decoding,
    EndToEndDecoding,
    SsdDecoding,
    Tensor,
    YoloDecoding,
)

Answers = Sequence[Sequence[FloatArray]]
"""For each picture the outputs as real numbers."""

_PARTS = 2.0  # a box this many canvases wide is not in parts of one
_MOST_INVERTED = 0.2  # rounding and untrained rows invert a box now and then
_ROUNDING = 0.02  # integer outputs may leave [0, 1] by a step


def complete(
    shape: Shape,
    outputs: Sequence[Tensor],
    labels: Labels,
    answers: Answers,
    *,
    order: tuple[int, int, int, int] | None = None,
    score_threshold: float,
    where: str,
) -> Decoding:
    """What the shapes leave open is read off the model's answers to pictures.

    Args:
        shape: what the shapes say.
        outputs: as the runtime lists them.
        labels: class names.
        answers: of one picture at least.
        order: of an SSD's outputs (boxes, classes, scores, count), where its operator is known.
        score_threshold: for the result.
        where: the file, for errors.

    Raises:
        ModelError: the answers are not those of the head that the shapes promise.
    """
    if shape.head == "ssd":
        return _ssd(shape, outputs, labels, answers, order, score_threshold, where)
    values = [each[shape.places[0]] for each in answers]
    if not all(np.isfinite(each).all() for each in values):
        raise _odd("it answers with values that are not finite", outputs, where)
    if shape.head == "classes":
        return ClassDecoding(
            output=shape.places[0],
            activation=_activation(values),
            background=int(shape.background),
            score_threshold=score_threshold,
        )
    if shape.head == "end-to-end" or (shape.or_end_to_end and _finished(values, labels)):
        ids, scores = ([each[0, :, column] for each in values] for column in (5, 4))
        _check_ids(ids, scores, labels, where)
        if not all(_are_corners(each[0, :, :4]) for each in values):
            raise _odd("its boxes are no corners: right is left of left", outputs, where)
        return EndToEndDecoding(
            output=shape.places[0],
            units=_units([each[0, :, :4] for each in values]),
            score_threshold=score_threshold,
        )
    rows = [each[0].T if shape.transposed else each[0] for each in values]
    chances = np.concatenate([each[:, 4:].ravel() for each in rows])
    if chances.min() < -_ROUNDING or chances.max() > 1 + _ROUNDING:
        raise _odd(
            f"its scores lie between {chances.min():.3g} and {chances.max():.3g}, not 0 and 1",
            outputs,
            where,
        )
    return YoloDecoding(
        output=shape.places[0],
        transposed=shape.transposed,
        objectness=shape.objectness,
        units=_units([each[:, :4] for each in rows]),
        score_threshold=score_threshold,
    )


def in_words(decoding: Decoding) -> str:
    """A head for people."""
    if isinstance(decoding, SsdDecoding):
        return "SSD with post-processing" + (", class 0 is the background" * decoding.background)
    if isinstance(decoding, YoloDecoding):
        kind = "YOLOv5 (objectness)" if decoding.objectness else "YOLOv8 and successors"
        return f"{kind}, boxes in {_unit_words(decoding.units)}"
    if isinstance(decoding, EndToEndDecoding):
        return f"finished objects (YOLOv10, YOLO26), boxes in {_unit_words(decoding.units)}"
    if isinstance(decoding, ClassDecoding):
        made = {"none": "probabilities", "softmax": "logits, softmax", "sigmoid": "logits, sigmoid"}
        return f"classification of whole pictures, {made[decoding.activation]}"
    return "tartlet's own"


def _unit_words(units: str) -> str:
    return "pixels" if units == "pixels" else "parts of the picture"


def _units(boxes: Sequence[FloatArray]) -> Literal["pixels", "parts"]:
    """Of the thousands of boxes of a head many are wider than two pixels."""
    return "pixels" if max(float(each.max(initial=0.0)) for each in boxes) > _PARTS else "parts"


def _finished(values: Sequence[FloatArray], labels: Labels) -> bool:
    """Rows sorted by score, with whole class ids: finished objects; YOLO's own are neither."""
    for each in values:
        score, class_id = each[0, :, 4], each[0, :, 5]
        if (np.diff(score) > 1e-6).any() or (np.rint(class_id) != class_id).any():
            return False
        if class_id.min() < 0 or class_id.max() >= len(labels.names):
            return False
    return True


def _are_corners(boxes: FloatArray) -> bool:
    """Right and bottom come last; of centre and size (as RT-DETR gives) many would be inverted."""
    inverted = (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
    return float(inverted.mean()) < _MOST_INVERTED


def _activation(values: Sequence[FloatArray]) -> Literal["none", "softmax"]:
    lowest = min(float(each.min()) for each in values)
    highest = max(float(each.max()) for each in values)
    return "none" if lowest >= -_ROUNDING and highest <= 1 + _ROUNDING else "softmax"


def _ssd(
    shape: Shape,
    outputs: Sequence[Tensor],
    labels: Labels,
    answers: Answers,
    order: tuple[int, int, int, int] | None,
    score_threshold: float,
    where: str,
) -> SsdDecoding:
    boxes, first, second, *count = shape.places
    if order is not None:
        boxes, classes, scores = order[:3]
        count = [order[3]]
    else:
        classes, scores = _tell_apart(first, second, outputs, answers, where)
    _check_ids(
        [each[classes][0] - int(shape.background) for each in answers],
        [each[scores][0] for each in answers],
        labels,
        where,
    )
    return SsdDecoding(
        boxes=boxes,
        classes=classes,
        scores=scores,
        count=count[0] if count else None,
        background=int(shape.background),
        score_threshold=score_threshold,
    )


def _tell_apart(
    first: int, second: int, outputs: Sequence[Tensor], answers: Answers, where: str
) -> tuple[int, int]:
    """The list of classes and the list of scores: by their names, else by their values."""
    for classes, scores in ((first, second), (second, first)):
        if "class" in outputs[classes].name.lower() and "score" in outputs[scores].name.lower():
            return classes, scores
    whole = {
        place: all(bool((np.rint(each[place]) == each[place]).all()) for each in answers)
        for place in (first, second)
    }
    if whole[first] == whole[second]:
        raise _odd("its classes and scores cannot be told apart", outputs, where)
    return (first, second) if whole[first] else (second, first)


def _check_ids(
    ids: Sequence[NDArray[Any]], scores: Sequence[NDArray[Any]], labels: Labels, where: str
) -> None:
    """A class id beyond the labels, on something the model is sure of, means a wrong list."""
    seen = np.concatenate([one[score >= 0.3] for one, score in zip(ids, scores, strict=True)])
    if len(seen) and seen.max() >= len(labels.names):
        raise errors.ModelError(
            f"it names class {seen.max():.0f}, the labels end at {len(labels.names) - 1}",
            where=where,
            hint="give all the labels; if class 0 is the background, say --background",
        )


def _odd(what: str, outputs: Sequence[Tensor], where: str) -> errors.ModelError:
    return errors.ModelError(
        f"{what}:\n{listed(outputs)}",
        where=where,
        hint="export the model with its head decoded (not the raw feature maps), or with --scale "
        "say how it wants its pixels",
    )
