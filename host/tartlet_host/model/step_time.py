"""How long a training step takes on this computer, measured on made-up pictures."""

from __future__ import annotations

import copy
import statistics
import time

import torch

from tartlet_host.model.assigner import Targets
from tartlet_host.model.detector import Detector, channels_last
from tartlet_host.model.layers import set_folded
from tartlet_host.model.loss import detection_loss, flatten
from tartlet_host.recipe import Recipe

_BOX = 0.25  # of the canvas's sides
WARM_UP = 1  # the first step allocates


def step_seconds(network: Detector, recipe: Recipe, *, steps: int = 3) -> float:
    """Median seconds of a step of the recipe's batch size, reading pictures not counted.

    Forward, loss and backward pass and the optimizer run on a copy, where the network lies.
    """
    twin = channels_last(copy.deepcopy(network)).train().requires_grad_(True)
    set_folded(twin, True)
    device = next(twin.parameters()).device
    size = (recipe.train.batch_size, 3, recipe.input.height, recipe.input.width)
    pictures = torch.randn(size, device=device).contiguous(memory_format=torch.channels_last)
    targets = _targets(size, device)
    optimizer = torch.optim.AdamW(twin.parameters(), lr=1e-6, foreach=True)
    seconds = []
    for _ in range(WARM_UP + steps):
        _wait(device)
        started = time.perf_counter()
        flat = flatten(twin(pictures), twin.strides)
        loss = detection_loss(flat, targets, recipe.train.loss, recipe.labels, by_geometry=False)
        optimizer.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        _wait(device)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[WARM_UP:])


def _targets(size: tuple[int, int, int, int], device: torch.device) -> Targets:
    """One box in the middle of each picture."""
    count, _, height, width = size
    reach = torch.tensor([-width, -height, width, height]) * _BOX / 2
    box = torch.tensor([width, height, width, height]) / 2 + reach
    there = torch.ones(count, 1, dtype=torch.bool, device=device)
    return Targets(
        boxes=box.to(device).expand(count, 1, 4),
        class_ids=torch.zeros(count, 1, dtype=torch.int64, device=device),
        present=there,
        ignore=~there,
    )


def _wait(device: torch.device) -> None:
    """CUDA works on its own; the clock must not."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
