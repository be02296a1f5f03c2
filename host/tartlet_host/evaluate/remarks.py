"""What stands out in an evaluation, in sentences that say what to do about it."""

from __future__ import annotations

from collections.abc import Iterator

from tartlet_host.evaluate.evaluation import Evaluation

NOTABLE = 0.15
"""Average precision so far below the mean stands out."""
SHARE = 0.1
"""Part of the objects that a remark must be about, or of a class that must be confused."""
GAIN = 0.01
"""F1 that another score threshold must bring."""
FEW = 20
"""Boxes of a class below which a figure says little."""


def remarks(evaluation: Evaluation) -> tuple[str, ...]:
    """The most useful first; empty where nothing stands out."""
    return tuple(
        remark
        for part in (_threshold, _confusions, _sizes, _classes, _places, _false_alarms)
        for remark in part(evaluation)
    )


def _threshold(evaluation: Evaluation) -> Iterator[str]:
    now, best = evaluation.metrics.at_threshold, evaluation.metrics.best
    if best.f1 >= now.f1 + GAIN:
        yield (
            f"At a score of {now.threshold:.2f} F1 is {now.f1:.3f}; at {best.threshold:.2f} it "
            f"would be {best.f1:.3f}. If these pictures are validation data, `tartlet package "
            "--validation` sets that threshold; test data must not decide it."
        )


def _confusions(evaluation: Evaluation) -> Iterator[str]:
    confusion = evaluation.confusion
    classes = len(confusion.labels)
    rows = [
        (int(confusion.counts[there, seen]), there, seen)
        for there in range(classes)
        for seen in range(classes)
        if there != seen
    ]
    for count, there, seen in sorted(rows, reverse=True)[:3]:
        objects = int(confusion.counts[there].sum())
        if count >= 2 and count >= SHARE * objects:
            yield (
                f"{confusion.labels[there]} is taken for {confusion.labels[seen]} {count} times in "
                f"{objects}: are the labels of these two right, and can they be told apart at the "
                "size of the model's input?"
            )


def _sizes(evaluation: Evaluation) -> Iterator[str]:
    total = sum(each.boxes for each in evaluation.canvas_sizes)
    bands = [each for each in evaluation.canvas_sizes if each.boxes >= max(SHARE * total, FEW)]
    if len(bands) < 2:
        return
    weakest = min(bands, key=lambda each: each.ap50)
    if weakest.ap50 > evaluation.metrics.map50 - NOTABLE:
        return
    small = weakest.band.high <= max(each.band.low for each in bands)
    advice = (
        "a larger input or a closer camera would help most"
        if small
        else "more training pictures with objects of this size would help most"
    )
    yield (
        f"Objects of {weakest.band.name} pixels on the model's input ({weakest.boxes} of {total}) "
        f"have an AP50 of {weakest.ap50:.2f}: {advice}."
    )


def _classes(evaluation: Evaluation) -> Iterator[str]:
    present = [each for each in evaluation.metrics.classes if each.boxes]
    if len(present) > 1:
        weakest = min(present, key=lambda each: each.ap50)
        if weakest.ap50 <= evaluation.metrics.map50 - NOTABLE:
            yield (
                f"{weakest.label} is the weakest class, with an AP50 of {weakest.ap50:.2f}: look "
                "at its pictures below, and give training more of them."
            )
    few = [each for each in present if each.boxes < FEW]
    if few:
        names = ", ".join(f"{each.label} ({each.boxes})" for each in few[:6])
        yield (
            f"With fewer than {FEW} boxes a figure says little: {names}. Label more test pictures "
            "of these before trusting it."
        )
    absent = [each.label for each in evaluation.metrics.classes if not each.boxes]
    if absent:
        yield f"Nothing here says how well {', '.join(absent[:6])} would be found: there is none."


def _places(evaluation: Evaluation) -> Iterator[str]:
    metrics = evaluation.metrics
    if metrics.map30 >= metrics.map50 + NOTABLE:
        yield (
            f"Many objects are found but not well framed: mAP is {metrics.map30:.2f} at an overlap "
            f"of 0.3 and {metrics.map50:.2f} at 0.5. Are the boxes of the labels drawn tightly?"
        )


def _false_alarms(evaluation: Evaluation) -> Iterator[str]:
    metrics = evaluation.metrics
    alarms = int(evaluation.confusion.counts[-1].sum())
    missed = int(evaluation.confusion.counts[:, -1].sum())
    if alarms >= max(2 * missed, SHARE * metrics.boxes):
        yield (
            f"{alarms} false alarms against {missed} missed objects: raise the threshold, or train "
            "with pictures of the background alone."
        )
    elif missed >= max(2 * alarms, SHARE * metrics.boxes):
        yield (
            f"{missed} missed objects against {alarms} false alarms: lower the threshold if false "
            "alarms do little harm."
        )
