"""The training loss: quality focal loss for scores, generalized IoU for boxes.

Source of the score loss: X. Li et al., "Generalized Focal Loss" (NeurIPS 2020), equation 6.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from tartlet_host.model import boxes as box_math
from tartlet_host.model.assigner import (
    Assignment,
    Grid,
    Targets,
    assign_by_alignment,
    assign_by_geometry,
    make_grid,
)

FOCUS = 2.0  # beta of the quality focal loss
# Share of the distance loss: it reaches distances below zero, where the clamped box has no slope.
DISTANCE_WEIGHT = 0.25


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
    """Head outputs by level -> one row a cell."""
    grid = make_grid([(scores.shape[2], scores.shape[3]) for scores, _ in outputs], strides)
    logits = torch.cat([scores.flatten(2).transpose(1, 2) for scores, _ in outputs], dim=1)
    distances = torch.cat([boxes.flatten(2).transpose(1, 2) for _, boxes in outputs], dim=1)
    return Flat(logits, distances, grid)


def detection_loss(
    flat: Flat,
    targets: Targets,
    *,
    by_geometry: bool,
    box_weight: float,
    teacher: Flat | None = None,
    imitation_weight: float = 0.0,
) -> Loss:
    """Loss of a batch against its boxes and, where given, against a teacher's outputs.

    Args:
        flat: the network's outputs.
        targets: the boxes of the batch.
        by_geometry: assign by geometry alone, for the first steps.
        box_weight: of the box terms against the score term.
        teacher: outputs of the network to imitate, on the same grid.
        imitation_weight: of the imitation term.
    """
    grid = flat.grid
    predicted = box_math.decode(flat.distances, grid.centres, grid.strides)
    with torch.no_grad():
        if by_geometry:
            assignment = assign_by_geometry(grid, targets)
        else:
            assignment = assign_by_alignment(grid, targets, flat.logits.sigmoid(), predicted)
    weight = assignment.quality.sum().clamp(min=1.0)
    score = _score_loss(flat.logits, targets, assignment) / weight
    box = box_weight * _box_loss(flat, predicted, targets, assignment) / weight
    total = score + box
    imitation = 0.0
    if teacher is not None and imitation_weight > 0:
        term = imitation_weight * imitation_loss(flat, teacher)
        total = total + term
        imitation = float(term.detach())
    return Loss(total, float(score.detach()), float(box.detach()), imitation)


def quality_focal_loss(logits: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
    """|quality - p|^2 times binary cross-entropy, elementwise; both of one shape."""
    distance = (quality - logits.sigmoid()).abs()
    entropy = functional.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    return distance**FOCUS * entropy


def imitation_loss(flat: Flat, teacher: Flat) -> torch.Tensor:
    """Make scores and boxes those of the teacher, where the teacher sees something.

    The teacher's probabilities are the target of the same quality focal loss; its boxes count by
    its confidence.
    """
    with torch.no_grad():
        quality = teacher.logits.sigmoid()
        confidence = quality.amax(dim=-1)
        # Where the teacher is unsure its boxes are noise.
        confidence = torch.where(confidence > 0.1, confidence, 0.0)
        weight = confidence.sum().clamp(min=1.0)
        goal = box_math.decode(teacher.distances, flat.grid.centres, flat.grid.strides)
    score = quality_focal_loss(flat.logits, quality).sum() / weight
    batch, cell = confidence.nonzero(as_tuple=True)
    predicted = box_math.decode(flat.distances, flat.grid.centres, flat.grid.strides)
    giou = box_math.generalized_iou(predicted[batch, cell], goal[batch, cell])
    return score + ((1.0 - giou) * confidence[batch, cell]).sum() / weight


def _score_loss(logits: torch.Tensor, targets: Targets, assignment: Assignment) -> torch.Tensor:
    quality = torch.zeros_like(logits)
    class_ids = targets.class_ids.gather(1, assignment.box_index)
    quality.scatter_(2, class_ids[..., None], assignment.quality[..., None])
    loss = quality_focal_loss(logits, quality)
    return (loss * assignment.counts[..., None]).sum()


def _box_loss(
    flat: Flat, predicted: torch.Tensor, targets: Targets, assignment: Assignment
) -> torch.Tensor:
    batch, cell = (assignment.quality > 0).nonzero(as_tuple=True)
    goal = targets.boxes[batch, assignment.box_index[batch, cell]]
    quality = assignment.quality[batch, cell]
    giou = 1.0 - box_math.generalized_iou(predicted[batch, cell], goal)
    grid = flat.grid
    reach = box_math.encode(goal, grid.centres[cell], grid.strides[cell]).clamp(min=0.0)
    raw = flat.distances[batch, cell]
    distance = ((raw - reach).abs() / (1.0 + reach)).mean(dim=-1)
    return ((giou + DISTANCE_WEIGHT * distance) * quality).sum()
