"""How much of the canvas a cell of each level can see."""

from __future__ import annotations

import copy

import torch
from torch import nn

from tartlet_host.model.channels import channel_counts, resize_channels
from tartlet_host.model.detector import Detector

_HEIGHT = 64  # pixels: enough for two cells of the coarsest level
_FIRST_WIDTH, _LAST_WIDTH = 1024, 8192


def receptive_fields(network: Detector) -> tuple[int, ...]:
    """Side of the theoretical receptive field of each level's cells, fine to coarse, in pixels.

    That is the span of input columns that an output in the middle depends on at all, found by
    differentiating a copy of the network in which every convolution is a plain sum of one channel
    (all kernels are square, so a strip of the canvas is enough). The part that matters in practice
    is smaller (W. Luo et al., "Understanding the Effective Receptive Field", NeurIPS 2016). Fields
    above 8192 are given as 8192.
    """
    sums = _as_sums(network)
    width = _FIRST_WIDTH
    while True:
        fields = _fields(sums, width)
        # One cell's stride is the most that the middle one can lie off the middle.
        if max(fields) + 2 * network.strides[-1] < width or width >= _LAST_WIDTH:
            return fields
        width *= 2


def _fields(sums: Detector, width: int) -> tuple[int, ...]:
    strip = torch.ones(1, 1, _HEIGHT, width, dtype=torch.float64, requires_grad=True)
    outputs = sums(strip)
    fields = []
    for scores, _ in outputs:
        middle = scores[0, 0, :, scores.shape[3] // 2].sum()
        (gradient,) = torch.autograd.grad(middle, strip, retain_graph=True)
        columns = gradient.abs().sum(dim=(0, 1, 2)).nonzero()
        fields.append(int(columns.max() - columns.min()) + 1)
    return tuple(fields)


def _as_sums(network: Detector) -> Detector:
    """A copy with one channel everywhere, without norms and activations, whose weights are 1."""
    sums = copy.deepcopy(network).cpu().eval()
    resize_channels(sums, dict.fromkeys(channel_counts(sums), (1, 1)))
    for module in list(sums.modules()):
        if isinstance(module, nn.Conv2d):
            nn.init.ones_(module.weight)
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d | nn.ReLU6 | nn.ReLU | nn.Hardtanh):
                setattr(module, name, nn.Identity())
    return sums.double()
