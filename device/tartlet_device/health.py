"""Does the model see on this device what it saw on the laptop?"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tartlet_device.detector import Detector
from tartlet_device.pictures import decode_picture
from tartlet_shared import errors, nms, push_messages
from tartlet_shared.bundle import Bundle
from tartlet_shared.detections import Detections
from tartlet_shared.manifest import Expected, Golden

LEAST_IOU = 0.8
"""A detection is the expected one if it has its class and the boxes overlap at least so much."""
MOST_SCORE_DIFFERENCE = 0.05
"""Kernels for different processors round differently; so far apart may two scores be."""
SCORE_MARGIN = 0.05
"""A detection this close above the score threshold may be there on one side only."""


@dataclass(frozen=True)
class Agreement:
    """How far the detections in one picture are from the expected ones.

    Attributes:
        matched: pairs of the same object.
        box_difference_px: largest difference of a side in a matched pair, pixels.
        score_difference: largest difference of score in a matched pair.
        complaints: what contradicts the expectation, in words; empty if all is well.
    """

    matched: int
    box_difference_px: float
    score_difference: float
    complaints: tuple[str, ...]


def self_test(detector: Detector, bundle: Bundle) -> push_messages.SelfTest:
    """Run the golden pictures and compare.

    Every expected detection that is clear of the score threshold must be there, with the same box
    and score within the limits above, and nothing else that is clear of it may be.

    Raises:
        SelfTestFailed: the detections differ, or no golden picture expects any: a model that sees
            nothing would agree with that, and int8 exports that see nothing are a known failure.
    """
    goldens = bundle.manifest.golden
    expected = sum(len(golden.detections) for golden in goldens)
    if expected == 0:
        raise errors.SelfTestFailed(
            "no golden picture expects a detection, so the model proves nothing",
            where=bundle.digest[:12],
            hint="package it with pictures in which the float model finds something",
        )
    thresholds = detector.decoding.thresholds(len(detector.labels))
    agreements: list[Agreement] = []
    inference_ms: list[float] = []
    for golden in goldens:
        content = (bundle.folder / golden.picture).read_bytes()
        picture = decode_picture(content, where=golden.picture)
        found, times = detector.detect(picture)
        inference_ms.append(times.inference)
        agreements.append(compare(golden, found, thresholds))
    complaints = [
        f"{golden.picture}: {complaint}"
        for golden, agreement in zip(goldens, agreements, strict=True)
        for complaint in agreement.complaints
    ]
    if complaints:
        raise errors.SelfTestFailed(
            _summary(complaints),
            where=f"{bundle.manifest.name} {bundle.digest[:12]} on {detector.runtime.version}",
            hint="the model that served before still does; compare the candidates with "
            "`tartlet evaluate`, or push the one for the other runtime",
        )
    return push_messages.SelfTest(
        pictures=len(goldens),
        detections=sum(agreement.matched for agreement in agreements),
        box_difference_px=max(agreement.box_difference_px for agreement in agreements),
        score_difference=max(agreement.score_difference for agreement in agreements),
        inference_ms=statistics.median(inference_ms),
    )


def compare(golden: Golden, found: Detections, thresholds: Sequence[float]) -> Agreement:
    """Match the detections in a golden picture to the expected ones, best expected first.

    Args:
        golden: what is expected.
        found: what the device sees.
        thresholds: of the score, for each class.
    """
    clear = [threshold + SCORE_MARGIN for threshold in thresholds]
    free = np.ones(len(found), np.bool_)
    box_differences, score_differences = [0.0], [0.0]
    complaints: list[str] = []
    ious = nms.box_iou(_boxes(golden.detections), found.xyxy)
    for expected, overlap in zip(golden.detections, ious, strict=True):
        fits = free & (found.class_id == expected.class_id) & (overlap >= LEAST_IOU)
        if not fits.any():
            if expected.score >= clear[expected.class_id]:
                complaints.append(
                    f"the object at {_words(expected.xyxy)} with score {expected.score:.2f} "
                    "is not found"
                )
            continue
        match = int(np.argmax(np.where(fits, overlap, -1.0)))
        free[match] = False
        box_differences.append(float(np.abs(found.xyxy[match] - expected.xyxy).max()))
        difference = abs(float(found.score[match]) - expected.score)
        score_differences.append(difference)
        if difference > MOST_SCORE_DIFFERENCE:
            complaints.append(
                f"the object at {_words(expected.xyxy)} has score {found.score[match]:.2f}, "
                f"expected {expected.score:.2f}"
            )
    complaints.extend(
        f"an object at {_words(box)} with score {score:.2f} is not expected"
        for box, score, _ in found[
            free & (found.score > np.array(clear, np.float32)[found.class_id])
        ]
    )
    return Agreement(
        matched=len(box_differences) - 1,
        box_difference_px=max(box_differences),
        score_difference=max(score_differences),
        complaints=tuple(complaints),
    )


def _boxes(detections: Sequence[Expected]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.array([each.xyxy for each in detections], np.float32).reshape(-1, 4)


def _words(xyxy: tuple[float, float, float, float]) -> str:
    return "(" + ", ".join(f"{side:.0f}" for side in xyxy) + ")"


def _summary(complaints: Sequence[str]) -> str:
    more = f" (and {len(complaints) - 3} more)" if len(complaints) > 3 else ""
    return "; ".join(complaints[:3]) + more
