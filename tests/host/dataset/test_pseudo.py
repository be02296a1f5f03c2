"""Labels from a teacher: sure, unsure, background; and thresholds from labelled pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_device.preprocess import Picture
from tartlet_host.dataset import pseudo
from tartlet_host.dataset.pseudo import Thresholds
from tartlet_host.dataset.sample import Dataset, Sample
from tartlet_host.dataset.unlabelled import join
from tartlet_shared import errors
from tartlet_shared.detections import Detections

MakeSquares = Callable[..., Dataset]


def seen(*rows: tuple[float, float, float, float, float, int]) -> Detections:
    """(left, top, right, bottom, score, class)."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))


@dataclass
class Teacher:
    """Answers in turn, whatever it is shown."""

    answers: list[Detections]
    labels: tuple[str, ...] = ("square",)
    score_threshold: float = 0.3
    shown: list[Picture] = field(default_factory=list)

    def predict(self, rgb: Picture) -> Detections:
        self.shown.append(rgb)
        return self.answers[len(self.shown) - 1]


def unlabelled(dataset: Dataset) -> Dataset:
    return join(Dataset(dataset.labels, ()), dataset)


def test_scores_become_boxes_ignored_regions_or_nothing(make_squares: MakeSquares) -> None:
    (sample,) = unlabelled(make_squares(1)).samples
    found = seen(
        (0, 0, 10, 10, 0.9, 0),
        (20, 0, 30, 10, 0.4, 0),
        (40, 0, 50, 10, 0.1, 0),
        (5, 5, 6, 6, 0.4, 1),
    )
    labelled = pseudo.labelled_by(sample, found, Thresholds((0.6, 0.3), (0.25, 0.2)))
    assert labelled.labelled
    rows = sorted(
        (box.tolist(), int(class_id), bool(ignore))
        for box, class_id, ignore in zip(
            labelled.boxes, labelled.class_ids, labelled.ignore, strict=True
        )
    )
    assert rows == [
        ([0, 0, 10, 10], 0, False),
        ([5, 5, 6, 6], 1, False),
        ([20, 0, 30, 10], 0, True),
    ]


@given(
    st.lists(
        st.tuples(*[st.floats(-20, 120, width=32)] * 4, st.floats(0, 1, width=32)), max_size=8
    ),
    st.floats(0.05, 1),
)
def test_boxes_stay_in_the_picture(rows: list[tuple[float, ...]], sure: float) -> None:
    boxes = [
        (min(a, c), min(b, d), max(a, c) + 1, max(b, d) + 1, score, 0) for a, b, c, d, score in rows
    ]
    empty = np.zeros((0, 4), np.float32)
    sample = Sample(
        picture=Path("a.png"),
        width=96,
        height=64,
        boxes=empty,
        class_ids=np.zeros(0, np.int64),
        ignore=np.zeros(0, np.bool_),
        labelled=False,
    )
    labelled = pseudo.labelled_by(sample, seen(*boxes), pseudo.fixed(1, sure, sure / 2))
    assert (labelled.boxes >= 0).all()
    assert (labelled.boxes[:, 2:] <= (96, 64)).all()
    assert (labelled.boxes[:, 2:] > labelled.boxes[:, :2]).all()
    assert len(labelled.boxes) <= len(boxes)


def test_labels_of_people_stay(make_squares: MakeSquares) -> None:
    known = make_squares(2)
    mixed = Dataset(
        known.labels,
        (known.samples[0], dataclasses.replace(known.samples[1], labelled=False)),
    )
    teacher = Teacher([seen((1, 2, 30, 40, 0.8, 0))])
    done: list[tuple[int, int]] = []
    labelled = pseudo.pseudo_label(
        mixed, teacher, pseudo.fixed(1), progress=lambda *now: done.append(now)
    )
    assert labelled.samples[0] is known.samples[0]
    assert labelled.samples[1].boxes.tolist() == [[1, 2, 30, 40]]
    assert len(teacher.shown) == 1
    assert done == [(1, 2), (2, 2)]


def test_classes_are_the_teachers(make_squares: MakeSquares) -> None:
    known = make_squares(1)
    teacher = Teacher([], labels=("circle", "square"))
    labelled = pseudo.pseudo_label(known, teacher, pseudo.fixed(2))
    assert labelled.labels == ("circle", "square")
    assert labelled.samples[0].class_ids.tolist() == [1]
    with pytest.raises(errors.UnknownClass):
        pseudo.pseudo_label(known, Teacher([], labels=("circle",)), pseudo.fixed(1))


def test_measured_thresholds_part_right_from_wrong(make_squares: MakeSquares) -> None:
    known = make_squares(3)
    right = [tuple(sample.boxes[0].tolist()) for sample in known.samples]
    wrong = (0.0, 0.0, 4.0, 4.0)
    answers = [
        seen((*right[0], 0.9, 0), (*wrong, 0.2, 0)),
        seen((*right[1], 0.8, 0), (*wrong, 0.2, 0)),
        seen((*right[2], 0.5, 0), (*wrong, 0.3, 0)),
    ]
    found = pseudo.measured(Teacher(answers), known)
    assert 0.3 < found.sure[0] <= 0.5
    assert found.unsure[0] <= found.sure[0]
    # A class that nothing shows has the thresholds of all together.
    two = Dataset(("square", "circle"), known.samples)
    both = pseudo.measured(Teacher(answers, labels=two.labels), two)
    assert both.sure == (found.sure[0], found.sure[0])


def test_thresholds_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(errors.UsageError, match="above"):
        pseudo.fixed(1, sure=0.3, unsure=0.5)


def test_known_pictures_are_not_joined_twice(make_squares: MakeSquares) -> None:
    known = make_squares(3)
    joined = join(Dataset(known.labels, known.samples[:2]), known)
    assert [sample.labelled for sample in joined.samples] == [True, True, False]
    assert joined.samples[2].picture == known.samples[2].picture
