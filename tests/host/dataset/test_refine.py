"""Merging what a model sees into motion labels, as a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tartlet_host.dataset.refine import refine
from tartlet_host.dataset.sample import Sample
from tartlet_shared.detections import Detections

A, B, C = [10, 10, 30, 60], [100, 10, 120, 60], [200, 10, 220, 60]
AROUND_B = [90, 0, 130, 70]

Boxes = list[list[int]]


def sample(labels: Boxes, ignored: Boxes) -> Sample:
    boxes = np.array(labels + ignored, np.float32).reshape(-1, 4)
    ignore = np.arange(len(boxes)) >= len(labels)
    return Sample(Path("x.jpg"), 320, 240, boxes, np.zeros(len(boxes), np.int64), ignore)


def seen(*found: tuple[list[int], float]) -> Detections:
    return Detections(
        np.array([box for box, _ in found], np.float32).reshape(-1, 4),
        np.array([score for _, score in found], np.float32),
        np.zeros(len(found), np.int64),
    )


@pytest.mark.parametrize(
    ("labels", "ignored", "found", "labels_after", "ignored_after"),
    [
        pytest.param([A], [], [], [A], [], id="nothing seen, nothing changes"),
        pytest.param([A], [], [(A, 0.9)], [A], [], id="seen again"),
        pytest.param([A], [], [(B, 0.9)], [A, B], [], id="a sure one is new"),
        pytest.param([A], [], [(B, 0.4)], [A], [B], id="an unsure one is ignored"),
        pytest.param([A], [], [(B, 0.1)], [A], [], id="a faint one is background"),
        pytest.param([], [AROUND_B], [(B, 0.4)], [], [AROUND_B], id="unsure where unsure before"),
        pytest.param([], [B], [([99, 9, 121, 61], 0.9)], [[99, 9, 121, 61]], [], id="settled"),
        pytest.param([A], [C], [(B, 0.9)], [A, B], [C], id="another region stays"),
        pytest.param([], [], [([-5, -5, 20, 40], 0.9)], [[0, 0, 20, 40]], [], id="clipped"),
    ],
)
def test_merging(
    labels: Boxes,
    ignored: Boxes,
    found: list[tuple[list[int], float]],
    labels_after: Boxes,
    ignored_after: Boxes,
) -> None:
    merged = refine(sample(labels, ignored), seen(*found))
    assert merged.boxes[~merged.ignore].tolist() == labels_after
    assert merged.boxes[merged.ignore].tolist() == ignored_after
    assert len(merged.class_ids) == len(merged.boxes)
