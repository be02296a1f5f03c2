"""The moving average of weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tartlet_host.train.ema import MovingAverage


def test_trails_the_network_by_the_decay() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 0.0)
    average = MovingAverage(network, 0.15)
    nn.init.constant_(network.weight, 1.0)
    average.update(network)  # the first update still has decay 0.1
    assert average.network.state_dict()["weight"].item() == pytest.approx(0.9)
    average.update(network)  # from then on the limit, 0.15
    assert average.network.state_dict()["weight"].item() == pytest.approx(0.985)


def test_counters_are_copied_and_statistics_averaged() -> None:
    network = nn.BatchNorm1d(2)
    average = MovingAverage(network, 0.5)
    network.train()
    network(torch.tensor([[0.0, 10.0], [0.0, 30.0]]))
    average.update(network)
    state, own = average.network.state_dict(), network.state_dict()
    assert state["num_batches_tracked"] == 1
    assert own["running_mean"][1] == pytest.approx(2.0)
    assert state["running_mean"][1] == pytest.approx(1.8)


def test_the_average_is_a_network_of_its_own() -> None:
    network = nn.Linear(2, 2)
    average = MovingAverage(network, 0.9)
    assert not any(parameter.requires_grad for parameter in average.network.parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())
