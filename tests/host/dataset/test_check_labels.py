"""Checks of labels: a table of faults, each with the finding that names it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tartlet_host.dataset import check_labels
from tartlet_host.dataset.check_labels import box_table
from tartlet_host.dataset.findings import KEPT, KINDS, Finding, Findings, Place
from tartlet_host.dataset.sample import Dataset, Sample
from tartlet_host.recipe import InputRecipe

CANVAS = InputRecipe(height=256, width=320)
GOOD = (10.0, 10.0, 60.0, 80.0)


def sample(
    *boxes: tuple[float, ...],
    name: str = "a.jpg",
    size: tuple[int, int] = (320, 256),
    classes: tuple[int, ...] | None = None,
    ignore: bool = False,
    labelled: bool = True,
) -> Sample:
    return Sample(
        Path(name),
        *size,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(classes if classes is not None else [0] * len(boxes), np.int64),
        np.full(len(boxes), ignore),
        labelled,
    )


def of(kind: str, findings: list[Finding]) -> list[Finding]:
    return [each for each in findings if each.kind == kind]


def found_in(
    *samples: Sample, part: str = "train", labels: tuple[str, ...] = ("x",)
) -> list[Finding]:
    dataset = Dataset(labels, samples)
    table = box_table(dataset, CANVAS)
    return [
        *check_labels.check_samples(part, dataset),
        *check_labels.check_classes(part, dataset, table),
        *check_labels.check_unlabelled(part, dataset),
        *check_labels.check_canvas(part, dataset, table, CANVAS, 8),
    ]


@pytest.mark.parametrize(
    ("faulty", "kind", "words"),
    [
        (sample((10, 10, 10, 40)), "box-invalid", "empty"),
        (sample((60, 10, 10, 40)), "box-invalid", "inverted"),
        (sample((10, 10, 400, 40)), "box-invalid", "320x256"),
        (sample((-5, 10, 40, 40)), "box-invalid", "-5.0"),
        (sample((float("nan"), 10, 40, 40)), "box-invalid", "nan"),
        (sample(GOOD, classes=(3,)), "unknown-class", "class number 3 of 1"),
        (sample(GOOD, classes=(-1,)), "unknown-class", "class number -1 of 1"),
        (sample(GOOD, (10.2, 10, 60, 80)), "box-doubled", "1 of 2 boxes"),
        (sample(size=(1, 1)), "picture-too-small", "1x1"),
        (sample((0, 0, 2, 2), size=(4, 200)), "picture-too-small", "4x200"),
    ],
)
def test_faults_of_one_picture(faulty: Sample, kind: str, words: str) -> None:
    found = of(kind, found_in(faulty, sample(GOOD, name="b.jpg")))
    assert len(found) == 1
    assert words in found[0].text
    assert found[0].where == "a.jpg"
    assert found[0].hint
    assert all(place == Place("train", 0) for place in found[0].places)


def test_sound_pictures_have_no_findings() -> None:
    samples = [sample(GOOD, (100, 100, 150, 200), name=f"{k}.jpg") for k in range(20)]
    background = sample(name="empty.jpg")
    assert found_in(*samples, background) == []


def test_two_boxes_of_different_classes_may_lie_on_each_other() -> None:
    both = sample(GOOD, GOOD, classes=(0, 1))
    assert not of("box-doubled", found_in(both, labels=("x", "y")))


def test_a_region_to_ignore_is_no_box() -> None:
    assert of("empty", found_in(sample(GOOD, ignore=True)))
    assert not of("box-doubled", found_in(sample(GOOD, GOOD, ignore=True), sample(GOOD, name="b")))


def test_one_picture_listed_twice() -> None:
    (found,) = of("listed-twice", found_in(sample(GOOD), sample(GOOD, name="b"), sample(GOOD)))
    assert found.places == (Place("train", 0), Place("train", 2))
    assert found.level == "error"


@pytest.mark.parametrize("samples", [[], [sample()], [sample(labelled=False)]])
def test_nothing_to_learn_from(samples: list[Sample]) -> None:
    (found,) = of("empty", found_in(*samples))
    assert found.level == "error"


def test_classes_without_and_with_few_boxes() -> None:
    samples = [sample(GOOD, name=f"{k}.jpg") for k in range(50)]
    samples += [sample(GOOD, name=f"rare{k}.jpg", classes=(1,)) for k in range(3)]
    found = found_in(*samples, labels=("x", "rare", "never"))
    (never,) = of("class-never-seen", found)
    assert never.where == "never"
    (rare,) = of("class-rare", found)
    assert "3 boxes in 3 pictures" in rare.text
    assert rare.places == (Place("train", 50), Place("train", 51), Place("train", 52))
    (imbalance,) = of("imbalance", found)
    assert "'x' has 50 boxes, 'rare' 3: 17 times" in imbalance.text


def test_validation_needs_every_class_but_not_many() -> None:
    found = found_in(sample(GOOD), part="validation", labels=("x", "y"))
    assert [each.kind for each in found] == ["class-never-seen"]
    assert "split by classes" in found[0].hint


def test_pictures_without_a_label_file_are_no_background() -> None:
    found = found_in(
        *[sample(GOOD, name=f"{k}") for k in range(20)], sample(name="u", labelled=False)
    )
    (unlabelled,) = of("unlabelled", found)
    assert "1 of 21" in unlabelled.text
    assert unlabelled.places == (Place("train", 20),)


@pytest.mark.parametrize(
    ("side", "size", "small"),
    [
        (9, (320, 256), False),
        (7, (320, 256), True),
        (31, (1280, 1024), True),  # under 8 pixels once scaled to a quarter
        (33, (1280, 1024), False),
    ],
)
def test_size_counts_on_the_canvas(side: int, size: tuple[int, int], small: bool) -> None:
    box = (20.0, 20.0, 20.0 + side, 20.0 + side)
    assert bool(of("box-small", found_in(sample(box, size=size)))) == small


def test_the_canvas_that_is_suggested_is_large_enough() -> None:
    rng = np.random.default_rng(3)
    samples = [
        sample((10, 10, 10 + side, 10 + side), name=f"{k}")
        for k, side in enumerate(rng.uniform(5, 30, 400))
    ]
    dataset = Dataset(("x",), tuple(samples))
    (found,) = check_labels.check_canvas("train", dataset, box_table(dataset, CANVAS), CANVAS, 8)
    words = found.hint.partition("{width = ")[2].partition("}")[0].split(", height = ")
    larger = InputRecipe(width=int(words[0]), height=int(words[1]))
    table = box_table(dataset, larger)
    assert not list(check_labels.check_canvas("train", dataset, table, larger, 8))


def test_a_canvas_of_another_shape() -> None:
    samples = [sample((10, 10, 200, 300), name=f"{k}", size=(480, 640)) for k in range(20)]
    (found,) = of("canvas-wasted", found_in(*samples))
    assert "40% of the canvas" in found.text
    assert "{width = 256, height = 320}" in found.hint


def test_many_findings_of_a_kind_are_counted() -> None:
    findings = Findings()
    for number in range(1000):
        findings.add(Finding("blank", str(number), "", ""))
    findings.add(Finding("box-invalid", "", "", ""))
    assert findings.counts == {"blank": 1000, "box-invalid": 1}
    kept = findings.all()
    assert [each.kind for each in kept] == ["box-invalid"] + ["blank"] * KEPT


def test_errors_come_before_warnings() -> None:
    levels = [kind.level for kind in KINDS.values()]
    assert levels == sorted(levels)
