"""The moving parts of a run: what changes from step to step, and what a saved state holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn

from tartlet_host.model.detector import Detector
from tartlet_host.recipe import TrainRecipe
from tartlet_host.train.early_stopping import Look
from tartlet_host.train.ema import MovingAverage
from tartlet_host.train.optimizer import make_optimizer

Weights = dict[str, torch.Tensor]


@dataclass(eq=False)
class Training:
    """A run in progress.

    Attributes:
        detector: the network that takes the steps.
        average: of its weights; what becomes the result.
        optimizer: with its moments.
        scaler: of the loss, against underflow in 16 bits; does nothing in 32.
        losses: total loss of every step so far.
        looks: at the validation set.
        best: averaged weights of the best look; None before the first.
        parts: in so many parts a batch fits into the memory.
        seconds: spent before this sitting.
    """

    detector: Detector
    average: MovingAverage[Detector]
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    losses: list[float] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    best: Weights | None = None
    parts: int = 1
    seconds: float = 0.0

    @property
    def step(self) -> int:
        """Steps done."""
        return len(self.losses)


def begin(detector: Detector, run: TrainRecipe, *, mixed: bool) -> Training:
    """A run before its first step, on the detector's device."""
    device = next(detector.parameters()).device
    return Training(
        detector,
        MovingAverage(detector, run.ema_decay),
        make_optimizer(detector, run),
        torch.amp.GradScaler(device.type, enabled=mixed),
    )


def copied(network: nn.Module) -> Weights:
    """A network's weights and statistics, in memory of their own."""
    return {name: value.clone() for name, value in network.state_dict().items()}


Stop = Callable[[], bool]
"""Asked after every step; true ends the run there, with its state written."""
