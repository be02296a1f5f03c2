"""In how many bits a network computes while it trains."""

from __future__ import annotations

import torch

from tartlet_host.recipe import TrainRecipe
from tartlet_shared.errors import ConfigError


def is_mixed(run: TrainRecipe, device: torch.device) -> bool:
    """Whether to compute in 16 bits (weights stay in 32; P. Micikevicius et al., "Mixed Precision
    Training", ICLR 2018).

    Raises:
        ConfigError: the recipe asks for it on a device that is slower with it.
    """
    if run.precision == "mixed" and device.type != "cuda":
        raise ConfigError(
            "mixed precision needs a CUDA device; a CPU is slower with 16 bits than with 32",
            where="recipe: train.precision",
            hint='set precision = "auto" or "float32"',
        )
    return run.precision != "float32" and device.type == "cuda"
