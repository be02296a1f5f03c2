"""Box arithmetic on tensors: decoding, areas, intersection over union."""

from __future__ import annotations

import torch


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
    return overlap / union.clamp(min=1e-9)


def generalized_iou(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Generalized IoU in -1..1, (...,), of matching boxes (..., 4).

    Source: H. Rezatofighi et al., "Generalized Intersection over Union" (CVPR 2019).
    """
    overlap = _overlap(first, second)
    union = area(first) + area(second) - overlap
    low = torch.minimum(first[..., :2], second[..., :2])
    high = torch.maximum(first[..., 2:], second[..., 2:])
    hull = area(torch.cat([low, high], dim=-1)).clamp(min=1e-9)
    return overlap / union.clamp(min=1e-9) - (hull - union) / hull


def _overlap(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    low = torch.maximum(first[..., :2], second[..., :2])
    high = torch.minimum(first[..., 2:], second[..., 2:])
    return area(torch.cat([low, high], dim=-1))
