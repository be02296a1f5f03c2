"""Training with simulated int8, so that the weights settle where rounding does least harm.

Source: R. Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference"
(arXiv:1806.08342): weights per channel and symmetric, activations per tensor with ranges that
follow an average, and a gradient that passes the rounding as if it were not there.

Only the weights are kept. The file is then made by the usual way, calibration included, so that
what is measured is what the runtimes do and not what was simulated.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import msgspec
import torch
from torch import nn
from torch.nn.utils import parametrize

from tartlet_host.dataset.sample import Dataset
from tartlet_host.model.blocks import InvertedResidual, ResidualBlock
from tartlet_host.model.detector import Detector
from tartlet_host.model.layers import ConvBlock
from tartlet_host.recipe import Recipe, TrainRecipe
from tartlet_host.train.loop import FitResult, TrainProgress, fit

RATE = 0.1
"""Of the fine-tuning's learning rate: the network is good already."""

AVERAGE = 0.99
"""How much of an activation's range stays in one step."""


def train_aware(
    detector: Detector,
    dataset: Dataset,
    recipe: Recipe,
    *,
    progress: Callable[[TrainProgress], None] | None = None,
) -> FitResult:
    """Train `detector` in place for ``quantize.aware_steps`` steps; it ends as a float network.

    The float network that it was teaches it.

    Raises:
        DatasetError, PictureUnreadable, ModelError: see `tartlet_host.train.loop.fit`.
    """
    teacher = copy.deepcopy(detector)
    simulate(detector)
    try:
        return fit(
            detector,
            dataset,
            recipe,
            progress=progress,
            teacher=teacher,
            settings=settings(recipe),
        )
    finally:
        stop_simulating(detector)


def settings(recipe: Recipe) -> TrainRecipe:
    """The fine-tuning's, slower, and with batch normalization as it will be folded."""
    return msgspec.structs.replace(
        recipe.prune.finetune,
        steps=recipe.quantize.aware_steps,
        learning_rate=recipe.prune.finetune.learning_rate * RATE,
        freeze_normalization_after=0.0,
        freeze_backbone_normalization_after=0.0,
        freeze_backbone=0.0,
        assignment_warmup=0.0,
        validate_every=0,
        checkpoint_every=0,
    )


class WeightQuantizer(nn.Module):
    """Weights as int8 per output channel would have them.

    Batch normalization is folded into the weights later; that scales whole channels, and a
    channel's scale with them, so that it may be rounded before.
    """

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        largest = weight.detach().abs().amax(dim=tuple(range(1, weight.ndim)))
        scale = (largest / 127).clamp_min(1e-12)
        rounded: torch.Tensor = torch.fake_quantize_per_channel_affine(
            weight, scale, torch.zeros_like(scale, dtype=torch.int32), 0, -127, 127
        )
        return rounded


class ActivationQuantizer(nn.Module):
    """An activation as int8 would have it, within a range that follows what training sees."""

    low: torch.Tensor
    high: torch.Tensor
    seen: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self._follow(x.detach())
        scale = ((self.high - self.low) / 255).clamp_min(1e-12)
        zero_point = (-128 - self.low / scale).round().clamp(-128, 127)
        rounded: torch.Tensor = torch.fake_quantize_per_tensor_affine(
            x, scale, zero_point.to(torch.int32), -128, 127
        )
        return rounded

    def _follow(self, x: torch.Tensor) -> None:
        # A range holds zero, so that padding with zeros is exact.
        low, high = x.amin().float().clamp_max(0), x.amax().float().clamp_min(0)
        share = torch.where(self.seen > 0, AVERAGE, 0.0)
        self.low.copy_(share * self.low + (1 - share) * low)
        self.high.copy_(share * self.high + (1 - share) * high)
        self.seen.fill_(1.0)


def simulate(detector: Detector) -> None:
    """Round weights and activations from now on wherever the int8 file will, in place."""
    for module in _rounded_outputs(detector):
        module.register_module("int8_output", ActivationQuantizer())
        module.register_forward_hook(_round_output)
    for module in _rounded_inputs(detector):
        module.register_module("int8_input", ActivationQuantizer())
        module.register_forward_pre_hook(_round_input)
    for module in list(detector.modules()):
        if isinstance(module, nn.Conv2d):
            parametrize.register_parametrization(module, "weight", WeightQuantizer())


def stop_simulating(detector: Detector) -> None:
    """Undo `simulate`; weights stay where training left them."""
    for module in list(detector.modules()):
        if parametrize.is_parametrized(module):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=False)
        for name, hooks in (
            ("int8_output", module._forward_hooks),
            ("int8_input", module._forward_pre_hooks),
        ):
            if name in module._modules:
                del module._modules[name]
                ours = (_round_output, _round_input)
                for key in [key for key, hook in hooks.items() if hook in ours]:
                    del hooks[key]


def _rounded_outputs(detector: Detector) -> Iterator[nn.Module]:
    """Convolutions with all that is fused into them, blocks that end in a sum, the heads' ends."""
    in_blocks = {block.conv for block in detector.modules() if isinstance(block, ConvBlock)}
    for module in detector.modules():
        is_sum = isinstance(module, ResidualBlock) or (
            isinstance(module, InvertedResidual) and module.residual
        )
        is_end = isinstance(module, nn.Conv2d) and module not in in_blocks
        if isinstance(module, ConvBlock) or is_sum or is_end:
            yield module


def _rounded_inputs(detector: Detector) -> Iterator[nn.Module]:
    """The network's picture, and the neck's sums, which belong to no module of their own."""
    yield detector.backbone
    yield from detector.neck.down
    yield from detector.neck.up


def _round_output(module: nn.Module, inputs: object, output: torch.Tensor) -> torch.Tensor:
    # Looked up on the module that runs: the average of the weights is a copy with its own ranges.
    rounded: torch.Tensor = module.int8_output(output)  # type: ignore[operator]
    return rounded


def _round_input(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return (module.int8_input(inputs[0]), *inputs[1:])  # type: ignore[operator]
