"""Which head a model has, by the shapes of its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tartlet_host.foreign.labels import Labels
from tartlet_host.foreign.scaling import Head
from tartlet_shared import errors
from tartlet_shared.manifest import Tensor

COARSEST_SCORE_STEP = 0.1
"""Of an integer output that holds boxes and scores. With boxes in pixels one step is 2 or 3, every
score rounds to 0, and the model detects nothing."""


@dataclass(frozen=True)
class Shape:
    """What the outputs' shapes say.

    Attributes:
        head: the kind.
        places: indices of the outputs it reads: of a list of objects boxes, the two lists of which
            one holds classes and one scores, and the count if there is one; else one output.
        transposed: the columns come before the boxes.
        objectness: there is such a column.
        background: the first class is for nothing.
        or_end_to_end: the same shape is that of finished objects; only values can tell.
    """

    head: Head
    places: tuple[int, ...]
    transposed: bool = False
    objectness: bool = False
    background: bool = False
    or_end_to_end: bool = False


def recognise(
    picture: Tensor,
    outputs: Sequence[Tensor],
    labels: Labels,
    *,
    background: bool = False,
    where: str,
) -> Shape:
    """The head that the outputs' shapes fit.

    Args:
        picture: the input.
        outputs: as the runtime lists them.
        labels: class names.
        background: the user says that class 0 is the background.
        where: the file, for errors.

    Raises:
        ModelError: no known head fits; the text lists the tensors.
    """
    shape = (
        _ssd(outputs, background)
        or _yolo(picture, outputs, len(labels.names), where)
        or _classes(outputs, labels, background, where)
    )
    if shape is None:
        raise _unknown(outputs, labels, where)
    return shape


def listed(tensors: Sequence[Tensor]) -> str:
    """Tensors for people, one a line."""
    lines = []
    for place, tensor in enumerate(tensors):
        scale = "" if tensor.affine is None else f", scale {tensor.affine.scale:.4g}"
        sides = "x".join(str(side) for side in tensor.shape)
        lines.append(f"  {place}: {tensor.name}  {sides} {tensor.dtype}{scale}")
    return "\n".join(lines)


def _ssd(outputs: Sequence[Tensor], background: bool) -> Shape | None:
    boxes = [place for place, tensor in enumerate(outputs) if _is_list(tensor, 4)]
    if len(outputs) not in (3, 4) or len(boxes) != 1:
        return None
    count = outputs[boxes[0]].shape[1]
    lists = [place for place, tensor in enumerate(outputs) if tensor.shape == (1, count)]
    counts = [place for place, tensor in enumerate(outputs) if tensor.shape == (1,)]
    if len(lists) != 2 or len(lists) + 1 + len(counts) != len(outputs):
        return None
    return Shape("ssd", (boxes[0], *lists, *counts), background=background)


def _yolo(picture: Tensor, outputs: Sequence[Tensor], classes: int, where: str) -> Shape | None:
    """The one tensor of rank 3 with as many columns as the labels need.

    YOLOv5 exports may have its raw feature maps, of rank 5, beside it.
    """
    found = [
        shape
        for place, tensor in enumerate(outputs)
        if len(tensor.shape) == 3 and tensor.shape[0] == 1
        for shape in _readings(place, tensor, classes)
    ]
    if not found:
        return None
    if len(found) > 1:
        raise errors.ModelError(
            f"{len(found)} outputs could be the head:\n{listed(outputs)}",
            where=where,
            hint="export the model with one output",
        )
    tensor = outputs[found[0].places[0]]
    _check_boxes(found[0], picture, tensor, classes, where)
    if tensor.affine is not None and tensor.affine.scale > COARSEST_SCORE_STEP:
        raise errors.ModelError(
            f"boxes and scores share an integer output with steps of {tensor.affine.scale:.3g}, so "
            "every score rounds to 0",
            where=where,
            hint="export it again with boxes in parts of the picture, or with a float output",
        )
    return found[0]


def _check_boxes(shape: Shape, picture: Tensor, tensor: Tensor, classes: int, where: str) -> None:
    """Refuse a reading that takes a score for the objectness, or the other way round.

    One label too many or too few makes YOLOv5's columns those of YOLOv8, and every class is off by
    one. But YOLOv5 has three boxes for each cell, and its columns come last.
    """
    cells = _cells(picture)
    boxes = tensor.shape[2] if shape.transposed else tensor.shape[1]
    if shape.transposed and shape.objectness:
        stated = classes + 1
    elif not shape.objectness and boxes in {3 * each for each in cells} and not shape.or_end_to_end:
        stated = classes - 1
    else:
        return
    raise errors.ModelError(
        f"the model seems to tell {stated} classes apart, there are {classes} labels:\n"
        f"{listed([tensor])}",
        where=where,
        hint="give the labels that the model was trained with, one a line, without a background",
    )


def _cells(picture: Tensor) -> set[int]:
    """Cells of strides 8 to 32, and to 64, on the model's canvas."""
    if len(picture.shape) != 4:
        return set()
    sides = sorted(picture.shape[1:])[1:]
    counts = [-(-sides[0] // stride) * -(-sides[1] // stride) for stride in (8, 16, 32, 64)]
    return {sum(counts[:3]), sum(counts)}


def _readings(place: int, tensor: Tensor, classes: int) -> list[Shape]:
    """The ways to read one tensor of rank 3."""
    rows, columns = tensor.shape[1:]
    with_objectness = {4 + classes: False, 5 + classes: True}
    if columns == 6:
        # With one class, or with two, YOLO's rows have six columns as well.
        if columns in with_objectness:
            return [Shape("yolo", (place,), False, with_objectness[6], or_end_to_end=True)]
        return [Shape("end-to-end", (place,))]
    return [
        Shape("yolo", (place,), transposed, with_objectness[wide])
        for transposed, wide, long in ((False, columns, rows), (True, rows, columns))
        if wide in with_objectness and long > wide
    ]


def _classes(
    outputs: Sequence[Tensor], labels: Labels, background: bool, where: str
) -> Shape | None:
    if len(outputs) != 1 or len(outputs[0].shape) != 2:
        return None
    columns, classes = outputs[0].shape[1], len(labels.names)
    if columns == classes and not background:
        return Shape("classes", (0,))
    if columns == classes + 1 and (labels.background or background):
        return Shape("classes", (0,), background=True)
    hint = "give the labels that the model was trained with, one a line, in its order"
    if columns == classes + 1:
        hint += "; if its first class is the background, say --background"
    raise errors.ModelError(
        f"the model tells {columns} classes apart, there are {classes} labels",
        where=where,
        hint=hint,
    )


def _is_list(tensor: Tensor, columns: int) -> bool:
    return len(tensor.shape) == 3 and tensor.shape[0] == 1 and tensor.shape[2] == columns


def _unknown(outputs: Sequence[Tensor], labels: Labels, where: str) -> errors.ModelError:
    classes = len(labels.names)
    hint = (
        "known are SSD with TFLite's post-processing, YOLOv5, YOLOv8 and its successors, and "
        "classification; docs/import.md shows what each looks like"
    )
    columns = [
        side - 4
        for tensor in outputs
        if len(tensor.shape) == 3
        for side in (min(tensor.shape[1:]),)
    ]
    if columns:
        hint = (
            f"as a YOLO head this would be {columns[0]} classes, or {columns[0] - 1} with an "
            f"objectness column; there are {classes} labels"
        )
    return errors.ModelError(
        f"no known head has these outputs with {classes} labels:\n{listed(outputs)}",
        where=where,
        hint=hint,
    )
