"""The losses against their definitions, and what must have no gradient."""

from __future__ import annotations

import pytest
import torch

from tartlet_host.model.assigner import Targets, make_grid
from tartlet_host.model.loss import Flat, detection_loss, imitation_loss
from tartlet_host.recipe import LossRecipe

RECIPE = LossRecipe()
LABELS = ("thing",)
GRID = make_grid([(4, 4)], (8,))


def one_target(box: list[float], ignore: bool = False) -> Targets:
    flag = torch.tensor([[ignore]])
    return Targets(torch.tensor([[box]]), torch.zeros(1, 1, dtype=torch.int64), ~flag, flag)


def flat(requires_grad: bool = False) -> Flat:
    torch.manual_seed(0)
    logits = torch.randn(1, 16, 1).requires_grad_(requires_grad)
    distances = (torch.rand(1, 16, 4) + 0.5).requires_grad_(requires_grad)
    return Flat(logits, distances, GRID)


@pytest.mark.parametrize("by_geometry", [True, False])
def test_an_ignored_region_has_no_gradient(by_geometry: bool) -> None:
    outputs = flat(requires_grad=True)
    targets = one_target([0.0, 0.0, 16.0, 32.0], ignore=True)  # the two left columns
    loss = detection_loss(outputs, targets, RECIPE, LABELS, by_geometry=by_geometry)
    loss.total.backward()  # type: ignore[no-untyped-call]
    assert outputs.logits.grad is not None
    gradient = outputs.logits.grad.reshape(4, 4)
    assert not gradient[:, :2].any()
    assert gradient[:, 2:].all()


def test_background_teaches_scores_and_no_boxes() -> None:
    outputs = flat(requires_grad=True)
    targets = one_target([0.0, 0.0, 0.0, 0.0])
    targets = Targets(targets.boxes, targets.class_ids, targets.ignore, targets.ignore)
    loss = detection_loss(outputs, targets, RECIPE, LABELS, by_geometry=True)
    loss.total.backward()  # type: ignore[no-untyped-call]
    assert loss.box == 0.0
    assert outputs.logits.grad is not None
    assert (outputs.logits.grad > 0).all()
    assert outputs.distances.grad is None or not outputs.distances.grad.any()


def test_a_right_answer_costs_less_than_a_wrong_one() -> None:
    targets = one_target([4.0, 4.0, 20.0, 20.0])
    right = Flat(torch.full((1, 16, 1), -8.0), torch.ones(1, 16, 4), GRID)
    right.logits[0, 5] = 8.0  # centre (12, 12), a stride from each side
    wrong = Flat(-right.logits, right.distances + 2, GRID)
    losses = [
        float(detection_loss(o, targets, RECIPE, LABELS, by_geometry=False).total)
        for o in (right, wrong)
    ]
    assert losses[0] < 0.1 * losses[1]


def test_distances_below_zero_are_pulled_up() -> None:
    outputs = Flat(torch.zeros(1, 16, 1), torch.full((1, 16, 4), -1.0).requires_grad_(), GRID)
    loss = detection_loss(
        outputs, one_target([4.0, 4.0, 20.0, 20.0]), RECIPE, LABELS, by_geometry=True
    )
    loss.total.backward()  # type: ignore[no-untyped-call]
    assert outputs.distances.grad is not None
    assert (outputs.distances.grad[0, 5] < 0).all()


def test_imitating_oneself_costs_less_than_imitating_another() -> None:
    teacher = flat()
    other = Flat(-teacher.logits, teacher.distances + 1, GRID)
    assert float(imitation_loss(teacher, teacher)) < 1e-5
    assert float(imitation_loss(other, teacher)) > 0.5
