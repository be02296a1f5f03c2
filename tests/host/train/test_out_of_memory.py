"""Where memory ends, the same batch goes through in smaller parts, and the step stays the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tartlet_host.dataset.sample import Dataset
from tartlet_host.model.detector import Detector, HeadOutput, build_detector
from tartlet_host.recipe import Recipe
from tartlet_host.train.loop import fit
from tartlet_host.train.out_of_memory import is_out_of_memory
from tartlet_shared.errors import ModelError

MakeSquares = Callable[..., Dataset]
MakeRecipe = Callable[..., Recipe]
CUDA = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
LINUX = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
WINDOWS = RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes")


@pytest.mark.parametrize("error", [CUDA, LINUX, WINDOWS, MemoryError()])
def test_is_recognised(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("out of memory")])
def test_other_errors_are_not(error: Exception) -> None:
    assert not is_out_of_memory(error)


def cramped(detector: Detector, most: int, error: Exception, seen: list[int]) -> Detector:
    """Makes the forward pass fail for more than `most` pictures at once that need gradients."""
    forward = detector.forward

    def limited(x: torch.Tensor) -> list[HeadOutput]:
        seen.append(len(x))
        if len(x) > most and torch.is_grad_enabled():
            raise error
        return forward(x)

    detector.forward = limited  # type: ignore[method-assign]
    return detector


@pytest.mark.parametrize("error", [CUDA, LINUX])
@pytest.mark.parametrize("distillation", [0.0, 1.0])
def test_the_run_is_that_of_a_larger_memory(
    make_squares: MakeSquares, small: MakeRecipe, error: Exception, distillation: float
) -> None:
    recipe = small(
        steps=4,
        batch_size=6,
        freeze_normalization_after=0.0,
        optimizer="sgd",
        learning_rate=0.01,
        distillation=distillation,
    )
    dataset = make_squares(5)
    teacher = build_detector(small(seed=4)) if distillation else None
    roomy = build_detector(recipe)
    whole = fit(roomy, dataset, recipe, teacher=teacher)
    seen: list[int] = []
    tight = cramped(build_detector(recipe), 2, error, seen)
    parts = fit(tight, dataset, recipe, teacher=teacher)
    assert seen[0] == 6
    # Two tries that failed, then for good: three parts once without and once with gradients.
    assert max(seen[-6:]) == 2
    assert parts.losses == pytest.approx(whole.losses, rel=1e-5)
    for name, value in roomy.state_dict().items():
        torch.testing.assert_close(tight.state_dict()[name], value, rtol=1e-3, atol=1e-6)


def test_norms_that_learn_take_each_picture_once(
    make_squares: MakeSquares, small: MakeRecipe
) -> None:
    recipe = small(steps=1, batch_size=4, freeze_normalization_after=1.0)
    seen: list[int] = []
    detector = cramped(build_detector(recipe), 2, MemoryError(), seen)
    fit(detector, make_squares(4), recipe)
    counts = {
        int(value)
        for name, value in detector.state_dict().items()
        if name.startswith("neck.") and name.endswith("num_batches_tracked")
    }
    assert counts == {2}  # the two parts, of the pass that counts


def test_less_than_one_picture_is_refused(make_squares: MakeSquares, small: MakeRecipe) -> None:
    detector = cramped(build_detector(small()), 0, MemoryError(), [])
    with pytest.raises(ModelError, match="memory") as caught:
        fit(detector, make_squares(2), small())
    assert "canvas" in caught.value.hint


def test_an_error_of_another_kind_passes_through(
    make_squares: MakeSquares, small: MakeRecipe
) -> None:
    seen: list[int] = []
    detector = cramped(build_detector(small()), 0, RuntimeError("shapes differ"), seen)
    with pytest.raises(RuntimeError, match="shapes differ"):
        fit(detector, make_squares(2), small())
    assert seen == [2]


def test_parts_may_be_uneven(make_squares: MakeSquares, small: MakeRecipe) -> None:
    from tartlet_host.dataset.loader import training_batches
    from tartlet_host.train.freezing import set_mode
    from tartlet_host.train.gradients import add_gradients
    from tartlet_host.train.step import Plan, loss_of

    recipe = small(batch_size=5, freeze_normalization_after=0.0)
    detector = build_detector(recipe)
    batch = next(training_batches(make_squares(5), recipe.input, recipe.train))
    plan = Plan(recipe.train, recipe.labels, torch.device("cpu"))
    gradients: list[dict[str, Any]] = []
    for parts in (1, 2, 3, 5):
        set_mode(detector, recipe.train, 0)
        detector.zero_grad(set_to_none=True)
        add_gradients(
            detector,
            batch.pictures,
            loss_of(detector, batch, plan, 0),
            scale=lambda loss: 64.0 * loss,
            mixed=False,
            parts=parts,
        )
        gradients.append({name: each.grad for name, each in detector.named_parameters()})
    for others in gradients[1:]:
        for name, gradient in gradients[0].items():
            torch.testing.assert_close(others[name], gradient, rtol=1e-3, atol=1e-4)
