"""The gradients of one batch, computed at once or in parts that need less memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import nn

from tartlet_host.model.detector import Detector, HeadOutput
from tartlet_host.model.loss import Loss

LossOf = Callable[[list[HeadOutput]], Loss]


def add_gradients(
    network: Detector,
    pictures: torch.Tensor,
    loss_of: LossOf,
    *,
    scale: Callable[[torch.Tensor], torch.Tensor],
    mixed: bool,
    parts: int = 1,
) -> Loss:
    """Add the gradients of a batch's loss to those of the network's parameters.

    The loss is divided by what was found in the whole batch, so the losses of its parts do not sum
    to it. Several parts therefore go through the network twice: once without gradients, for the
    outputs that the loss and its gradient at the outputs are made of, and once to take that
    gradient on into the weights. (L. Gao et al., "Scaling Deep Contrastive Learning Batch Size
    under Memory Limited Setup", 2021, do the same for a loss that couples a batch's pictures.)

    Args:
        network: in the mode it is to be trained in.
        pictures: (B, 3, H, W), on the network's device.
        loss_of: the loss of the whole batch's outputs.
        scale: of a loss before its gradient is taken, against underflow in 16 bits.
        mixed: compute in 16 bits where that is safe.
        parts: 1..B. Batch norms that still learn see the pictures of one part at a time.
    """
    device = pictures.device.type
    if parts == 1:
        with torch.autocast(device, torch.float16, enabled=mixed):
            outputs = network(pictures)
        loss = loss_of(outputs)
        scale(loss.total).backward()  # type: ignore[no-untyped-call]
        return loss
    pieces = pictures.tensor_split(parts)
    with torch.no_grad(), _statistics_kept(network), torch.autocast(device, torch.float16, mixed):
        first = [network(piece) for piece in pieces]
    whole = [
        tuple(torch.cat([part[level][kind] for part in first]).requires_grad_() for kind in (0, 1))
        for level in range(len(first[0]))
    ]
    loss = loss_of([(scores, boxes) for scores, boxes in whole])
    scale(loss.total).backward()  # type: ignore[no-untyped-call]
    at = 0
    for piece in pieces:
        rows = slice(at, at + len(piece))
        with torch.autocast(device, torch.float16, enabled=mixed):
            outputs = network(piece)
        heads = [
            (output, whole[level][kind].grad)
            for level, pair in enumerate(outputs)
            for kind, output in enumerate(pair)
        ]
        torch.autograd.backward(
            [output for output, _ in heads],
            [None if gradient is None else gradient[rows] for _, gradient in heads],
        )
        at += len(piece)
    return loss


@contextlib.contextmanager
def _statistics_kept(network: nn.Module) -> Iterator[None]:
    """Batch norms normalise as they would, but learn no statistics from it."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    counters = [norm.num_batches_tracked for norm in norms]
    counts = [None if counter is None else counter.clone() for counter in counters]
    try:
        for norm in norms:
            norm.momentum = 0.0  # running = 1.0 * running + 0.0 * this batch's
        yield
    finally:
        for norm, momentum, counter, count in zip(norms, momenta, counters, counts, strict=True):
            norm.momentum = momentum
            if counter is not None and count is not None:
                counter.copy_(count)
