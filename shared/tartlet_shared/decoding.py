"""How a model's outputs become detections, as data: one record for each kind of head.

Each kind checks itself against the model's tensors; `tartlet_shared.decode` carries it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from tartlet_shared.tensor import Index, Positive, Probability, Record, Tensor


class _Head(Record, frozen=True, tag_field="kind"):
    """What all kinds have.

    Attributes:
        score_threshold: detections below are dropped.
        class_thresholds: one for each label, in place of ``score_threshold``; empty for none.
        max_detections: per picture.
    """

    score_threshold: Probability = 0.3
    class_thresholds: Annotated[tuple[Probability, ...], msgspec.Meta(max_length=10_000)] = ()
    max_detections: Positive = 100

    def thresholds(self, classes: int) -> tuple[float, ...]:
        """The score threshold of each class."""
        return self.class_thresholds or (self.score_threshold,) * classes


class Level(Record, frozen=True):
    """The outputs of one scale of the head.

    Attributes:
        stride: pixels of the canvas per cell.
        scores: index into ``Manifest.outputs``; logits ``(1, rows, columns, classes)``.
        boxes: index into ``Manifest.outputs``; ``(1, rows, columns, 4)``: distances left, top,
            right, bottom from the cell's centre, in strides, negative ones meaning 0.
    """

    stride: Positive
    scores: Index
    boxes: Index


class CellDecoding(_Head, frozen=True, kw_only=True, tag="anchor-free-ltrb"):
    """tartlet's own head: anchor-free, one prediction per cell.

    Attributes:
        levels: finest first.
        iou_threshold: for non-maximum suppression within a class.
    """

    levels: Annotated[tuple[Level, ...], msgspec.Meta(max_length=16)]
    iou_threshold: Probability = 0.5

    def score_outputs(self) -> tuple[int, ...]:
        """The outputs that hold scores."""
        return tuple(level.scores for level in self.levels)

    def check(self, outputs: Sequence[Tensor], canvas: tuple[int, int], classes: int) -> None:
        """Compare with the model: its outputs, the canvas's height and width, the labels.

        Raises:
            ValueError: they contradict each other.
        """
        height, width = canvas
        for level in self.levels:
            if max(level.scores, level.boxes) >= len(outputs):
                raise ValueError(f"stride {level.stride} points to an output that is not there")
            cells = (1, -(-height // level.stride), -(-width // level.stride))
            for place, channels in ((level.scores, classes), (level.boxes, 4)):
                shape = outputs[place].shape
                if shape != (*cells, channels):
                    raise ValueError(
                        f"output {place} has shape {shape}, stride {level.stride} needs "
                        f"{(*cells, channels)} ({classes} labels)"
                    )


class SsdDecoding(_Head, frozen=True, kw_only=True, tag="ssd"):
    """A list of objects, already suppressed, in outputs of their own.

    As TFLite's detection post-processing gives it.

    Attributes:
        boxes: ``(1, n, 4)``: top, left, bottom, right as parts of the canvas.
        classes: ``(1, n)``: class ids, counted from ``background``.
        scores: ``(1, n)``: in ``[0, 1]``.
        count: ``(1,)``: how many of the n are there; None where all are.
        background: class id of the first label: 1 where 0 is the background.
    """

    boxes: Index
    classes: Index
    scores: Index
    count: Index | None = None
    background: Annotated[int, msgspec.Meta(ge=0, le=1)] = 0

    def score_outputs(self) -> tuple[int, ...]:
        """The outputs that hold scores."""
        return (self.scores,)

    def check(self, outputs: Sequence[Tensor], canvas: tuple[int, int], classes: int) -> None:
        """As `CellDecoding.check`; the tensors do not tell the number of classes."""
        _there((self.boxes, self.classes, self.scores, self.count or 0), outputs)
        count = outputs[self.scores].shape[-1]
        _shaped(outputs, self.boxes, (1, count, 4))
        _shaped(outputs, self.classes, (1, count))
        _shaped(outputs, self.scores, (1, count))
        if self.count is not None:
            _shaped(outputs, self.count, (1,))


class YoloDecoding(_Head, frozen=True, kw_only=True, tag="yolo"):
    """One output with a box and scores for every cell: YOLOv5, and YOLOv8 and its successors.

    Attributes:
        output: ``(1, n, columns)`` or, transposed, ``(1, columns, n)``. The columns are the box's
            centre x and y, width and height, with ``objectness`` how sure it is of any object, then
            a probability for each class.
        transposed: the columns come before the n boxes.
        objectness: there is such a column; the score is its product with the class's.
        units: of the boxes: pixels of the canvas, or parts of its sides.
        iou_threshold: for non-maximum suppression within a class.
    """

    output: Index
    transposed: bool
    objectness: bool
    units: Literal["pixels", "parts"]
    iou_threshold: Probability = 0.5

    def score_outputs(self) -> tuple[int, ...]:
        """The outputs that hold scores."""
        return (self.output,)

    def check(self, outputs: Sequence[Tensor], canvas: tuple[int, int], classes: int) -> None:
        """As `CellDecoding.check`."""
        _there((self.output,), outputs)
        shape = outputs[self.output].shape
        columns = 4 + self.objectness + classes
        if len(shape) != 3 or shape[0] != 1 or shape[1 if self.transposed else 2] != columns:
            raise ValueError(
                f"output {self.output} has shape {shape}; {classes} labels need {columns} columns"
            )


class EndToEndDecoding(_Head, frozen=True, kw_only=True, tag="end-to-end"):
    """One output with finished objects: YOLOv10, YOLO26.

    Attributes:
        output: ``(1, n, 6)``: left, top, right, bottom, score, class id.
        units: of the boxes: pixels of the canvas, or parts of its sides.
    """

    output: Index
    units: Literal["pixels", "parts"]

    def score_outputs(self) -> tuple[int, ...]:
        """The outputs that hold scores."""
        return (self.output,)

    def check(self, outputs: Sequence[Tensor], canvas: tuple[int, int], classes: int) -> None:
        """As `CellDecoding.check`; the tensor does not tell the number of classes."""
        _there((self.output,), outputs)
        shape = outputs[self.output].shape
        if len(shape) != 3 or shape[0] != 1 or shape[2] != 6:
            raise ValueError(f"output {self.output} has shape {shape}, expected (1, n, 6)")


class ClassDecoding(_Head, frozen=True, kw_only=True, tag="classes"):
    """Scores for the whole picture: each class that passes is a box around all of it.

    Attributes:
        output: ``(1, background + classes)``.
        activation: what makes probabilities of the output.
        background: 1 where the output starts with a class for nothing.
    """

    output: Index
    activation: Literal["none", "softmax", "sigmoid"]
    background: Annotated[int, msgspec.Meta(ge=0, le=1)] = 0

    def score_outputs(self) -> tuple[int, ...]:
        """The outputs that hold scores."""
        return (self.output,)

    def check(self, outputs: Sequence[Tensor], canvas: tuple[int, int], classes: int) -> None:
        """As `CellDecoding.check`."""
        _there((self.output,), outputs)
        _shaped(outputs, self.output, (1, self.background + classes))


Decoding = CellDecoding | SsdDecoding | YoloDecoding | EndToEndDecoding | ClassDecoding


def _there(places: Sequence[int], outputs: Sequence[Tensor]) -> None:
    if max(places) >= len(outputs):
        raise ValueError(f"output {max(places)} is not there: the model has {len(outputs)}")


def _shaped(outputs: Sequence[Tensor], place: int, shape: tuple[int, ...]) -> None:
    if outputs[place].shape != shape:
        raise ValueError(f"output {place} has shape {outputs[place].shape}, expected {shape}")
