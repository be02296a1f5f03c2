"""Sixteen bits: only where they help, with a scaled loss, and without steps from overflow."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from tartlet_host.dataset.loader import training_batches
from tartlet_host.dataset.sample import Dataset
from tartlet_host.model.detector import build_detector
from tartlet_host.recipe import Recipe
from tartlet_host.train.freezing import set_mode
from tartlet_host.train.loop import fit
from tartlet_host.train.precision import is_mixed
from tartlet_host.train.step import Plan, take_step
from tartlet_host.train.training import begin
from tartlet_shared.errors import ConfigError

MakeRecipe = Callable[..., Recipe]


@pytest.mark.parametrize(
    ("precision", "device", "mixed"),
    [
        ("auto", "cpu", False),
        ("auto", "cuda", True),
        ("float32", "cuda", False),
        ("mixed", "cuda", True),
    ],
)
def test_auto_is_mixed_on_cuda_alone(
    small: MakeRecipe, precision: str, device: str, mixed: bool
) -> None:
    assert is_mixed(small(precision=precision).train, torch.device(device)) is mixed


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA")
def test_mixed_on_a_cpu_is_refused(small: MakeRecipe, make_squares: Callable[..., Dataset]) -> None:
    with pytest.raises(ConfigError, match="CUDA"):
        fit(build_detector(small()), make_squares(2), small(precision="mixed"))


def test_a_mixed_step_learns_and_overflow_is_left_out(
    small: MakeRecipe, make_squares: Callable[..., Dataset]
) -> None:
    # A CPU can compute in 16 bits too, only slowly; the arithmetic of a step is the same.
    recipe = small(steps=6, learning_rate=1e-2, warmup=0.0)
    detector = build_detector(recipe)
    training = begin(detector, recipe.train, mixed=True)
    plan = Plan(recipe.train, recipe.labels, torch.device("cpu"), mixed=True)
    batches = training_batches(make_squares(2), recipe.input, recipe.train)
    losses = []
    for step, batch in enumerate(batches):
        set_mode(detector, recipe.train, step)
        if step == 3:  # too large a scale: the gradients of this step overflow
            training.scaler.update(1e30)
            before = {name: value.clone() for name, value in detector.named_parameters()}
        losses.append(float(take_step(training, batch, plan).total))
        if step == 3:
            for name, value in detector.named_parameters():
                assert torch.equal(value, before[name]), name
            assert training.scaler.get_scale() < 1e30
            training.scaler.update(1024.0)
    assert losses[-1] < losses[0]
    assert {value.dtype for value in detector.parameters()} == {torch.float32}
