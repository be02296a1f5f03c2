"""Sizes, confusions, class thresholds and remarks, against cases worked out by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tartlet_host.dataset.sample import Dataset, Sample
from tartlet_host.evaluate import evaluation
from tartlet_host.evaluate import mean_average_precision as precision
from tartlet_host.evaluate.confusion import confusion_matrix
from tartlet_host.evaluate.curves import Curve, operating_point
from tartlet_host.evaluate.remarks import remarks
from tartlet_host.evaluate.samples import judge, worst
from tartlet_host.evaluate.sizes import CANVAS_BANDS, COCO_BANDS, by_size
from tartlet_shared.detections import Detections
from tartlet_shared.manifest import Preprocessing

Row = tuple[float, float, float, float]
LABELS = ("cat", "dog")
A, B, C = (0, 0, 10, 10), (40, 0, 60, 20), (100, 100, 200, 200)
NOWHERE = (250, 250, 280, 280)
CANVAS = Preprocessing(width=160, height=160)


def sample(*boxes: tuple[Row, int], ignore: tuple[Row, ...] = ()) -> Sample:
    count = len(boxes) + len(ignore)
    return Sample(
        picture=Path("none.png"),
        width=320,
        height=320,
        boxes=np.array([*(each[0] for each in boxes), *ignore], np.float32).reshape(-1, 4),
        class_ids=np.array([*(each[1] for each in boxes), *(0 for _ in ignore)], np.int64),
        ignore=np.arange(count) >= len(boxes),
    )


def found(*rows: tuple[Row, float, int]) -> Detections:
    return Detections(
        np.array([row[0] for row in rows], np.float32).reshape(-1, 4),
        np.array([row[1] for row in rows], np.float32),
        np.array([row[2] for row in rows], np.int64),
    )


def one(picture: Sample) -> Dataset:
    return Dataset(LABELS, (picture,))


# -- confusion


@pytest.mark.parametrize(
    ("there", "seen", "counts"),
    [
        ([(A, 0)], [(A, 0.9, 0)], [[1, 0, 0], [0, 0, 0], [0, 0, 0]]),
        ([(A, 0)], [(A, 0.9, 1)], [[0, 1, 0], [0, 0, 0], [0, 0, 0]]),
        ([(A, 0)], [], [[0, 0, 1], [0, 0, 0], [0, 0, 0]]),
        ([(A, 0)], [(A, 0.4, 0)], [[0, 0, 1], [0, 0, 0], [0, 0, 0]]),  # below the threshold
        ([], [(A, 0.9, 1)], [[0, 0, 0], [0, 0, 0], [0, 1, 0]]),
        # Found, and taken for a dog as well: a find and a false alarm, no confusion.
        ([(A, 0)], [(A, 0.9, 1), (A, 0.6, 0)], [[1, 0, 0], [0, 0, 0], [0, 1, 0]]),
        # Two of different kinds that were exchanged.
        ([(A, 0), (B, 1)], [(A, 0.9, 1), (B, 0.9, 0)], [[0, 1, 0], [1, 0, 0], [0, 0, 0]]),
        # Seen twice.
        ([(A, 0)], [(A, 0.9, 0), (A, 0.8, 0)], [[1, 0, 0], [0, 0, 0], [1, 0, 0]]),
    ],
)
def test_confusions(
    there: list[tuple[Row, int]], seen: list[tuple[Row, float, int]], counts: list[list[int]]
) -> None:
    matrix = confusion_matrix(one(sample(*there)), [found(*seen)], (0.5, 0.5))
    assert matrix.counts.tolist() == counts
    assert matrix.names == ("cat", "dog", "background")


def test_regions_to_ignore_excuse_false_alarms_only() -> None:
    picture = sample((A, 0), ignore=((240, 240, 300, 300),))
    matrix = confusion_matrix(one(picture), [found((NOWHERE, 0.9, 1), (A, 0.9, 0))], (0.5, 0.5))
    assert matrix.counts.tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_each_class_has_its_own_threshold() -> None:
    picture = sample((A, 0), (B, 1))
    seen = [found((A, 0.4, 0), (B, 0.4, 1))]
    matrix = confusion_matrix(one(picture), seen, (0.3, 0.5))
    assert matrix.counts.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]
    metrics = precision.measure(one(picture), seen, score_threshold=(0.3, 0.5))
    point = metrics.at_threshold
    assert (point.threshold, point.precision, point.recall) == (0.3, 1.0, 0.5)
    assert [each.at_threshold.recall for each in metrics.classes] == [1.0, 0.0]
    finding = judge(picture, seen[0], (0.3, 0.5))
    assert (len(finding.detections), finding.missed.tolist()) == (1, [False, True])


cases = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 6), st.integers(0, 2**16)), min_size=1, max_size=3
)


def random_case(rows: list[tuple[int, int, int]]) -> tuple[Dataset, list[Detections]]:
    samples, seen = [], []
    for boxes, detections, seed in rows:
        random = np.random.default_rng(seed)

        def draw(count: int, random: np.random.Generator = random) -> list[Row]:
            corner = random.uniform(0, 200, (count, 2))
            sides = np.exp(random.uniform(1, 5, (count, 2)))
            return [tuple(row) for row in np.hstack([corner, corner + sides])]

        truth = [(box, int(random.integers(2))) for box in draw(boxes)]
        samples.append(sample(*truth))
        scored = [(box, int(random.integers(2))) for box in draw(detections)]
        seen.append(
            found(*((box, float(random.uniform(0.1, 1)), kind) for box, kind in [*truth, *scored]))
        )
    return Dataset(LABELS, tuple(samples)), seen


@settings(max_examples=50)
@given(cases, st.floats(0.1, 0.9))
def test_every_object_and_every_detection_is_counted_once(
    rows: list[tuple[int, int, int]], threshold: float
) -> None:
    truth, seen = random_case(rows)
    counts = confusion_matrix(truth, seen, (threshold, threshold)).counts
    objects = np.bincount(
        np.concatenate([each.class_ids for each in truth.samples]).astype(int), minlength=2
    )
    assert counts[:-1].sum(axis=1).tolist() == objects.tolist()
    clear = sum(int((each.score >= np.float32(threshold)).sum()) for each in seen)
    assert counts[:, :-1].sum() == clear
    right = sum(
        int(judge(each, detections, threshold).right.sum())
        for each, detections in zip(truth.samples, seen, strict=True)
    )
    assert np.trace(counts[:-1, :-1]) == right


# -- sizes


def test_sizes_in_the_picture() -> None:
    # A is small, B is small, C (100 x 100) is large.
    picture = sample((A, 0), (B, 0), (C, 0))
    sizes = by_size(one(picture), [found((A, 0.9, 0), (C, 0.9, 0), (NOWHERE, 0.1, 0))])
    assert [each.boxes for each in sizes] == [2, 0, 1]
    assert sizes[0].recall == 0.5
    assert math.isnan(sizes[1].ap50)
    assert sizes[2].ap50 == pytest.approx(1.0)


def test_sizes_on_the_canvas_are_those_of_the_scaled_picture() -> None:
    # Half the size on a canvas of half the size: 5, 10 and 50 pixels.
    picture = sample((A, 0), (B, 0), (C, 0))
    sizes = by_size(one(picture), [found((B, 0.9, 0))], bands=CANVAS_BANDS, canvas=CANVAS)
    assert [each.boxes for each in sizes] == [1, 1, 0, 1, 0, 0]
    assert [each.recall for each in sizes if each.boxes] == [0.0, 1.0, 0.0]


@settings(max_examples=25)
@given(cases)
def test_one_band_of_all_sizes_is_the_whole(rows: list[tuple[int, int, int]]) -> None:
    truth, seen = random_case(rows)
    if not any(len(each.boxes) for each in truth.samples):
        return
    everything = type(COCO_BANDS[0])("all", 0, math.inf)
    (whole,) = by_size(truth, seen, bands=(everything,), canvas=CANVAS)
    metrics = precision.measure(truth, seen)
    assert whole.ap50 == pytest.approx(metrics.map50)
    assert whole.ap50_95 == pytest.approx(metrics.map50_95)
    assert whole.boxes == metrics.boxes
    assert sum(each.boxes for each in by_size(truth, seen)) >= metrics.boxes


# -- the whole


def test_pictures_that_nobody_labelled_are_left_out() -> None:
    from dataclasses import replace

    data = Dataset(LABELS, (sample((A, 0)), replace(sample(), labelled=False)))
    assert len(precision.align(data, LABELS).samples) == 1
    assert len(precision.align(data, ("dog", "cat")).samples) == 1


def test_the_data_has_every_part_and_is_json() -> None:
    truth = one(sample((A, 0), (C, 0)))
    seen = [found((A, 0.9, 0), (NOWHERE, 0.5, 0))]
    measured = evaluation.evaluate(truth, seen, thresholds=(0.3, 0.3), canvas=CANVAS)
    data = json.loads(json.dumps(evaluation.as_data(measured), allow_nan=False))
    assert [each["label"] for each in data["classes"]] == ["cat", "dog"]
    assert data["classes"][0]["best_threshold"] == pytest.approx(0.7)
    assert data["classes"][1]["ap50"] is None
    assert [each["high"] for each in data["sizes"]] == [32, 96, None]
    assert data["confusion"]["counts"] == [[1, 0, 1], [0, 0, 0], [1, 0, 0]]
    steps = {each["threshold"]: each for each in data["thresholds"]}
    assert (steps[0.4]["precision"], steps[0.6]["precision"]) == (0.5, 1.0)


def test_the_worst_pictures_come_first_and_perfect_ones_not_at_all() -> None:
    samples = (sample((A, 0)), sample((A, 0), (B, 1)), sample((A, 0)))
    seen = [found((A, 0.9, 0)), found((NOWHERE, 0.9, 0)), found((NOWHERE, 0.9, 0), (A, 0.9, 0))]
    assert [place for place, _ in worst(Dataset(LABELS, samples), seen, 0.5)] == [1, 2]
    assert [place for place, _ in worst(Dataset(LABELS, samples), seen, 0.5, most=1)] == [1]


@pytest.mark.parametrize(
    ("there", "seen", "words"),
    [
        ([(C, 0)] * 4, [(C, 0.9, 1)] * 4, "cat is taken for dog 4 times in 4"),
        ([(C, 0)], [(C, 0.2, 0)], "F1 is 0.000; at 0.10 it would be 1.000"),
        ([(C, 0)], [], "dog would be found: there is none"),
        ([(A, 0)], [((1, 4, 11, 14), 0.9, 0)], "not well framed"),
        ([(A, 0)] * 3, [(NOWHERE, 0.9, 0)] * 30, "32 false alarms against 3 missed"),
        ([(A, 0)], [], "1 missed objects against 0 false alarms"),
    ],
)
def test_remarks(
    there: list[tuple[Row, int]], seen: list[tuple[Row, float, int]], words: str
) -> None:
    # Each object in a picture of its own, so that none is matched with another.
    pictures = tuple(sample(each) for each in there)
    each_seen = [found(each) for each in seen[: len(pictures)]]
    each_seen += [found()] * (len(pictures) - len(each_seen))
    if len(seen) > len(pictures):
        each_seen[0] = found(*seen)
    measured = evaluation.evaluate(
        Dataset(LABELS, pictures), each_seen, thresholds=(0.5, 0.5), canvas=CANVAS
    )
    assert any(words in remark for remark in remarks(measured)), remarks(measured)


def test_a_good_model_leaves_nothing_to_remark() -> None:
    pictures = tuple(sample((C, kind)) for kind in (0, 1) for _ in range(20))
    seen = [found((C, 0.9, kind)) for kind in (0, 1) for _ in range(20)]
    measured = evaluation.evaluate(
        Dataset(LABELS, pictures), seen, thresholds=(0.5, 0.5), canvas=CANVAS
    )
    assert remarks(measured) == ()


def test_thresholds_beyond_all_scores_find_nothing() -> None:
    curve = Curve(np.array([0.5]), np.array([1.0]), np.array([1.0]))
    assert operating_point(curve, 0.6).recall == 0.0
    assert operating_point(curve, 0.5).recall == 1.0
