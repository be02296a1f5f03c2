"""Simulated int8: what it computes, and that nothing of it stays behind."""

from __future__ import annotations

import copy
from collections.abc import Callable

import msgspec
import pytest
import torch

from tartlet_host.dataset.sample import Dataset
from tartlet_host.model.detector import build_detector
from tartlet_host.model.layers import set_folded
from tartlet_host.quantize import aware
from tartlet_host.quantize.aware import ActivationQuantizer, WeightQuantizer
from tartlet_host.recipe import FinetuneRecipe, PruneRecipe, QuantizeRecipe
from tests.small_network import SMALL, settled

RECIPE = msgspec.structs.replace(
    SMALL,
    model=msgspec.structs.replace(SMALL.model, backbone="separable"),
    prune=PruneRecipe(finetune=FinetuneRecipe(batch_size=2)),
    quantize=QuantizeRecipe(aware_steps=3),
)


def test_weights_have_255_values_per_channel() -> None:
    torch.manual_seed(0)
    weight = torch.randn(3, 4, 3, 3) * torch.tensor([0.01, 1.0, 100.0])[:, None, None, None]
    rounded = WeightQuantizer()(weight)
    for channel, original in zip(rounded, weight, strict=True):
        step = original.abs().max() / 127
        assert torch.allclose(channel / step, (channel / step).round(), atol=1e-3)
        assert (channel - original).abs().max() <= step / 2 + 1e-6


def test_rounding_before_or_after_folding_is_the_same() -> None:
    torch.manual_seed(0)
    weight = torch.randn(5, 2, 3, 3)
    scale = torch.rand(5)[:, None, None, None] + 0.1
    quantizer = WeightQuantizer()
    assert torch.allclose(quantizer(weight) * scale, quantizer(weight * scale), atol=1e-6)


def test_a_channel_of_zeros_stays_zero() -> None:
    assert torch.equal(WeightQuantizer()(torch.zeros(2, 1, 1, 1)), torch.zeros(2, 1, 1, 1))


def test_activations_have_256_values_and_zero_is_one_of_them() -> None:
    quantizer = ActivationQuantizer().train()
    x = torch.linspace(-1.3, 5.1, 4001)
    rounded = quantizer(x)
    assert len(rounded.unique()) <= 256
    assert (rounded - x).abs().max() <= (6.4 / 255) / 2 + 1e-3 + 6.4 / 255 / 2
    assert quantizer(torch.zeros(1)).abs().item() < 1e-6


def test_ranges_follow_slowly_and_only_in_training() -> None:
    quantizer = ActivationQuantizer().train()
    quantizer(torch.tensor([-1.0, 2.0]))
    assert (quantizer.low.item(), quantizer.high.item()) == (-1.0, 2.0)
    quantizer(torch.tensor([0.0, 12.0]))
    assert quantizer.high.item() == pytest.approx(2.1)
    quantizer.eval()
    assert quantizer(torch.tensor([100.0])).item() == pytest.approx(2.1, abs=0.02)
    assert quantizer.high.item() == pytest.approx(2.1)


def test_the_gradient_passes_the_rounding_but_not_the_ends() -> None:
    quantizer = ActivationQuantizer().train()
    quantizer(torch.tensor([-1.0, 1.0]))
    quantizer.eval()
    x = torch.tensor([-5.0, 0.3, 5.0], requires_grad=True)
    quantizer(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize("backbone", ["separable", "residual", "plain", "efficientnet-lite0"])
def test_nothing_stays_behind(backbone: str) -> None:
    model = msgspec.structs.replace(RECIPE.model, backbone=backbone)
    torch.manual_seed(0)
    detector = build_detector(msgspec.structs.replace(RECIPE, model=model)).eval()
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    hooks = sum(
        len(each._forward_hooks) + len(each._forward_pre_hooks) for each in detector.modules()
    )
    picture = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        expected = detector(picture)
        aware.simulate(detector)
        detector.train()(picture)
        detector.eval()
        simulated = detector(picture)
        aware.stop_simulating(detector)
        after = detector.state_dict()
        restored = {name: value for name, value in after.items() if "running" not in name}
    assert after.keys() == before.keys()
    assert all(
        torch.equal(value, before[name])
        for name, value in restored.items()
        if "num_batches" not in name
    )
    left = sum(
        len(each._forward_hooks) + len(each._forward_pre_hooks) for each in detector.modules()
    )
    assert left == hooks
    assert not torch.equal(expected[0][0], simulated[0][0])


def test_the_average_of_the_weights_has_ranges_of_its_own() -> None:
    detector = settled(RECIPE)
    aware.simulate(detector)
    average = copy.deepcopy(detector).eval()
    detector.train()(torch.rand(1, 3, 64, 96) * 100)
    ours = [each for each in average.modules() if isinstance(each, ActivationQuantizer)]
    theirs = [each for each in detector.modules() if isinstance(each, ActivationQuantizer)]
    assert all(each.seen.item() == 0 for each in ours)
    assert all(each.seen.item() == 1 for each in theirs)
    average(torch.rand(1, 3, 64, 96))
    assert all(each.seen.item() == 0 for each in ours)


def test_folded_and_unfolded_round_alike() -> None:
    detector = settled(RECIPE)
    aware.simulate(detector)
    picture = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        detector.train()
        for module in detector.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eval()
        detector(picture)
        detector.eval()
        plain = detector(picture)
        set_folded(detector, True)
        folded = detector(picture)
    for (scores, boxes), (other_scores, other_boxes) in zip(plain, folded, strict=True):
        # A value halfway between two integers may go to either.
        assert (scores - other_scores).abs().max() < 0.05 * scores.abs().max()
        assert (boxes - other_boxes).abs().max() < 0.05 * boxes.abs().max() + 0.05


@pytest.mark.training
def test_training_aware_ends_as_a_float_network_with_other_weights(
    make_squares: Callable[..., Dataset],
) -> None:
    detector = settled(RECIPE)
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    seen: list[int] = []
    fitted = aware.train_aware(
        detector, make_squares(4), RECIPE, progress=lambda now: seen.append(now.step)
    )
    assert seen == [1, 2, 3]
    assert len(fitted.losses) == 3
    after = detector.state_dict()
    assert after.keys() == before.keys()
    assert any(not torch.equal(after[name], value) for name, value in before.items())
    assert not detector.training


def test_statistics_stay_as_they_will_be_folded() -> None:
    run = aware.settings(RECIPE)
    assert run.steps == 3
    assert run.freeze_normalization_after == run.freeze_backbone_normalization_after == 0.0
    assert run.learning_rate == pytest.approx(RECIPE.prune.finetune.learning_rate / 10)
