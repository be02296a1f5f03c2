"""Box arithmetic on tensors: decoding, areas, intersection over union."""

from __future__ import annotations

import math

import torch

# Keeps ratios of boxes without area finite; far below a pixel.
TINY = 1e-9


def decode(distances: torch.Tensor, centres: torch.Tensor, strides: torch.Tensor) -> torch.Tensor:
    """Distances (..., N, 4) left, top, right, bottom in strides -> xyxy (..., N, 4) in pixels."""
    reach = distances.clamp(min=0.0) * strides[:, None]
    return torch.cat([centres - reach[..., :2], centres + reach[..., 2:]], dim=-1)


def encode(boxes: torch.Tensor, centres: torch.Tensor, strides: torch.Tensor) -> torch.Tensor:
    """The inverse of `decode` for boxes around their centres; negative where they are not."""
    reach = torch.cat([centres - boxes[..., :2], boxes[..., 2:] - centres], dim=-1)
    return reach / strides[..., None]


def area(boxes: torch.Tensor) -> torch.Tensor:
    """Areas (...,) of xyxy boxes (..., 4); 0 for inverted ones."""
    size = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0.0)
    return size[..., 0] * size[..., 1]


def pairwise_iou(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """IoU in 0..1, (B, M, N), of boxes (B, M, 4) and (B, N, 4)."""
    one, two = first[:, :, None], second[:, None]
    overlap = _overlap(one, two)
    union = area(first)[:, :, None] + area(second)[:, None] - overlap
    return overlap / union.clamp(min=TINY)


def paired_iou(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """IoU in 0..1, (...,), of matching boxes (..., 4)."""
    overlap = _overlap(first, second)
    return overlap / (area(first) + area(second) - overlap).clamp(min=TINY)


def generalized_iou(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Generalized IoU in -1..1, (...,), of matching boxes (..., 4).

    Source: H. Rezatofighi et al., "Generalized Intersection over Union" (CVPR 2019).
    """
    overlap = _overlap(first, second)
    union = area(first) + area(second) - overlap
    hull = area(_hull(first, second)).clamp(min=TINY)
    return overlap / union.clamp(min=TINY) - (hull - union) / hull


def distance_iou(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Distance IoU in -1..1, (...,): IoU less the distance of the centres over the hull's diagonal.

    Both lengths are squared. Source: Z. Zheng et al., "Distance-IoU Loss" (AAAI 2020), equation 7.
    """
    hull = _hull(first, second)
    diagonal = (hull[..., 2:] - hull[..., :2]).square().sum(dim=-1)
    apart = ((first[..., :2] + first[..., 2:]) - (second[..., :2] + second[..., 2:])) / 2
    return paired_iou(first, second) - apart.square().sum(dim=-1) / diagonal.clamp(min=TINY)


def complete_iou(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Complete IoU in -1.5..1, (...,): distance IoU less a term for differing aspect ratios.

    Source: Z. Zheng et al., as above, equations 8 to 11; as there, the weight of the term passes no
    gradient on.
    """
    turn = _aspect(second) - _aspect(first)
    difference = 4 / math.pi**2 * turn.square()
    with torch.no_grad():
        weight = difference / (1 - paired_iou(first, second) + difference).clamp(min=TINY)
    return distance_iou(first, second) - weight * difference


def _aspect(boxes: torch.Tensor) -> torch.Tensor:
    """The angle whose tangent is width / height; 0 for a box without area."""
    size = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0.0)
    return torch.atan2(size[..., 0], size[..., 1] + 1e-3)


def _hull(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """The smallest box around both."""
    low = torch.minimum(first[..., :2], second[..., :2])
    high = torch.maximum(first[..., 2:], second[..., 2:])
    return torch.cat([low, high], dim=-1)


def _overlap(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    low = torch.maximum(first[..., :2], second[..., :2])
    high = torch.minimum(first[..., 2:], second[..., 2:])
    return area(torch.cat([low, high], dim=-1))
