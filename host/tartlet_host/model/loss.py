"""The training loss: scores, boxes and, where there is a teacher, imitation of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from tartlet_host.model import boxes as box_math
from tartlet_host.model.assigner import (
    Assignment,
    Grid,
    Targets,
    assign_by_alignment,
    assign_by_geometry,
    make_grid,
)
from tartlet_host.model.box_loss import box_loss
from tartlet_host.model.score_loss import quality_focal_loss, score_loss
from tartlet_host.recipe import LossRecipe


@dataclass(frozen=True)
class Flat:
    """Head outputs of all levels, one cell after the other.

    Attributes:
        logits: (B, N, C).
        distances: (B, N, 4) in strides, not yet clamped.
        grid: the N cells.
    """

    logits: torch.Tensor
    distances: torch.Tensor
    grid: Grid


@dataclass(frozen=True)
class Loss:
    """Terms of the loss, each already weighted; `total` is what is minimised."""

    total: torch.Tensor
    score: float
    box: float
    imitation: float


def flatten(outputs: list[tuple[torch.Tensor, torch.Tensor]], strides: tuple[int, ...]) -> Flat:
    """Head outputs by level -> one row a cell, in at least float32."""
    shapes = [(scores.shape[2], scores.shape[3]) for scores, _ in outputs]
    grid = make_grid(shapes, strides, device=outputs[0][0].device)
    logits = torch.cat([scores.flatten(2).transpose(1, 2) for scores, _ in outputs], dim=1)
    distances = torch.cat([boxes.flatten(2).transpose(1, 2) for _, boxes in outputs], dim=1)
    # Areas in square pixels do not fit into 16 bits.
    wide = torch.promote_types(logits.dtype, torch.float32)
    return Flat(logits.to(wide), distances.to(wide), grid)


def detection_loss(
    flat: Flat,
    targets: Targets,
    recipe: LossRecipe,
    labels: tuple[str, ...],
    *,
    by_geometry: bool,
    teacher: Flat | None = None,
    imitation_weight: float = 0.0,
    mean: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> Loss:
    """Loss of a batch against its boxes and, where given, against a teacher's outputs.

    Args:
        flat: the network's outputs.
        targets: the boxes of the batch, on the same device.
        recipe: kinds and weights of the terms.
        labels: names of the C classes, which the recipe's weights refer to.
        by_geometry: assign by geometry alone, for the first steps.
        teacher: outputs of the network to imitate, on the same grid.
        imitation_weight: of the imitation term.
        mean: where several processes each see a part of the batch: the mean of a number over them.
            Every term is divided by what the whole batch holds, so that the mean of the processes'
            gradients is that of the whole.
    """
    grid = flat.grid
    predicted = box_math.decode(flat.distances, grid.centres, grid.strides)
    with torch.no_grad():
        if by_geometry:
            assignment = assign_by_geometry(grid, targets)
        else:
            assignment = assign_by_alignment(grid, targets, flat.logits.sigmoid(), predicted)
        weights = _cell_weights(targets, assignment, recipe, labels)
    score = score_loss(flat.logits, targets, assignment, recipe, weights, mean=mean)
    box = recipe.box_weight * box_loss(
        flat.distances, predicted, grid, targets, assignment, recipe, weights, mean=mean
    )
    total = score + box
    imitation = 0.0
    if teacher is not None and imitation_weight > 0:
        term = imitation_weight * imitation_loss(flat, teacher, mean=mean)
        total = total + term
        imitation = float(term.detach())
    return Loss(total, float(score.detach()), float(box.detach()), imitation)


def imitation_loss(
    flat: Flat, teacher: Flat, *, mean: Callable[[torch.Tensor], torch.Tensor] | None = None
) -> torch.Tensor:
    """Make scores and boxes those of the teacher, where the teacher sees something.

    The teacher's probabilities are the target of the same quality focal loss; its boxes count by
    its confidence.
    """
    with torch.no_grad():
        quality = teacher.logits.sigmoid()
        confidence = quality.amax(dim=-1)
        # Where the teacher is unsure its boxes are noise.
        confidence = torch.where(confidence > 0.1, confidence, 0.0)
        weight = confidence.sum()
        weight = (mean(weight) if mean else weight).clamp(min=1.0)
        goal = box_math.decode(teacher.distances, flat.grid.centres, flat.grid.strides)
    score = quality_focal_loss(flat.logits, quality).sum() / weight
    batch, cell = confidence.nonzero(as_tuple=True)
    predicted = box_math.decode(flat.distances, flat.grid.centres, flat.grid.strides)
    giou = box_math.generalized_iou(predicted[batch, cell], goal[batch, cell])
    return score + ((1.0 - giou) * confidence[batch, cell]).sum() / weight


def _cell_weights(
    targets: Targets, assignment: Assignment, recipe: LossRecipe, labels: tuple[str, ...]
) -> torch.Tensor:
    """(B, N): the weight of the class of the cell's object; 1 for background."""
    quality = assignment.quality
    if not recipe.class_weights:
        return torch.ones_like(quality)
    of_class = quality.new_tensor([recipe.class_weights.get(label, 1.0) for label in labels])
    class_ids = targets.class_ids.gather(1, assignment.box_index)
    return torch.where(quality > 0, of_class[class_ids], 1.0)
