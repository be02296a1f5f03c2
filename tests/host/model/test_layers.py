"""Padding as TensorFlow defines it, and folding that changes nothing."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from tartlet_host.model.layers import ConvBlock, SameConv2d, set_folded


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (2, 2), (3, 1), (3, 2), (5, 1), (5, 2)])
def test_same_padding_is_tensorflows(kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    layer = SameConv2d(2, 3, kernel, stride)
    x = torch.randn(1, 2, 8, 12)
    total = max(kernel - stride, 0)
    padded = functional.pad(x, (total // 2, total - total // 2) * 2)
    expected = functional.conv2d(padded, layer.weight, stride=stride)
    assert expected.shape[2:] == (8 // stride, 12 // stride)
    torch.testing.assert_close(layer(x), expected)


def test_folding_keeps_outputs_and_gradients() -> None:
    torch.manual_seed(0)
    block = ConvBlock(3, 5, 3)
    assert block.norm.running_mean is not None
    assert block.norm.running_var is not None
    block.norm.running_mean.normal_()
    block.norm.running_var.uniform_(0.5, 2.0)
    block.eval()
    x = torch.randn(2, 3, 6, 6)
    results = []
    for folded in (False, True):
        set_folded(block, folded)
        block.zero_grad()
        y = block(x)
        y.square().sum().backward()
        results.append(
            [y.detach(), *(p.grad.clone() for p in block.parameters() if p.grad is not None)]
        )
    assert len(results[0]) == 4  # the output; gradients of weight, scale and shift
    for plain, folded_one in zip(*results, strict=True):
        torch.testing.assert_close(folded_one, plain, rtol=1e-4, atol=1e-4)


def test_folding_waits_for_evaluation_mode() -> None:
    block = ConvBlock(1, 1)
    set_folded(block, True)
    block.train()
    block(torch.full((2, 1, 2, 2), 5.0))
    assert int(block.norm.num_batches_tracked or 0) == 1
