"""How much a network would miss each channel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from tartlet_host.dataset.loader import PictureStore, plain_batches
from tartlet_host.dataset.sample import Dataset
from tartlet_host.model.detector import Detector
from tartlet_host.model.layers import set_folded
from tartlet_host.model.loss import detection_loss, flatten
from tartlet_host.prune.groups import traced
from tartlet_host.quantize.calibration import spread
from tartlet_host.recipe import Recipe
from tartlet_shared.errors import DatasetNotFound

TAYLOR_PICTURES = 64
"""A few batches of gradients; more change the ranking little and cost a pass each."""

Scores = dict[str, torch.Tensor]
"""Importance of each group's channels, float32 ``(n,)``, by the group's name."""


def magnitude(network: Detector) -> Scores:
    """Mean square of the weights that make, scale and read a channel, over the group's layers.

    Source: H. Li et al., "Pruning Filters for Efficient ConvNets" (ICLR 2017), for groups as in
    G. Fang et al., "DepGraph" (CVPR 2023). Each group's scores have the mean 1: they rank channels
    within a group, not between groups.
    """
    import torch_pruning

    measure = torch_pruning.importance.GroupMagnitudeImportance(p=2)
    with traced(network) as (_, groups):
        return {name: measure(group).detach().cpu() for name, group in groups.items()}


def taylor(
    network: Detector, dataset: Dataset, recipe: Recipe, *, pictures: int = TAYLOR_PICTURES
) -> Scores:
    """First-order estimate of how much the squared loss changes when a channel goes.

    Each batch norm stands for a gate on its channels: with scale g and offset b the estimate is
    (g dL/dg + b dL/db)^2, its mean over batches, summed over the group's norms. Source:
    P. Molchanov et al., "Importance Estimation for Neural Network Pruning" (CVPR 2019), equation
    8 with gates after batch norm. Scores of all groups are in one unit.

    Args:
        network: trained; its gradients are dropped.
        dataset: labelled pictures; up to `pictures` of them are used, evenly spread.
        recipe: gives the canvas, the loss and the batch size of `prune.finetune`.
        pictures: how many at most.

    Raises:
        DatasetNotFound: there are no labelled pictures.
        PictureUnreadable: a picture is missing or damaged.
    """
    labelled = tuple(sample for sample in dataset.samples if sample.labelled)
    chosen = Dataset(dataset.labels, spread(labelled, pictures))
    if not chosen.samples:
        raise DatasetNotFound(
            "there are no labelled pictures to weigh channels with",
            where="recipe: prune.importance",
            hint='give a labelled data set, or set prune.importance = "magnitude"',
        )
    gates = {
        module: torch.zeros_like(module.weight)
        for module in network.modules()
        if isinstance(module, nn.BatchNorm2d)
    }
    for _ in _gradients(network, chosen, recipe):
        for norm, sums in gates.items():
            scale, offset = norm.weight.grad, norm.bias.grad
            if scale is not None and offset is not None:
                sums += (norm.weight * scale + norm.bias * offset).detach() ** 2
    with traced(network) as (_, groups):
        return {name: _sum_of_gates(group, gates).cpu() for name, group in groups.items()}


def _gradients(network: Detector, dataset: Dataset, recipe: Recipe) -> Iterator[None]:
    """Backward passes, one a batch: at each the parameters hold that batch's gradients alone."""
    run = recipe.prune.finetune
    device = next(network.parameters()).device
    set_folded(network, False)
    network.eval()
    try:
        store = PictureStore(recipe.input, 0)
        for batch in plain_batches(dataset, store, recipe.input, run.batch_size):
            network.zero_grad(set_to_none=True)
            loss = detection_loss(
                flatten(network(batch.pictures.to(device)), network.strides),
                batch.targets,
                run.loss,
                dataset.labels,
                by_geometry=False,
            )
            loss.total.backward()  # type: ignore[no-untyped-call]
            yield
    finally:
        network.zero_grad(set_to_none=True)


def _sum_of_gates(group: Any, gates: dict[nn.BatchNorm2d, torch.Tensor]) -> torch.Tensor:
    total = torch.zeros(len(group[0].idxs))
    for item in group:
        sums = gates.get(item.dep.target.module)
        if sums is not None:
            total.index_add_(0, torch.tensor(item.root_idxs), sums[item.idxs].cpu())
    return total
