"""What a device must know to use a model, from the recipe or from the model file itself."""

from __future__ import annotations

from collections.abc import Sequence

from tartlet_host.recipe import Recipe
from tartlet_shared import errors
from tartlet_shared.manifest import CellDecoding, Level, Preprocessing, Tensor

DEFAULT_SCORE_THRESHOLD = 0.3
NMS_IOU = 0.6
"""Boxes of a class that overlap more are one object. The head gives few doubles, and people who
walk together overlap by more than a half: on validation pictures of `models/people` 0.5 gave a
mAP50 of 0.957 and 0.6 gave 0.965."""


def preprocessing(recipe: Recipe) -> Preprocessing:
    """The recipe's canvas; mean and standard deviation are those of the pretrained backbone."""
    return Preprocessing(width=recipe.input.width, height=recipe.input.height)


def preprocessing_of(tensor: Tensor, *, where: str) -> Preprocessing:
    """The canvas that an input tensor ``(1, height, width, 3)`` asks for.

    Raises:
        ModelError: it has another shape.
    """
    if len(tensor.shape) != 4 or tensor.shape[0] != 1 or tensor.shape[3] != 3:
        raise errors.ModelError(
            f"the input has shape {tensor.shape}, expected (1, height, width, 3)",
            where=where,
            hint="convert the model with `tartlet quantize`",
        )
    return Preprocessing(width=tensor.shape[2], height=tensor.shape[1])


def decoding_of(
    canvas: Preprocessing,
    outputs: Sequence[Tensor],
    labels: tuple[str, ...],
    *,
    where: str,
    score_threshold: float = DEFAULT_SCORE_THRESHOLD,
) -> CellDecoding:
    """How to read outputs that come as scores, boxes, scores, boxes ... from fine to coarse.

    Args:
        canvas: what goes in.
        outputs: as the model gives them; strides follow from their shapes.
        labels: class names; their number must be the number of channels of the scores.
        where: the model's file, for errors.
        score_threshold: for the result.

    Raises:
        ModelError: the outputs are not those of a tartlet detector with these labels.
    """
    if not outputs or len(outputs) % 2:
        raise _not_ours(f"{len(outputs)} outputs, expected scores and boxes for each level", where)
    levels: list[Level] = []
    for place in range(0, len(outputs), 2):
        scores, boxes = outputs[place].shape, outputs[place + 1].shape
        if len(scores) != 4 or boxes != (*scores[:3], 4):
            raise _not_ours(f"outputs {place} and {place + 1} have shapes {scores}, {boxes}", where)
        if scores[3] != len(labels):
            raise errors.ModelError(
                f"the model tells {scores[3]} classes apart, there are {len(labels)} labels: "
                + ", ".join(labels),
                where=where,
                hint="use the recipe and data set that the model was trained with",
            )
        stride = -(-canvas.height // scores[1])
        if (-(-canvas.height // stride), -(-canvas.width // stride)) != scores[1:3]:
            raise _not_ours(
                f"output {place} has {scores[1]}x{scores[2]} cells "
                f"for a canvas of {canvas.height}x{canvas.width}",
                where,
            )
        levels.append(Level(stride=stride, scores=place, boxes=place + 1))
    return CellDecoding(
        levels=tuple(levels), score_threshold=score_threshold, iou_threshold=NMS_IOU
    )


def _not_ours(what: str, where: str) -> errors.ModelError:
    return errors.ModelError(
        what, where=where, hint="only detectors converted by `tartlet quantize` can be used"
    )
