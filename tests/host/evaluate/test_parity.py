"""Matching two models' detections, and refusing those that differ."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_host.evaluate import parity
from tartlet_host.evaluate.parity import Limits, Parity
from tartlet_host.evaluate.predictor import open_predictor
from tartlet_shared import nms
from tartlet_shared.detections import Detections
from tartlet_shared.errors import DatasetNotFound, ParityFailed

BRIGHT = Path(__file__).parents[2] / "golden" / "device" / "bright_int8.tflite"


def some(count: int, seed: int) -> Detections:
    random = np.random.default_rng(seed)
    corner = random.uniform(0, 60, (count, 2))
    return Detections(
        np.hstack([corner, corner + random.uniform(1, 40, (count, 2))]).astype(np.float32),
        random.uniform(0, 1, count).astype(np.float32),
        random.integers(0, 2, count),
    )


detections = st.builds(some, st.integers(0, 12), st.integers(0, 2**32 - 1))


@given(detections, detections)
def test_a_match_uses_each_once_and_only_the_same_class(one: Detections, other: Detections) -> None:
    found = parity.match(one, other)
    assert len(set(found.first.tolist())) == len(found.first)
    assert len(set(found.second.tolist())) == len(found.second)
    assert (one.class_id[found.first] == other.class_id[found.second]).all()
    iou = nms.box_iou(one.xyxy, other.xyxy)
    np.testing.assert_array_equal(found.iou, iou[found.first, found.second])
    assert (found.iou >= parity.SAME_OBJECT_IOU).all()
    # What is left over on both sides does not fit together.
    left = np.setdiff1d(np.arange(len(one)), found.first)
    right = np.setdiff1d(np.arange(len(other)), found.second)
    same = one.class_id[left][:, None] == other.class_id[right][None, :]
    assert not ((iou[np.ix_(left, right)] >= parity.SAME_OBJECT_IOU) & same).any()


@given(detections)
def test_everything_agrees_with_itself(one: Detections) -> None:
    found = parity.summarise([(one, one)], 0.3)
    assert (found.agreement, found.score_difference, found.iou) == (1.0, 0.0, 1.0)
    assert found.reference == found.candidate == (one.score >= 0.35).sum()


@given(st.lists(st.tuples(detections, detections), max_size=3), st.floats(0, 1))
def test_agreement_is_a_share_and_the_same_from_both_sides(
    pairs: list[tuple[Detections, Detections]], threshold: float
) -> None:
    there = parity.summarise(pairs, threshold)
    back = parity.summarise([(other, one) for one, other in pairs], threshold)
    assert 0 <= there.agreement <= 1
    assert there.agreement == back.agreement
    assert (there.reference, there.candidate) == (back.candidate, back.reference)


def at(score: float) -> Detections:
    return Detections(
        np.array([[0, 0, 10, 10]], np.float32), np.array([score], np.float32), np.zeros(1, np.int64)
    )


@pytest.mark.parametrize(
    ("reference", "candidate", "agreement"),
    [
        (0.9, 0.8, 1.0),
        (0.36, 0.26, 1.0),  # one above, one below the threshold, both within the margin of it
        (0.36, 0.2, 0.0),
        (0.2, 0.36, 0.0),
        (0.33, 0.1, 1.0),  # too close to the threshold to say anything
    ],
)
def test_the_threshold_has_a_margin(reference: float, candidate: float, agreement: float) -> None:
    assert parity.summarise([(at(reference), at(candidate))], 0.3).agreement == agreement


GOOD = Parity(
    pictures=10,
    reference=20,
    candidate=20,
    matched=20,
    agreement=0.97,
    score_difference=0.02,
    iou=0.95,
    score_correlation=0.99,
    correlations=(0.99, 0.4),
)


def test_a_good_model_passes() -> None:
    parity.check(GOOD, Limits(), where="m")
    parity.check(replace(GOOD, reference=0, candidate=0, matched=0), Limits(), where="m")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"candidate": 0}, "sees nothing where the float model sees 20 objects in 10 pictures"),
        ({"agreement": 0.89}, "agreement of the detections is 0.890, at least 0.900"),
        ({"score_difference": 0.11}, "difference of the scores is 0.110, at most 0.100"),
        ({"score_correlation": 0.5}, "correlation of the raw scores is 0.500"),
        ({"score_correlation": float("nan")}, "correlation of the raw scores is nan"),
    ],
)
def test_a_model_that_differs_is_refused(changes: dict[str, float], complaint: str) -> None:
    with pytest.raises(ParityFailed, match=complaint) as caught:
        parity.check(replace(GOOD, **changes), Limits(), where="pruned-int8.tflite")
    assert caught.value.where == "pruned-int8.tflite"
    assert caught.value.hint


def test_a_model_is_like_itself_and_needs_pictures() -> None:
    model = open_predictor(BRIGHT, labels=("bright",), score_threshold=0.5)
    picture = np.full((96, 128, 3), 20, np.uint8)
    picture[32:64, 32:64] = 235
    found = parity.compare(model, model, [picture])
    assert found.reference == found.matched > 0
    assert found.agreement == found.score_correlation == 1.0
    with pytest.raises(DatasetNotFound):
        parity.compare(model, model, [])
