"""Losses of the boxes of matched cells.

The three of the IoU family compare boxes on the canvas; the other two compare the four distances
from the cell's centre, in strides.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from tartlet_host.model import boxes as box_math
from tartlet_host.model.assigner import Assignment, Grid, Targets
from tartlet_host.recipe import LossRecipe

# Share of the distances in a loss of the IoU family: they reach values below zero, where the
# clamped box has no slope.
DISTANCE_WEIGHT = 0.25
# Strides. Below, smooth L1 is a parabola; 1/9 is usual for sides of boxes on feature pyramids.
SMOOTH_L1_BETA = 1.0 / 9.0
# Strides. Below, Huber's loss is a parabola (P. J. Huber, 1964).
HUBER_DELTA = 1.0

_SIMILARITIES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "giou": box_math.generalized_iou,
    "diou": box_math.distance_iou,
    "ciou": box_math.complete_iou,
}


def box_loss(
    distances: torch.Tensor,
    predicted: torch.Tensor,
    grid: Grid,
    targets: Targets,
    assignment: Assignment,
    recipe: LossRecipe,
    weights: torch.Tensor,
    *,
    mean: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> torch.Tensor:
    """Mean loss of the matched cells, each counted by its quality and weight; 0 without any.

    Args:
        distances: (B, N, 4) in strides, not yet clamped.
        predicted: (B, N, 4) xyxy on the canvas, from `distances`.
        grid: the N cells.
        targets: the batch's boxes.
        assignment: of the N cells.
        recipe: kind of loss.
        weights: (B, N) of each cell, from its object's class; 1 for background.
        mean: of the divisor, over all processes that train together.
    """
    batch, cell = (assignment.quality > 0).nonzero(as_tuple=True)
    goal = targets.boxes[batch, assignment.box_index[batch, cell]]
    raw = distances[batch, cell]
    reach = box_math.encode(goal, grid.centres[cell], grid.strides[cell]).clamp(min=0.0)
    if recipe.box in _SIMILARITIES:
        loss = 1.0 - _SIMILARITIES[recipe.box](predicted[batch, cell], goal)
        loss = loss + DISTANCE_WEIGHT * ((raw - reach).abs() / (1.0 + reach)).mean(dim=-1)
    else:
        loss = distance_loss(raw, reach, recipe.box)
    counted = assignment.quality * weights
    count = counted.sum()
    return (loss * counted[batch, cell]).sum() / (mean(count) if mean else count).clamp(min=1.0)


def distance_loss(distances: torch.Tensor, goal: torch.Tensor, kind: str) -> torch.Tensor:
    """Smooth L1 (R. Girshick, "Fast R-CNN", ICCV 2015) or Huber, mean over (..., 4) -> (...,)."""
    if kind == "huber":
        loss = functional.huber_loss(distances, goal, reduction="none", delta=HUBER_DELTA)
    else:
        loss = functional.smooth_l1_loss(distances, goal, reduction="none", beta=SMOOTH_L1_BETA)
    return loss.mean(dim=-1)
