"""Losses of class scores: focal and quality focal, with smoothed goals.

Sources: T.-Y. Lin et al., "Focal Loss for Dense Object Detection" (ICCV 2017), equation 5;
X. Li et al., "Generalized Focal Loss" (NeurIPS 2020), equation 6.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from tartlet_host.model.assigner import Assignment, Targets
from tartlet_host.recipe import LossRecipe

FOCUS = 2.0  # gamma of the focal loss, beta of the quality focal loss
# alpha of the focal loss: share of the objects, whose few cells are easier to keep apart.
OBJECT_SHARE = 0.25


def quality_focal_loss(logits: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
    """|quality - p|^2 times binary cross-entropy, elementwise; both of one shape."""
    distance = (quality - logits.sigmoid()).abs()
    entropy = functional.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    return distance**FOCUS * entropy


def focal_loss(logits: torch.Tensor, goal: torch.Tensor) -> torch.Tensor:
    """alpha-balanced focal loss, elementwise; both of one shape.

    For goals of 0 and 1 it is the published one. Smoothed goals take the quality focal form, which
    is the same there and is smallest at the goal between.
    """
    balance = OBJECT_SHARE * goal + (1.0 - OBJECT_SHARE) * (1.0 - goal)
    return balance * quality_focal_loss(logits, goal)


def smoothed(goal: torch.Tensor, distance: float) -> torch.Tensor:
    """Goals in 0..1, moved evenly into distance..1 - distance.

    For goals of 0 and 1 this is label smoothing over two classes with epsilon = 2 distance
    (C. Szegedy et al., "Rethinking the Inception Architecture", CVPR 2016, section 7).
    """
    return distance + (1.0 - 2.0 * distance) * goal


def score_loss(
    logits: torch.Tensor,
    targets: Targets,
    assignment: Assignment,
    recipe: LossRecipe,
    weights: torch.Tensor,
    *,
    mean: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> torch.Tensor:
    """Loss of all cells, for one object's worth of cells.

    The quality focal loss is divided by the sum of qualities, the focal loss by the number of cells
    with an object.

    Args:
        logits: (B, N, C).
        targets: the batch's boxes.
        assignment: of the N cells.
        recipe: kind of loss, label smoothing and the weight of the comparison of classes.
        weights: (B, N) of each cell, from its object's class; 1 for background.
        mean: of the divisor, over all processes that train together.
    """
    goal = assignment.quality
    if recipe.score == "focal":
        goal = (goal > 0).to(logits.dtype)
    class_ids = targets.class_ids.gather(1, assignment.box_index)
    goals = torch.zeros_like(logits).scatter_(2, class_ids[..., None], goal[..., None])
    kind = focal_loss if recipe.score == "focal" else quality_focal_loss
    loss = kind(logits, smoothed(goals, recipe.label_smoothing))
    total = (loss * (assignment.counts * weights)[..., None]).sum()
    if recipe.class_entropy and logits.shape[2] > 1:
        total = total + recipe.class_entropy * class_entropy(logits, class_ids, goal * weights)
    count = (goal * weights).sum()
    return total / (mean(count) if mean else count).clamp(min=1.0)


def class_entropy(
    logits: torch.Tensor, class_ids: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Softmax cross-entropy over the classes, summed over the cells that have an object.

    The focal losses judge each class alone and care little for a wrong one of middling score, so
    that classes that look alike are told apart late; this compares them with each other.

    Args:
        logits: (B, N, C).
        class_ids: (B, N), of the cell's object.
        weights: (B, N), 0 where there is no object.
    """
    cells = weights > 0
    entropy = functional.cross_entropy(logits[cells], class_ids[cells], reduction="none")
    return (entropy * weights[cells]).sum()
