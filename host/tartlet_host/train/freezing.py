"""Which parts of the network learn at a step, and which batch norms keep their statistics."""

from __future__ import annotations

from torch import nn

from tartlet_host.model.detector import Detector
from tartlet_host.recipe import TrainRecipe


def set_mode(detector: Detector, run: TrainRecipe, step: int) -> None:
    """Training mode, but for frozen parts and batch norms whose time is over.

    A function of `step` alone, so a resumed run needs to be told nothing.
    """
    detector.train().requires_grad_(True)
    if step >= round(run.steps * run.freeze_backbone_normalization_after):
        _freeze_normalization(detector.backbone)
    if step >= round(run.steps * run.freeze_normalization_after):
        _freeze_normalization(detector.neck)
        _freeze_normalization(detector.heads)
    if step < round(run.steps * run.freeze_backbone):
        detector.backbone.eval().requires_grad_(False)
    for stage in detector.backbone.first_stages(run.frozen_stages):
        stage.eval().requires_grad_(False)


def _freeze_normalization(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
