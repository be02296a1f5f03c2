"""Score losses against their definitions in plain Python, and what they must not do."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tartlet_host.model.assigner import Assignment, Targets
from tartlet_host.model.score_loss import (
    class_entropy,
    focal_loss,
    quality_focal_loss,
    score_loss,
    smoothed,
)
from tartlet_host.recipe import LossRecipe

logits = st.floats(-12.0, 12.0, width=32)
shares = st.floats(0.0, 1.0, width=32)


def entropy(p: float, goal: float) -> float:
    return -(goal * math.log(p) + (1 - goal) * math.log(1 - p))


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


@pytest.mark.parametrize(("logit", "quality"), [(0.0, 0.0), (2.0, 1.0), (-3.0, 0.4), (5.0, 0.0)])
def test_quality_focal_loss_is_its_definition(logit: float, quality: float) -> None:
    p = sigmoid(logit)
    expected = abs(quality - p) ** 2 * entropy(p, quality)
    got = quality_focal_loss(torch.tensor([logit]), torch.tensor([quality]))
    assert got.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("logit", [-6.0, -1.0, 0.0, 0.3, 4.0])
@pytest.mark.parametrize("object_there", [True, False])
def test_focal_loss_is_its_definition(logit: float, object_there: bool) -> None:
    """Equation 5: -alpha_t (1 - p_t)^gamma log p_t with alpha 0.25, gamma 2."""
    p = sigmoid(logit)
    p_t, alpha_t = (p, 0.25) if object_there else (1 - p, 0.75)
    expected = -alpha_t * (1 - p_t) ** 2 * math.log(p_t)
    got = focal_loss(torch.tensor([logit]), torch.tensor([float(object_there)]))
    assert got.item() == pytest.approx(expected, rel=1e-4)


@given(logits, shares)
def test_no_loss_is_negative_and_a_met_goal_costs_nothing(logit: float, goal: float) -> None:
    for kind in (quality_focal_loss, focal_loss):
        assert float(kind(torch.tensor([logit]), torch.tensor([goal]))) >= 0
        met = torch.tensor([logit])
        assert float(kind(met, met.sigmoid())) == pytest.approx(0.0, abs=1e-6)


@given(logits, shares)
def test_the_slope_leads_to_the_goal(logit: float, goal: float) -> None:
    for kind in (quality_focal_loss, focal_loss):
        place = torch.tensor([logit], requires_grad=True)
        kind(place, torch.tensor([goal])).sum().backward()  # type: ignore[no-untyped-call]
        assert place.grad is not None
        assert torch.isfinite(place.grad).all()
        away = sigmoid(logit) - goal
        if abs(away) > 1e-3:
            assert float(place.grad) * away >= 0


@pytest.mark.parametrize(
    ("goal", "distance", "expected"),
    [(0.0, 0.0, 0.0), (1.0, 0.1, 0.9), (0.0, 0.1, 0.1), (0.5, 0.3, 0.5), (1.0, 0.5, 0.5)],
)
def test_smoothing_keeps_goals_away_from_the_ends(
    goal: float, distance: float, expected: float
) -> None:
    assert smoothed(torch.tensor([goal]), distance).item() == pytest.approx(expected)


QUALITY = torch.tensor([[0.8, 0.4, 0.0, 0.0]])
ASSIGNMENT = Assignment(
    box_index=torch.tensor([[0, 1, 0, 0]]),
    quality=QUALITY,
    counts=torch.tensor([[True, True, True, False]]),
)
TARGETS = Targets(
    boxes=torch.zeros(1, 2, 4),
    class_ids=torch.tensor([[1, 0]]),
    present=torch.tensor([[True, True]]),
    ignore=torch.tensor([[False, False]]),
)
LOGITS = torch.tensor([[[-1.0, 2.0], [0.5, -2.0], [-3.0, 1.0], [5.0, 5.0]]])


def by_hand(recipe: LossRecipe, weights: list[float]) -> float:
    """Four cells of two classes: two with an object, one background, one not taught."""
    total = divisor = 0.0
    for cell, (class_id, quality) in enumerate([(1, 0.8), (0, 0.4), (0, 0.0)]):
        goal = quality if recipe.score == "quality-focal" else float(quality > 0)
        divisor += goal * weights[cell]
        for column in range(2):
            p = sigmoid(float(LOGITS[0, cell, column]))
            wanted = goal if column == class_id else 0.0
            wanted = recipe.label_smoothing + (1 - 2 * recipe.label_smoothing) * wanted
            loss = abs(wanted - p) ** 2 * entropy(p, wanted)
            if recipe.score == "focal":
                loss *= 0.25 * wanted + 0.75 * (1 - wanted)
            total += weights[cell] * loss
    return total / max(1.0, divisor)


@pytest.mark.parametrize("score", ["quality-focal", "focal"])
@pytest.mark.parametrize("smoothing", [0.0, 0.05])
@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0, 1.0], [3.0, 0.5, 1.0, 1.0]])
def test_the_cells_are_added_up_by_class_and_weight(
    score: str, smoothing: float, weights: list[float]
) -> None:
    recipe = LossRecipe(score=score, label_smoothing=smoothing, class_entropy=0.0)  # type: ignore[arg-type]
    got = score_loss(LOGITS, TARGETS, ASSIGNMENT, recipe, torch.tensor([weights]))
    assert float(got) == pytest.approx(by_hand(recipe, weights), rel=1e-4)


def test_the_comparison_of_classes_is_softmax_cross_entropy_where_objects_are() -> None:
    values = torch.tensor([[[1.0, -2.0, 0.5], [0.0, 3.0, 3.0], [9.0, 9.0, 9.0]]])
    class_ids = torch.tensor([[2, 1, 0]])
    weights = torch.tensor([[0.5, 2.0, 0.0]])
    expected = 0.0
    for row, true, weight in [([1.0, -2.0, 0.5], 2, 0.5), ([0.0, 3.0, 3.0], 1, 2.0)]:
        shares = [math.exp(value) for value in row]
        expected -= weight * math.log(shares[true] / sum(shares))
    assert class_entropy(values, class_ids, weights).item() == pytest.approx(expected, rel=1e-5)


@given(st.integers(2, 5), st.integers(0, 4))
def test_a_clearer_class_costs_less(classes: int, true: int) -> None:
    true %= classes
    class_ids, weights = torch.tensor([[true]]), torch.ones(1, 1)
    costs = []
    for margin in (0.0, 1.0, 3.0):
        values = torch.zeros(1, 1, classes)
        values[0, 0, true] = margin
        costs.append(float(class_entropy(values, class_ids, weights)))
    assert costs[0] == pytest.approx(math.log(classes), rel=1e-5)
    assert costs[0] > costs[1] > costs[2] > 0
