"""A teacher may have coarser levels than the network that imitates it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest
import torch

from tartlet_host.dataset.loader import Batch, normalise
from tartlet_host.model.detector import build_detector
from tartlet_host.recipe import InputRecipe, Recipe
from tartlet_host.train.step import Plan, _imitated


@pytest.mark.parametrize(("height", "width"), [(64, 96), (48, 96), (48, 80)])
def test_a_teacher_with_a_coarser_level_sees_the_canvas_with_a_border(
    small: Callable[..., Recipe], height: int, width: int
) -> None:
    recipe = msgspec.structs.replace(small(), input=InputRecipe(height, width))
    student = build_detector(recipe)
    teacher = build_detector(recipe, strides=(8, 16, 32)).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    batch = Batch(normalise(pixels), None)  # type: ignore[arg-type] # a teacher reads no targets
    imitated = _imitated(
        student, batch, Plan(recipe.train, recipe.labels, torch.device("cpu"), teacher=teacher)
    )
    assert imitated is not None
    cells = [(height // stride, width // stride) for stride in student.strides]
    assert imitated.logits.shape[1] == sum(rows * columns for rows, columns in cells)
    if height % 32 == width % 32 == 0:
        with torch.no_grad():
            scores = teacher(batch.pictures)[0][0]
        rows, columns = cells[0]
        assert torch.equal(imitated.logits[0, : rows * columns, 0], scores.flatten())
