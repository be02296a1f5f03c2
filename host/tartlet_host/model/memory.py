"""How much memory a training takes, before it starts."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch

from tartlet_host.model.detector import Detector
from tartlet_host.recipe import InputRecipe

_FLOAT = 4  # bytes
# For every weight: itself, its gradient, its moving average, and two moments of AdamW or one of
# SGD.
_COPIES = {"adamw": 5, "sgd": 4}


@dataclass(frozen=True)
class TrainingMemory:
    """An estimate in bytes.

    Attributes:
        weights: weights with their gradients, average and optimizer state.
        activations: kept for the backward pass, of one picture.
        batch_size: pictures in a step.
    """

    weights: int
    activations: int
    batch_size: int

    @property
    def total(self) -> int:
        """Of a step. Working space of the libraries and decoded pictures come on top."""
        return self.weights + self.activations * self.batch_size

    def largest_batch(self, available: int) -> int:
        """Most pictures of a step that fit; 0 if none does."""
        return max(0, (available - self.weights) // max(1, self.activations))


def training_memory(
    network: Detector, canvas: InputRecipe, batch_size: int, *, optimizer: str = "adamw"
) -> TrainingMemory:
    """Measure what one picture keeps for the backward pass, in training mode, and add it up.

    The tensors that autograd saves are counted once each, parameters not. The network is left as it
    was.
    """
    # A copy: in training mode a forward pass moves the norms' statistics.
    twin = copy.deepcopy(network).train().requires_grad_(True)
    parameters = {parameter.untyped_storage().data_ptr() for parameter in twin.parameters()}
    saved: dict[int, int] = {}
    kept: list[torch.Tensor] = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            saved[storage.data_ptr()] = storage.nbytes()
            kept.append(tensor)  # so that no address is used twice
        return tensor

    device = next(twin.parameters()).device
    picture = torch.zeros(1, 3, canvas.height, canvas.width, device=device)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        outputs = twin(picture.contiguous(memory_format=torch.channels_last))
    outgoing = sum(tensor.nbytes for level in outputs for tensor in level)
    count = sum(parameter.numel() for parameter in network.parameters())
    return TrainingMemory(
        weights=count * _FLOAT * _COPIES[optimizer],
        activations=sum(saved.values()) + outgoing,
        batch_size=batch_size,
    )
