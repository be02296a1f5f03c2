"""Test-time augmentation with a predictor that finds exactly the bright rectangles."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tartlet_host.evaluate.augmented import VIEWS, AugmentedPredictor, View
from tartlet_shared.detections import Detections


class Bright:
    """Finds what is brighter than 128: exact boxes, score 0.9. Remembers what it was shown."""

    labels = ("bright",)
    score_threshold = 0.3

    def __init__(self) -> None:
        self.shown: list[tuple[int, ...]] = []

    def predict(self, rgb: np.ndarray) -> Detections:
        self.shown.append(rgb.shape)
        _, _, stats, _ = cv2.connectedComponentsWithStats((rgb[..., 0] > 128).astype(np.uint8))
        rows = [(x, y, x + w, y + h) for x, y, w, h, _ in stats[1:]]
        count = len(rows)
        return Detections(
            np.array(rows, np.float32).reshape(-1, 4),
            np.full(count, 0.9, np.float32),
            np.zeros(count, np.int64),
        )


def picture(*boxes: tuple[int, int, int, int], size: tuple[int, int] = (96, 128)) -> np.ndarray:
    rgb = np.full((*size, 3), 20, np.uint8)
    for left, top, right, bottom in boxes:
        rgb[top:bottom, left:right] = 255
    return rgb


@pytest.mark.parametrize(
    "view", [*VIEWS, View(flip=True, scale=0.7), View(flip=True, scale=1.5)], ids=str
)
def test_every_view_gives_boxes_in_pixels_of_the_picture(view: View) -> None:
    seen = AugmentedPredictor(Bright(), (view,)).predict(picture((5, 10, 25, 20)))
    np.testing.assert_allclose(seen.xyxy, [[5, 10, 25, 20]], atol=1e-3)


def test_a_zoomed_view_leaves_out_what_its_tiles_cut() -> None:
    # The rectangle spans the middle: no tile of a half the side shows it whole.
    across = picture((20, 30, 110, 60))
    zoomed = AugmentedPredictor(Bright(), (View(scale=2.0),))
    assert len(zoomed.predict(across)) == 0
    # Two views with it, one without: it is there, with two thirds of its score.
    fused = AugmentedPredictor(Bright(), (View(), View(flip=True), View(scale=2.0)))
    found = fused.predict(across)
    np.testing.assert_allclose(found.xyxy, [[20, 30, 110, 60]])
    np.testing.assert_allclose(found.score, [0.6], atol=1e-6)


def test_an_object_at_the_edge_of_the_picture_is_not_cut() -> None:
    zoomed = AugmentedPredictor(Bright(), (View(scale=2.0),))
    found = zoomed.predict(picture((0, 0, 10, 10), (118, 86, 128, 96)))
    assert sorted(found.xyxy.tolist()) == [[0, 0, 10, 10], [118, 86, 128, 96]]


def test_how_often_the_model_looks() -> None:
    inner = Bright()
    augmented = AugmentedPredictor(inner)
    augmented.predict(picture())
    assert len(inner.shown) == augmented.looks == 7
    assert (augmented.labels, augmented.score_threshold) == (("bright",), 0.3)


def test_merging_by_suppression_keeps_the_best_score() -> None:
    views = (View(), View(flip=True), View(scale=2.0))
    found = AugmentedPredictor(Bright(), views, merge="nms").predict(picture((20, 30, 110, 60)))
    np.testing.assert_allclose(found.score, [0.9], atol=1e-6)


@settings(max_examples=25)
@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from(VIEWS))
def test_any_size_of_picture(height: int, width: int, view: View) -> None:
    found = AugmentedPredictor(Bright(), (view,)).predict(
        picture((0, 0, width, height), size=(height, width))
    )
    assert (found.xyxy >= 0).all()
    assert (found.xyxy[:, 2] <= width).all()
    assert (found.xyxy[:, 3] <= height).all()
