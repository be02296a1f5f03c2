"""Which cells learn which box.

Two ways, used one after the other. By geometry: the cells nearest a box's centre on the level
whose stride fits its size; it needs nothing of the network and so starts a training. By task
alignment: the cells that already score and localise a box best (C. Feng et al., "TOOD", ICCV
2021), which lets the network choose its levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tartlet_host.model.boxes import pairwise_iou

# Geometry: a box goes to the level on which its longer side is about this many cells.
CELLS_PER_BOX = 4.0
GEOMETRY_CELLS = 6
# Task alignment: score^ALPHA * IoU^BETA, best ALIGNED_CELLS of a box.
ALIGNED_CELLS = 9
ALPHA = 0.5
BETA = 4.0


@dataclass(frozen=True)
class Grid:
    """Centres of all cells of all levels, one after the other.

    Attributes:
        centres: (N, 2) float32, x and y on the canvas in pixels.
        strides: (N,) float32, pixels.
    """

    centres: torch.Tensor
    strides: torch.Tensor


@dataclass(frozen=True)
class Targets:
    """Padded boxes of a batch; M is the largest number of boxes in one picture.

    Attributes:
        boxes: (B, M, 4) float32 xyxy on the canvas, zeros where there is none.
        class_ids: (B, M) int64.
        present: (B, M) bool, a box to learn.
        ignore: (B, M) bool, a region neither object nor background.
    """

    boxes: torch.Tensor
    class_ids: torch.Tensor
    present: torch.Tensor
    ignore: torch.Tensor


@dataclass(frozen=True)
class Assignment:
    """What each cell learns.

    Attributes:
        box_index: (B, N) int64, index into the M boxes; meaningless where `quality` is 0.
        quality: (B, N) float32 in 0..1, the score the cell should give; 0 for background.
        counts: (B, N) bool, false where the score is not taught at all.
    """

    box_index: torch.Tensor
    quality: torch.Tensor
    counts: torch.Tensor


def make_grid(
    shapes: list[tuple[int, int]],
    strides: tuple[int, ...],
    *,
    device: torch.device | str = "cpu",
) -> Grid:
    """The grid of levels of the given (rows, columns)."""
    centres, sizes = [], []
    for (rows, columns), stride in zip(shapes, strides, strict=True):
        y, x = torch.meshgrid(
            (torch.arange(rows, device=device) + 0.5) * stride,
            (torch.arange(columns, device=device) + 0.5) * stride,
            indexing="ij",
        )
        centres.append(torch.stack([x, y], dim=-1).reshape(-1, 2))
        sizes.append(torch.full((rows * columns,), float(stride), device=device))
    return Grid(torch.cat(centres), torch.cat(sizes))


def assign_by_geometry(grid: Grid, targets: Targets) -> Assignment:
    """The few cells nearest a box's centre, inside it, on the level that fits its size."""
    boxes = targets.boxes
    inside = _inside(grid, boxes)
    size = (boxes[..., 2:] - boxes[..., :2]).amax(dim=-1)
    levels = torch.unique(grid.strides)
    best = (torch.log2(size.clamp(min=1.0)[..., None] / (CELLS_PER_BOX * levels))).abs().argmin(-1)
    fits = grid.strides == levels[best][..., None]
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    distance = torch.linalg.vector_norm(grid.centres - centre[..., None, :], dim=-1) / grid.strides
    # A box between cell centres still has its nearest cell.
    nearest = fits & (distance <= 0.71)
    affinity = torch.where(fits & (inside | nearest), 1.0 / (1.0 + distance), 0.0)
    affinity = affinity * targets.present[..., None]
    return _choose(grid, targets, affinity, torch.ones_like(affinity), GEOMETRY_CELLS)


def assign_by_alignment(
    grid: Grid, targets: Targets, scores: torch.Tensor, boxes: torch.Tensor
) -> Assignment:
    """The cells inside a box that already score and localise it best.

    Args:
        grid: N cells.
        targets: the batch's boxes.
        scores: (B, N, C) probabilities.
        boxes: (B, N, 4) predicted xyxy on the canvas.
    """
    iou = pairwise_iou(targets.boxes, boxes)
    index = targets.class_ids[:, None, :].expand(-1, scores.shape[1], -1)
    score = scores.gather(2, index).transpose(1, 2)
    candidates = _inside(grid, targets.boxes) & targets.present[..., None]
    alignment = torch.where(candidates, score**ALPHA * iou**BETA, 0.0)
    return _choose(grid, targets, alignment, iou, ALIGNED_CELLS)


def _inside(grid: Grid, boxes: torch.Tensor) -> torch.Tensor:
    """(B, M, N): the cell's centre lies in the box."""
    centres = grid.centres
    after = (centres > boxes[..., None, :2]).all(dim=-1)
    return after & (centres < boxes[..., None, 2:]).all(dim=-1)


def _choose(
    grid: Grid, targets: Targets, affinity: torch.Tensor, iou: torch.Tensor, cells: int
) -> Assignment:
    """Best `cells` of each box; a cell wanted by several goes to the one it suits best.

    The quality of a cell is its affinity, scaled so that the best cell of a box gets the box's
    best IoU (TOOD, equation 5).
    """
    count = min(cells, affinity.shape[-1])
    top = affinity.topk(count, dim=-1)
    wanted = torch.zeros_like(affinity, dtype=torch.bool).scatter_(-1, top.indices, top.values > 0)
    claim = torch.where(wanted, affinity, 0.0)
    value, box_index = claim.max(dim=1)
    best_affinity = claim.amax(dim=-1).clamp(min=1e-9)
    best_iou = torch.where(wanted, iou, 0.0).amax(dim=-1)
    scale = (best_iou / best_affinity).gather(1, box_index)
    quality = (value * scale).clamp(0.0, 1.0)
    counts = (quality > 0) | ~_ignored(grid, targets)
    return Assignment(box_index, quality, counts)


def _ignored(grid: Grid, targets: Targets) -> torch.Tensor:
    """(B, N): the cell's centre lies in an ignored region."""
    regions = _inside(grid, targets.boxes) & targets.ignore[..., None]
    return regions.any(dim=1)
