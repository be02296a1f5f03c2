"""Single weights set to zero, for study: the network keeps its shape, and its speed.

Sources: S. Han et al., "Learning both Weights and Connections" (NeurIPS 2015) for pruning by
magnitude. LiteRT and ONNX Runtime multiply zeros like any other number; what a sparse network
gains is a smaller file, and only once it is compressed.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import safetensors.torch
import torch
from torch import nn

from tartlet_host.model.detector import Detector


@dataclass(frozen=True)
class LayerSparsity:
    """A convolution's weights.

    Attributes:
        name: of the module.
        weights: how many it has.
        zeros: how many of them are zero.
    """

    name: str
    weights: int
    zeros: int

    @property
    def sparsity(self) -> float:
        """Part that is zero, in ``[0, 1]``."""
        return self.zeros / self.weights


def zero_smallest(network: Detector, share: float) -> None:
    """Set that part of the convolution weights to zero, the smallest in magnitude, in place.

    One threshold holds for the whole network, so layers with small weights lose more. Weights are
    compared as they are stored, norms not folded in. Norms, biases and the heads' last layers,
    whose weights are small and few, stay.

    Args:
        network: any.
        share: part of the weights, in ``[0, 1]``.
    """
    magnitudes = torch.cat([layer.weight.detach().abs().flatten() for layer in _layers(network)])
    count = round(share * len(magnitudes))
    if count:
        _zero(network, float(torch.kthvalue(magnitudes, count).values))


def zero_below(network: Detector, threshold: float) -> None:
    """Set weights of a smaller magnitude to zero, in place; what stays is as in `zero_smallest`."""
    _zero(network, float(np.nextafter(np.float32(threshold), np.float32(0))))


def _zero(network: Detector, largest: float) -> None:
    with torch.no_grad():
        for layer in _layers(network):
            layer.weight.masked_fill_(layer.weight.abs() <= largest, 0.0)


def sparsity_by_layer(network: Detector) -> tuple[LayerSparsity, ...]:
    """How sparse each convolution is, in the network's order."""
    return tuple(
        LayerSparsity(name, module.weight.numel(), int((module.weight == 0).sum()))
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d)
    )


def sizes(network: Detector) -> tuple[int, int]:
    """Bytes of the weights as they are stored, and compressed as a .zip file compresses."""
    stored = safetensors.torch.save(
        {name: value.contiguous() for name, value in network.state_dict().items()}
    )
    return len(stored), len(zlib.compress(stored, 6))


def _layers(network: Detector) -> list[nn.Conv2d]:
    outputs = {layer for head in network.heads for layer in (head.score, head.box)}
    return [
        module
        for module in network.modules()
        if isinstance(module, nn.Conv2d) and module not in outputs
    ]
