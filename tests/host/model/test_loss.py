"""The losses against their definitions, and what must have no gradient."""

from __future__ import annotations

import pytest
import torch

from tartlet_host.model.assigner import Targets, make_grid
from tartlet_host.model.boxes import decode
from tartlet_host.model.loss import Flat, detection_loss, flatten, imitation_loss
from tartlet_host.recipe import LossRecipe, parse_recipe
from tartlet_shared.errors import ConfigError

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


@pytest.mark.parametrize("score", ["quality-focal", "focal"])
@pytest.mark.parametrize("box", ["giou", "diou", "ciou", "smooth-l1", "huber"])
def test_every_kind_learns_a_box(score: str, box: str) -> None:
    """Outputs alone, moved along the slope, end at the box and its score."""
    recipe = LossRecipe(score=score, box=box)  # type: ignore[arg-type]
    targets = one_target([4.0, 4.0, 20.0, 20.0])
    outputs = flat(requires_grad=True)
    optimizer = torch.optim.Adam([outputs.logits, outputs.distances], lr=0.1)
    for step in range(150):
        optimizer.zero_grad()
        loss = detection_loss(outputs, targets, recipe, LABELS, by_geometry=step < 50)
        loss.total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    best = int(outputs.logits[0, :, 0].argmax())
    decoded = decode(outputs.distances, GRID.centres, GRID.strides)[0, best]
    assert outputs.logits[0, best, 0].sigmoid().item() > 0.6
    assert decoded.tolist() == pytest.approx([4.0, 4.0, 20.0, 20.0], abs=1.5)


def test_a_class_weight_moves_its_class_alone() -> None:
    targets = Targets(
        torch.tensor([[[0.0, 0.0, 16.0, 16.0], [16.0, 16.0, 32.0, 32.0]]]),
        torch.tensor([[0, 1]]),
        torch.ones(1, 2, dtype=torch.bool),
        torch.zeros(1, 2, dtype=torch.bool),
    )
    slopes = []
    for weights in ({}, {"rare": 4.0}):
        outputs = Flat(torch.zeros(1, 16, 2).requires_grad_(), torch.ones(1, 16, 4), GRID)
        recipe = LossRecipe(class_weights=weights)
        loss = detection_loss(outputs, targets, recipe, ("common", "rare"), by_geometry=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        assert outputs.logits.grad is not None
        slopes.append(outputs.logits.grad[0].abs().sum(dim=1).reshape(4, 4))
    ratio = slopes[1] / slopes[0]
    rare, common = ratio[2:, 2:], ratio[:2, :2]
    torch.testing.assert_close(rare / common.mean(), torch.full((2, 2), 4.0))
    torch.testing.assert_close(common, ratio[:2, 2:])  # as background does


def test_an_unknown_class_weight_is_refused_by_the_recipe() -> None:
    with pytest.raises(ConfigError, match="class_weights"):
        parse_recipe(
            'name = "a"\nlabels = ["cat"]\n[train.loss.class_weights]\nmouse = 2.0\n', where="test"
        )


def test_outputs_in_sixteen_bits_do_not_overflow() -> None:
    outputs = [(torch.zeros(1, 1, 32, 32).half(), torch.full((1, 4, 32, 32), 15.0).half())]
    levels = flatten(outputs, (32,))
    assert levels.logits.dtype == torch.float32
    loss = detection_loss(
        levels, one_target([0.0, 0.0, 1000.0, 1000.0]), RECIPE, LABELS, by_geometry=True
    )
    assert bool(torch.isfinite(loss.total))
