"""What the checks before a training share: a network that takes steps and is put back after."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from tartlet_host.dataset.sample import Dataset
from tartlet_host.model.detector import Detector, channels_last
from tartlet_host.model.layers import set_folded
from tartlet_host.recipe import TrainRecipe
from tartlet_host.train import distributed
from tartlet_host.train.distributed import ALONE
from tartlet_host.train.precision import is_mixed
from tartlet_host.train.step import Plan
from tartlet_host.train.training import Training, begin, copied


@contextlib.contextmanager
def rehearsing(
    detector: Detector, dataset: Dataset, run: TrainRecipe
) -> Iterator[tuple[Training, Plan]]:
    """A run of `detector`; afterwards it has the weights and statistics that it had before.

    It is left on the CPU, in evaluation mode.
    """
    device = distributed.device_of(ALONE)
    mixed = is_mixed(run, device)
    before = copied(detector)
    random = torch.get_rng_state()
    try:
        set_folded(detector, True)
        channels_last(detector).to(device)
        torch.manual_seed(run.seed)
        yield begin(detector, run, mixed=mixed), Plan(run, dataset.labels, device, mixed)
    finally:
        torch.set_rng_state(random)
        set_folded(detector, False)
        detector.cpu().eval().requires_grad_(True)
        detector.load_state_dict(before)
