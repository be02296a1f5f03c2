"""Box losses against their definitions in plain Python, and their slopes at the edges."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tartlet_host.model import boxes as box_math
from tartlet_host.model.assigner import Assignment, Targets, make_grid
from tartlet_host.model.box_loss import box_loss, distance_loss
from tartlet_host.recipe import LossRecipe

Box = tuple[float, float, float, float]
KINDS = ("giou", "diou", "ciou", "smooth-l1", "huber")
OVERLAPS = {
    "giou": box_math.generalized_iou,
    "diou": box_math.distance_iou,
    "ciou": box_math.complete_iou,
}
coordinates = st.floats(-50.0, 50.0, width=32)
sides = st.floats(1.0, 60.0, width=32)
boxes = st.tuples(coordinates, coordinates, sides, sides).map(
    lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3])
)
any_boxes = st.tuples(coordinates, coordinates, coordinates, coordinates)


def defined(kind: str, one: Box, two: Box) -> float:
    """GIoU, DIoU and CIoU of boxes with area, from the papers' equations."""
    width = max(0.0, min(one[2], two[2]) - max(one[0], two[0]))
    height = max(0.0, min(one[3], two[3]) - max(one[1], two[1]))
    overlap = width * height
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, two)]
    union = sum(areas) - overlap
    iou = overlap / union
    hull = (
        max(one[2], two[2]) - min(one[0], two[0]),
        max(one[3], two[3]) - min(one[1], two[1]),
    )
    if kind == "giou":
        return iou - (hull[0] * hull[1] - union) / (hull[0] * hull[1])
    centres = [((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) for box in (one, two)]
    rho = math.dist(*centres) ** 2
    distance = iou - rho / (hull[0] ** 2 + hull[1] ** 2)
    if kind == "diou":
        return distance
    turns = [math.atan((box[2] - box[0]) / (box[3] - box[1])) for box in (one, two)]
    v = 4 / math.pi**2 * (turns[1] - turns[0]) ** 2
    alpha = v / (1 - iou + v) if v > 0 else 0.0
    return distance - alpha * v


def value(kind: str, one: Box, two: Box) -> float:
    return float(OVERLAPS[kind](torch.tensor([one]), torch.tensor([two])))


@pytest.mark.parametrize("kind", OVERLAPS)
@pytest.mark.parametrize(
    ("one", "two"),
    [
        pytest.param((0, 0, 10, 20), (0, 0, 10, 20), id="same"),
        pytest.param((0, 0, 10, 20), (5, 0, 15, 20), id="shifted"),
        pytest.param((0, 0, 10, 20), (2, 4, 8, 10), id="inside"),
        pytest.param((0, 0, 10, 20), (30, 40, 35, 90), id="apart"),
        pytest.param((0, 0, 10, 40), (0, 0, 40, 10), id="lying and standing"),
        pytest.param((0, 0, 10, 10), (0, 0, 30, 30), id="one corner"),
    ],
)
def test_overlaps_are_their_definitions(kind: str, one: Box, two: Box) -> None:
    assert value(kind, one, two) == pytest.approx(defined(kind, one, two), abs=1e-3)


@given(boxes, boxes)
def test_overlaps_agree_everywhere_and_keep_their_bounds(one: Box, two: Box) -> None:
    for kind, least in (("giou", -1.0 - 1e-5), ("diou", -1.0 - 1e-5), ("ciou", -1.5 - 1e-5)):
        got = value(kind, one, two)
        assert got == pytest.approx(defined(kind, one, two), abs=2e-3)
        assert least <= got <= 1.0 + 1e-5
        assert value(kind, one, one) == pytest.approx(1.0, abs=1e-5)
    assert value("ciou", one, two) <= value("diou", one, two) + 1e-6


@given(any_boxes, boxes)
def test_degenerate_boxes_have_finite_slopes(one: Box, two: Box) -> None:
    for overlap in OVERLAPS.values():
        box = torch.tensor([one], requires_grad=True)
        overlap(box, torch.tensor([two])).sum().backward()  # type: ignore[no-untyped-call]
        assert box.grad is not None
        assert torch.isfinite(box.grad).all()


@pytest.mark.parametrize(
    "point", [(5.0, 5.0, 5.0, 5.0), (9.0, 9.0, 3.0, 3.0), (5.0, 5.0, 5.0, 9.0)]
)
@pytest.mark.parametrize("kind", OVERLAPS)
def test_boxes_without_area_have_finite_slopes(kind: str, point: Box) -> None:
    for goal in (point, (0.0, 0.0, 10.0, 10.0)):
        box = torch.tensor([point], requires_grad=True)
        OVERLAPS[kind](box, torch.tensor([goal])).sum().backward()  # type: ignore[no-untyped-call]
        assert box.grad is not None
        assert torch.isfinite(box.grad).all()


@pytest.mark.parametrize("kind", ["smooth-l1", "huber"])
@pytest.mark.parametrize("difference", [0.0, 0.05, -0.11, 0.5, -1.0, 3.0])
def test_distance_losses_are_their_definitions(kind: str, difference: float) -> None:
    size = abs(difference)
    if kind == "smooth-l1":
        beta = 1 / 9
        expected = 0.5 * size**2 / beta if size < beta else size - 0.5 * beta
    else:
        expected = 0.5 * size**2 if size <= 1.0 else size - 0.5
    got = distance_loss(torch.tensor([[2.0 + difference] * 4]), torch.full((1, 4), 2.0), kind)
    assert got.item() == pytest.approx(expected, abs=1e-6)


GRID = make_grid([(2, 2)], (16,))
TARGETS = Targets(
    boxes=torch.tensor([[[0.0, 0.0, 16.0, 16.0], [8.0, 8.0, 32.0, 32.0]]]),
    class_ids=torch.tensor([[0, 1]]),
    present=torch.tensor([[True, True]]),
    ignore=torch.tensor([[False, False]]),
)
ASSIGNMENT = Assignment(
    box_index=torch.tensor([[0, 1, 1, 1]]),
    quality=torch.tensor([[1.0, 0.0, 0.0, 0.5]]),
    counts=torch.ones(1, 4, dtype=torch.bool),
)
# Both boxes lie exactly so around their cells: left, top, right, bottom in strides.
RIGHT = torch.tensor([[[0.5, 0.5, 0.5, 0.5], [9.0] * 4, [9.0] * 4, [1.0, 1.0, 0.5, 0.5]]])


def loss_of(kind: str, distances: torch.Tensor, weights: list[float]) -> torch.Tensor:
    predicted = box_math.decode(distances, GRID.centres, GRID.strides)
    recipe = LossRecipe(box=kind)  # type: ignore[arg-type]
    return box_loss(
        distances, predicted, GRID, TARGETS, ASSIGNMENT, recipe, torch.tensor([weights])
    )


@pytest.mark.parametrize("kind", KINDS)
def test_right_boxes_cost_nothing_whatever_unmatched_cells_say(kind: str) -> None:
    assert float(loss_of(kind, RIGHT, [1.0] * 4)) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_cells_count_by_quality_and_weight(kind: str) -> None:
    one_wrong, other_wrong = RIGHT.clone(), RIGHT.clone()
    one_wrong[0, 0] += 0.25
    other_wrong[0, 3] += 0.25
    first, second = (float(loss_of(kind, d, [1.0] * 4)) for d in (one_wrong, other_wrong))
    assert min(first, second) > 0
    weighted = [1.0, 1.0, 1.0, 3.0]
    # Divided by 1 + 0.5 without, by 1 + 1.5 with the weight of 3.
    assert float(loss_of(kind, one_wrong, weighted)) == pytest.approx(first * 1.5 / 2.5, rel=1e-4)
    assert float(loss_of(kind, other_wrong, weighted)) == pytest.approx(
        second * 3 * 1.5 / 2.5, rel=1e-4
    )


@pytest.mark.parametrize("kind", KINDS)
def test_distances_below_zero_are_pulled_up(kind: str) -> None:
    distances = torch.full((1, 4, 4), -1.0).requires_grad_()
    loss_of(kind, distances, [1.0] * 4).backward()  # type: ignore[no-untyped-call]
    assert distances.grad is not None
    assert (distances.grad[0, [0, 3]] < 0).all()
    assert not distances.grad[0, [1, 2]].any()
