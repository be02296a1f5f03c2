"""Optimizers: who is in which group, and with what rate and momentum."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from tartlet_host.model.detector import build_detector
from tartlet_host.recipe import Recipe
from tartlet_host.train.optimizer import make_optimizer, set_rate
from tartlet_host.train.schedule import learning_rate

MakeRecipe = Callable[..., Recipe]


def test_vectors_decay_nothing_and_the_backbone_goes_slower(small: MakeRecipe) -> None:
    recipe = small(learning_rate=1e-2, backbone_rate=0.1, weight_decay=0.3)
    detector = build_detector(recipe)
    optimizer = make_optimizer(detector, recipe.train)
    names = {id(parameter): name for name, parameter in detector.named_parameters()}
    seen = []
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            name = names[id(parameter)]
            seen.append(name)
            assert group["peak"] == pytest.approx(1e-3 if name.startswith("backbone") else 1e-2)
            assert group["weight_decay"] == (0.3 if parameter.ndim > 1 else 0.0)
    assert sorted(seen) == sorted(names.values())


def test_stages_frozen_for_good_are_left_out(small: MakeRecipe) -> None:
    recipe = small(frozen_stages=2)
    detector = build_detector(recipe)
    inside = {
        id(p) for g in make_optimizer(detector, recipe.train).param_groups for p in g["params"]
    }
    for stage in detector.backbone.first_stages(2):
        assert not inside & {id(parameter) for parameter in stage.parameters()}
    assert len(inside) < len(list(detector.parameters()))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_takes_nesterovs_step(small: MakeRecipe, momentum: float) -> None:
    recipe = small(
        optimizer="sgd", momentum=momentum, learning_rate=0.1, weight_decay=0.0, warmup=0
    )
    detector = build_detector(recipe)
    optimizer = make_optimizer(detector, recipe.train)
    weight = detector.heads[0].get_parameter("score.bias")
    before = float(weight.detach()[0])
    velocity = 0.0
    for gradient in (1.0, -0.5):
        set_rate(optimizer, recipe.train, 0)
        for each in detector.parameters():
            each.grad = torch.zeros_like(each)
        weight.grad = torch.full_like(weight, gradient)
        optimizer.step()
        # Nesterov's momentum as I. Sutskever et al. (ICML 2013) write it, in torch's order.
        velocity = momentum * velocity + gradient
        before -= 0.1 * (gradient + momentum * velocity)
        assert float(weight.detach()[0]) == pytest.approx(before, rel=1e-5)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_one_cycle_moves_momentum_against_the_rate(small: MakeRecipe, optimizer: str) -> None:
    recipe = small(optimizer=optimizer, schedule="one-cycle", warmup=0.5, steps=10, momentum=0.9)
    made = make_optimizer(build_detector(recipe), recipe.train)
    rates, momenta = [], []
    for step in range(10):
        rate = set_rate(made, recipe.train, step)
        group = made.param_groups[-1]
        assert rate == learning_rate(step, 10, recipe.train.learning_rate, 0.5, "one-cycle")
        rates.append(group["lr"])
        momenta.append(group["betas"][0] if optimizer == "adamw" else group["momentum"])
    assert rates.index(max(rates)) == momenta.index(min(momenta)) == 4
    assert momenta[0] == momenta[-1] == (0.95 if optimizer == "adamw" else 0.9)
