"""The detector as a converter wants it: channels last, one flat tuple of outputs."""

from __future__ import annotations

import torch
from torch import nn

from tartlet_host.model.detector import Detector


class ExportWrapper(nn.Module):
    """Takes and gives NHWC tensors; outputs are (scores, boxes) by level, fine to coarse."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(1, H, W, 3) float32, already normalised -> (1, h, w, C), (1, h, w, 4) for each level."""
        outputs: list[torch.Tensor] = []
        for scores, boxes in self.detector(x.permute(0, 3, 1, 2)):
            outputs += [scores.permute(0, 2, 3, 1), boxes.permute(0, 2, 3, 1)]
        return tuple(outputs)
