"""The optimizer a recipe asks for, and its rate at every step."""

from __future__ import annotations

import torch
from torch import nn

from tartlet_host.model.detector import Detector
from tartlet_host.recipe import TrainRecipe
from tartlet_host.train.schedule import learning_rate, momentum

# AdamW's first decay where momentum stands still, and the highest of one cycle (Smith's range).
ADAM_DECAY = 0.9
ADAM_CYCLE_DECAY = 0.95
ADAM_SECOND_DECAY = 0.999


def make_optimizer(detector: Detector, run: TrainRecipe) -> torch.optim.Optimizer:
    """AdamW or SGD with Nesterov momentum.

    The backbone has a smaller rate; vectors (biases, norms) decay nothing. Stages that stay frozen
    for good are left out; a backbone that is frozen only for a while is in.
    """
    frozen = {
        id(parameter)
        for stage in detector.backbone.first_stages(run.frozen_stages)
        for parameter in stage.parameters()
    }
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in detector.named_parameters():
        if id(parameter) not in frozen:
            key = (name.startswith("backbone."), parameter.ndim > 1)
            groups.setdefault(key, []).append(parameter)
    parts = [
        {
            "params": parameters,
            "peak": run.learning_rate * (run.backbone_rate if backbone else 1.0),
            "weight_decay": run.weight_decay if matrix else 0.0,
        }
        for (backbone, matrix), parameters in groups.items()
    ]
    if run.optimizer == "sgd":
        return torch.optim.SGD(
            parts,
            lr=run.learning_rate,
            momentum=run.momentum,
            nesterov=run.momentum > 0,
            foreach=True,
        )
    return torch.optim.AdamW(
        parts, lr=run.learning_rate, betas=(ADAM_DECAY, ADAM_SECOND_DECAY), foreach=True
    )


def set_rate(optimizer: torch.optim.Optimizer, run: TrainRecipe, step: int) -> float:
    """Give every group its rate and momentum for `step`; returns the heads' rate."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(step, run.steps, group["peak"], run.warmup, run.schedule)
        if run.schedule == "cosine":
            continue
        if "betas" in group:
            first = momentum(step, run.steps, ADAM_CYCLE_DECAY, run.warmup, run.schedule)
            group["betas"] = (first, group["betas"][1])
        elif group["momentum"]:
            highest = run.momentum
            # Nesterov's step needs some momentum.
            group["momentum"] = max(
                1e-3, momentum(step, run.steps, highest, run.warmup, run.schedule)
            )
    return learning_rate(step, run.steps, run.learning_rate, run.warmup, run.schedule)
