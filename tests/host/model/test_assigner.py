"""Which cells learn which box: tables on a small grid."""

from __future__ import annotations

import pytest
import torch

from tartlet_host.model import assigner
from tartlet_host.model.assigner import Targets, make_grid

GRID = make_grid([(8, 8), (4, 4), (2, 2)], (8, 16, 32))


def targets(*boxes: list[float], ignore: tuple[int, ...] = ()) -> Targets:
    ignored = torch.tensor([[index in ignore for index in range(len(boxes))]])
    return Targets(
        boxes=torch.tensor([list(boxes)]),
        class_ids=torch.zeros(1, len(boxes), dtype=torch.int64),
        present=~ignored,
        ignore=ignored,
    )


def test_grid_has_cell_centres() -> None:
    assert GRID.centres.shape == (64 + 16 + 4, 2)
    assert GRID.centres[0].tolist() == [4.0, 4.0]
    assert GRID.centres[9].tolist() == [12.0, 12.0]  # second row, second column
    assert GRID.centres[64].tolist() == [8.0, 8.0]
    assert GRID.strides[-1] == 32


@pytest.mark.parametrize(
    ("box", "stride"),
    [
        ([10, 10, 20, 34], 8.0),
        ([4, 0, 30, 60], 16.0),
        ([0, 0, 64, 64], 16.0),
        ([9, 9, 12, 12], 8.0),
    ],
)
def test_geometry_takes_the_level_of_the_size(box: list[float], stride: float) -> None:
    chosen = assigner.assign_by_geometry(GRID, targets(box)).quality[0] > 0
    assert set(GRID.strides[chosen].tolist()) == {stride}
    assert 1 <= int(chosen.sum()) <= assigner.GEOMETRY_CELLS


def test_geometry_gives_the_cell_nearest_the_centre_the_full_quality() -> None:
    assignment = assigner.assign_by_geometry(GRID, targets([8.0, 8.0, 32.0, 32.0]))
    best = int(assignment.quality[0].argmax())
    assert GRID.centres[best].tolist() == [20.0, 20.0]
    assert assignment.quality[0, best] == 1.0


def test_an_ignored_region_is_no_box_and_no_background() -> None:
    assignment = assigner.assign_by_geometry(GRID, targets([0.0, 0.0, 16.0, 16.0], ignore=(0,)))
    assert not assignment.quality.any()
    inside = (GRID.centres < 16).all(dim=1)
    assert assignment.counts[0].tolist() == (~inside).tolist()


def test_a_box_to_learn_counts_even_inside_an_ignored_region() -> None:
    both = targets([8.0, 8.0, 24.0, 24.0], [0.0, 0.0, 64.0, 64.0], ignore=(1,))
    assignment = assigner.assign_by_geometry(GRID, both)
    assert assignment.counts[0].tolist() == (assignment.quality[0] > 0).tolist()


def test_alignment_prefers_cells_that_localise_and_score() -> None:
    goal = targets([8.0, 8.0, 40.0, 40.0])
    count = len(GRID.centres)
    boxes = torch.zeros(1, count, 4)
    scores = torch.full((1, count, 1), 0.1)
    right, sloppy = 18, 27  # cells of the finest level, inside the box
    boxes[0, right] = torch.tensor([8.0, 8.0, 40.0, 40.0])
    boxes[0, sloppy] = torch.tensor([8.0, 8.0, 40.0, 24.0])
    assignment = assigner.assign_by_alignment(GRID, goal, scores, boxes)
    assert assignment.quality[0, right] == pytest.approx(1.0)
    assert 0 < assignment.quality[0, sloppy] < 0.5
    assert int((assignment.quality > 0).sum()) == 2  # nobody else overlaps the box


def test_a_contested_cell_goes_to_the_box_it_suits() -> None:
    goal = targets([0.0, 0.0, 32.0, 32.0], [16.0, 16.0, 48.0, 48.0])
    boxes = torch.zeros(1, len(GRID.centres), 4)
    contested = 2 * 8 + 2  # centre (20, 20), inside both
    boxes[0, contested] = torch.tensor([14.0, 14.0, 46.0, 46.0])
    scores = torch.full((1, len(GRID.centres), 1), 0.5)
    assignment = assigner.assign_by_alignment(GRID, goal, scores, boxes)
    assert assignment.box_index[0, contested] == 1


def test_no_boxes_is_all_background() -> None:
    empty = Targets(
        torch.zeros(2, 1, 4),
        torch.zeros(2, 1, dtype=torch.int64),
        torch.zeros(2, 1, dtype=torch.bool),
        torch.zeros(2, 1, dtype=torch.bool),
    )
    assignment = assigner.assign_by_geometry(GRID, empty)
    assert not assignment.quality.any()
    assert assignment.counts.all()
