"""What is right, wrong and missed in a picture, and which pictures are shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tartlet_host.dataset.sample import Dataset, Sample
from tartlet_host.evaluate import samples
from tartlet_shared.detections import Detections

Row = tuple[float, float, float, float]
A, B, REGION = (0, 0, 10, 10), (20, 0, 30, 10), (50, 50, 90, 90)
IN_REGION, NOWHERE = (60, 60, 70, 70), (40, 0, 45, 5)


def truth(*boxes: Row) -> Sample:
    """The region, where it is among the boxes, is to be ignored."""
    return Sample(
        Path("p.png"),
        100,
        100,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.zeros(len(boxes), np.int64),
        np.array([box == REGION for box in boxes], np.bool_),
    )


def found(*boxes: Row, score: float = 0.9) -> Detections:
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.full(len(boxes), score, np.float32),
        np.zeros(len(boxes), np.int64),
    )


@pytest.mark.parametrize(
    ("boxes", "seen", "right", "missed", "f1"),
    [
        ((A, B), (A, B), [True, True], [False, False], 1.0),
        ((A, B), (B,), [True], [True, False], 2 / 3),
        ((A,), (A, NOWHERE), [True, False], [False], 2 / 3),
        ((A,), (A, A), [True, False], [False], 2 / 3),
        ((A, REGION), (A, IN_REGION), [True], [False, False], 1.0),
        ((REGION, A), (IN_REGION,), [], [False, True], 0.0),
        ((), (), [], [], 1.0),
        ((), (NOWHERE,), [False], [], 0.0),
    ],
)
def test_right_wrong_and_missed(
    boxes: tuple[Row, ...],
    seen: tuple[Row, ...],
    right: list[bool],
    missed: list[bool],
    f1: float,
) -> None:
    finding = samples.judge(truth(*boxes), found(*seen), 0.3)
    assert finding.right.tolist() == right
    assert finding.missed.tolist() == missed
    assert finding.f1 == pytest.approx(f1)


def test_low_scores_are_not_shown() -> None:
    finding = samples.judge(truth(A), found(A, score=0.2), 0.3)
    assert len(finding.detections) == 0
    assert finding.missed.tolist() == [True]


def test_best_typical_and_worst_are_different_pictures() -> None:
    cases = [((A, B), (A, B)), ((A,), (A,)), ((A, B), (A,)), ((A, B), (A,)), ((A,), ()), ((A,), ())]
    data = Dataset(("person",), tuple(truth(*boxes) for boxes, _ in cases))
    chosen = samples.choose(data, [found(*seen) for _, seen in cases], 0.3, of_each=1)
    assert [(caption, place) for caption, place, _ in chosen] == [
        ("best", 0),
        ("typical", 2),
        ("worst", 4),
    ]
    every = samples.choose(data, [found(*seen) for _, seen in cases], 0.3, of_each=5)
    assert sorted(place for _, place, _ in every) == list(range(6))


def test_nothing_to_choose_from() -> None:
    assert samples.choose(Dataset(("person",), ()), [], 0.3) == []
