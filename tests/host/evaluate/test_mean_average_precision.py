"""Average precision against figures worked out by hand, and what must hold for any detections."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_host.dataset.sample import Dataset, Sample
from tartlet_host.evaluate import mean_average_precision as precision
from tartlet_host.evaluate.curves import OperatingPoint
from tartlet_shared.detections import Detections
from tartlet_shared.errors import DatasetError, DatasetNotFound, UnknownClass

Row = tuple[float, float, float, float]
A, B, C = (0, 0, 10, 10), (20, 0, 30, 10), (40, 0, 50, 10)
NOWHERE = (70, 70, 80, 80)


def sample(*boxes: Row, classes: tuple[int, ...] | None = None, ignore: int = 0) -> Sample:
    """``ignore``: how many of the boxes, from the end, are regions to ignore."""
    count = len(boxes)
    return Sample(
        picture=Path("none.png"),
        width=100,
        height=100,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        class_ids=np.array(classes or [0] * count, np.int64),
        ignore=np.arange(count) >= count - ignore,
    )


def found(*rows: tuple[Row, float], classes: tuple[int, ...] | None = None) -> Detections:
    return Detections(
        np.array([row[0] for row in rows], np.float32).reshape(-1, 4),
        np.array([row[1] for row in rows], np.float32),
        np.array(classes or [0] * len(rows), np.int64),
    )


def one(picture: Sample, labels: tuple[str, ...] = ("person",)) -> Dataset:
    return Dataset(labels, (picture,))


def test_a_case_worked_out_by_hand() -> None:
    # Four boxes; by falling score: right, wrong, right. Recall 1/4 at precision 1, 2/4 at 2/3.
    # COCO samples 101 recalls: 0..0.25 (26 of them) at 1, 0.26..0.50 (25) at 2/3, the rest at 0.
    truth = one(sample(A, B, C, (60, 0, 70, 10)))
    seen = [found((A, 0.9), (NOWHERE, 0.8), (B, 0.7))]
    metrics = precision.measure(truth, seen, score_threshold=0.75)
    assert metrics.map50 == pytest.approx((26 + 25 * 2 / 3) / 101)
    assert metrics.map50 == metrics.map30 == pytest.approx(metrics.map50_95)
    np.testing.assert_allclose(metrics.curve.precision, [1, 1 / 2, 2 / 3])
    np.testing.assert_allclose(metrics.curve.recall, [1 / 4, 1 / 4, 2 / 4])
    assert metrics.at_threshold == OperatingPoint(0.75, 0.5, 0.25, pytest.approx(1 / 3))
    assert metrics.best.threshold == pytest.approx(0.35)  # halfway from 0.7 to nothing
    assert metrics.best.f1 == pytest.approx(2 * (2 / 3) * 0.5 / (2 / 3 + 0.5))
    assert (metrics.pictures, metrics.boxes) == (1, 4)


@pytest.mark.parametrize(
    ("shift", "map30", "map50"),
    [(0.0, 1, 1), (3.3, 1, 1), (3.4, 1, 0), (5.3, 1, 0), (5.5, 0, 0)],
)
def test_overlap_decides(shift: float, map30: float, map50: float) -> None:
    # Two squares of side 10 shifted by s overlap with IoU (10 - s) / (10 + s).
    truth = one(sample((20, 20, 30, 30)))
    metrics = precision.measure(truth, [found(((20 + shift, 20, 30 + shift, 30), 0.9))])
    assert (metrics.map30, metrics.map50) == pytest.approx((map30, map50))


def test_regions_to_ignore_count_neither_way() -> None:
    truth = one(sample(A, (50, 50, 100, 100), ignore=1))
    metrics = precision.measure(truth, [found((A, 0.5), (NOWHERE, 0.9), ((52, 52, 60, 60), 0.8))])
    assert metrics.map50 == pytest.approx(1.0)
    assert metrics.boxes == 1
    np.testing.assert_array_equal(metrics.curve.precision, [1.0])


def test_a_second_detection_of_one_object_is_wrong() -> None:
    metrics = precision.measure(one(sample(A)), [found((A, 0.9), (A, 0.8))])
    np.testing.assert_array_equal(metrics.curve.precision, [1.0, 0.5])


def test_classes_are_averaged_and_one_without_boxes_is_left_out() -> None:
    truth = one(sample(A, B, classes=(0, 1)), labels=("cat", "dog", "cow"))
    metrics = precision.measure(truth, [found((A, 0.9), (B, 0.9), classes=(0, 0))])
    assert [each.boxes for each in metrics.classes] == [1, 1, 0]
    assert metrics.classes[0].ap50 == pytest.approx(1.0)
    assert metrics.classes[1].ap50 == 0.0
    assert np.isnan(metrics.classes[2].ap50)
    assert metrics.map50 == pytest.approx(0.5)


def test_the_best_threshold_keeps_equal_scores_together() -> None:
    # At 0.5 come one right and two wrong ones: with them F1 is 2/3, without them it is 2/3 too,
    # and at 0.9 alone; between 0.9 and 0.5 lies the first.
    seen = [found((A, 0.9), (B, 0.5), (NOWHERE, 0.5), ((0, 80, 5, 85), 0.5), ((0, 90, 5, 95), 0.2))]
    metrics = precision.measure(one(sample(A, B)), seen)
    assert metrics.best == OperatingPoint(pytest.approx(0.7), 1.0, 0.5, pytest.approx(2 / 3))


def test_finding_nothing_is_zero() -> None:
    metrics = precision.measure(one(sample(A)), [Detections.empty()])
    assert metrics.figures()["map50"] == 0.0
    assert metrics.best.f1 == metrics.at_threshold.recall == 0.0


def test_nothing_to_compare_with_is_an_error() -> None:
    with pytest.raises(DatasetError, match="no boxes"):
        precision.measure(one(sample(A, ignore=1)), [found((A, 0.9))])
    with pytest.raises(ValueError, match="1 detections for 0 pictures"):
        precision.measure(Dataset(("person",), ()), [found((A, 0.9))])


class Blind:
    """Sees nothing."""

    labels = ("person",)
    score_threshold = 0.3

    def predict(self, rgb: np.ndarray) -> Detections:
        return Detections.empty()


def test_an_empty_data_set_is_an_error() -> None:
    with pytest.raises(DatasetNotFound, match="no pictures"):
        precision.predict_all(Blind(), Dataset(("person",), ()))


def test_labels_are_matched_by_name() -> None:
    data = one(sample(A, B, classes=(0, 1)), labels=("dog", "cat"))
    aligned = precision.align(data, ("cat", "cow", "dog"))
    assert aligned.labels == ("cat", "cow", "dog")
    assert aligned.samples[0].class_ids.tolist() == [2, 0]
    assert precision.align(data, ("dog", "cat")) is data
    with pytest.raises(UnknownClass, match="also has cat"):
        precision.align(data, ("dog",))


pictures = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(0, 2**16)), min_size=1, max_size=4
)


def random_case(rows: list[tuple[int, int, int]]) -> tuple[Dataset, list[Detections]]:
    samples, seen = [], []
    for boxes, detections, seed in rows:
        random = np.random.default_rng(seed)

        def draw(count: int, random: np.random.Generator = random) -> list[Row]:
            corner = random.uniform(0, 70, (count, 2))
            return [
                tuple(row)
                for row in np.hstack([corner, corner + random.uniform(5, 30, (count, 2))])
            ]

        truth = draw(boxes)
        samples.append(sample(*truth))
        near = [tuple(np.add(box, random.uniform(-3, 3))) for box in truth]
        scored = [(box, float(random.uniform(0.01, 1))) for box in [*near, *draw(detections)]]
        seen.append(found(*scored))
    return Dataset(("person",), tuple(samples)), seen


@given(pictures)
def test_figures_stay_in_range_and_agree_with_each_other(rows: list[tuple[int, int, int]]) -> None:
    truth, seen = random_case(rows)
    if not any(len(each.boxes) for each in truth.samples):
        return
    metrics = precision.measure(truth, seen)
    rounding = 1e-9
    assert 0 <= metrics.map50_95 <= metrics.map50 + rounding
    assert metrics.map50 <= metrics.map30 + rounding <= 1 + 2 * rounding
    assert (np.diff(metrics.curve.recall) >= 0).all()
    assert ((metrics.curve.precision >= 0) & (metrics.curve.precision <= 1)).all()
    assert metrics.best.f1 >= metrics.at_threshold.f1 - 1e-9


@given(pictures)
def test_the_truth_itself_is_perfect(rows: list[tuple[int, int, int]]) -> None:
    truth, _ = random_case(rows)
    if not any(len(each.boxes) for each in truth.samples):
        return
    perfect = [found(*((tuple(box), 0.9) for box in each.boxes)) for each in truth.samples]
    metrics = precision.measure(truth, perfect)
    assert metrics.map50_95 == pytest.approx(1.0)
    assert metrics.at_threshold.f1 == 1.0


@given(pictures)
def test_worse_scored_noise_changes_no_average_precision(rows: list[tuple[int, int, int]]) -> None:
    truth, seen = random_case(rows)
    if not any(len(each.boxes) for each in truth.samples):
        return
    noisy = [
        Detections(
            np.vstack([each.xyxy, [[90, 90, 91, 91]]]),
            np.append(each.score, 0.001),
            np.append(each.class_id, 0),
        )
        for each in seen
    ]
    assert precision.measure(truth, noisy).map50 == precision.measure(truth, seen).map50
