"""Which pictures show that a model sees on a device what it sees here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from tartlet_device import health
from tartlet_device.detector import Detector
from tartlet_device.preprocess import Picture
from tartlet_device.runtime.litert import LiteRtRuntime
from tartlet_host.dataset.pictures import read_picture
from tartlet_host.dataset.sample import Dataset
from tartlet_host.evaluate.predictor import ModelPredictor
from tartlet_host.quantize.calibration import spread
from tartlet_host.quiet import native_output_dropped
from tartlet_shared import errors
from tartlet_shared.detections import Detections
from tartlet_shared.manifest import Expected, Golden

PICTURES = 5
CANDIDATES = 40  # of the data set, looked at to find the golden ones
LONGEST_SIDE = 1024
"""Pixels. Golden pictures are stored lossless; one of 12 megapixels would be 20 MB."""

NEEDED_MARGIN = 2 * health.SCORE_MARGIN
"""A golden picture is good when no score in it is this close to the threshold: processors round
differently, and a detection that comes and goes tests nothing."""

SHAKES = 8
"""How often a golden picture is tried with noise of one grey level."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A picture for the self-test and how well it suits.

    Attributes:
        rgb: the picture.
        clear: the detections in it at the model's score threshold.
        margin: smallest distance of a score from the threshold, over it or under it.
    """

    rgb: Picture
    clear: Detections
    margin: float

    @property
    def rank(self) -> tuple[float, int]:
        """More is better: beyond the margin that is needed, more detections."""
        return min(self.margin, NEEDED_MARGIN), len(self.clear)


def choose(
    predictor: ModelPredictor,
    dataset: Dataset,
    *,
    pictures: int = PICTURES,
    progress: Progress | None = None,
) -> tuple[Picture, ...]:
    """Pictures spread over a data set in which the model sees something beyond doubt.

    The data set is cut into as many parts as pictures are wanted; each part gives the picture with
    the clearest scores in which rounding changes nothing.

    Raises:
        BundleError: the model is sure of nothing in any picture.
        DatasetNotFound: the data set is empty.
        PictureUnreadable: a picture is missing or damaged.
    """
    samples = spread(dataset.samples, max(CANDIDATES, pictures))
    if not samples:
        raise errors.DatasetNotFound("there are no pictures to choose golden ones from")
    report = progress if progress is not None else _silent
    parts = min(pictures, len(samples))
    steps = len(samples) + parts
    looked_at: list[Candidate] = []
    for sample in samples:
        looked_at.append(_look_at(limited(read_picture(sample)), predictor))
        report(len(looked_at), steps)
    reference = _reference(predictor)
    chosen: list[Picture] = []
    for part in range(parts):
        candidates = looked_at[part * len(samples) // parts : (part + 1) * len(samples) // parts]
        for each in sorted(candidates, key=lambda each: each.rank, reverse=True):
            if len(each.clear) and _is_steady(each, predictor, reference):
                chosen.append(each.rgb)
                break
        report(len(samples) + part + 1, steps)
    if not chosen:
        raise errors.BundleError(
            f"the model is sure of nothing in {len(samples)} pictures, so nothing could be tested "
            "on the device",
            where=str(predictor.path),
            hint="train longer, or lower the threshold with --threshold",
        )
    return tuple(chosen)


def limited(rgb: Picture) -> Picture:
    """The picture with no side above `LONGEST_SIDE`."""
    longest = max(rgb.shape[:2])
    if longest <= LONGEST_SIDE:
        return rgb
    scale = LONGEST_SIDE / longest
    size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def expectation(name: str, found: Detections) -> Golden:
    """What a device must find in the picture called ``name``."""
    # Hundredths of a pixel and ten-thousandths of score are far below what rounding changes.
    detections = tuple(
        Expected(
            xyxy=(round(box[0], 2), round(box[1], 2), round(box[2], 2), round(box[3], 2)),
            score=round(score, 4),
            class_id=class_id,
        )
        for box, score, class_id in found
    )
    return Golden(picture=name, detections=detections)


def _look_at(rgb: Picture, predictor: ModelPredictor) -> Candidate:
    found = predictor.predict(rgb)
    threshold = np.array(predictor.thresholds, np.float32)[found.class_id]
    margin = float(np.abs(found.score - threshold).min()) if len(found) else 0.0
    return Candidate(rgb, found[found.score >= threshold], margin)


def _reference(predictor: ModelPredictor) -> Detector | None:
    """The model on TFLite's reference kernels.

    tflite-runtime, the fallback on some devices, rounds as they do.
    """
    if predictor.runtime.name != "litert":
        return None
    with native_output_dropped():
        runtime = LiteRtRuntime(predictor.model_path, threads=1, reference_kernels=True)
    usual = predictor.detector
    return Detector(runtime, usual.preprocessing, usual.decoding, usual.labels)


def _is_steady(candidate: Candidate, predictor: ModelPredictor, reference: Detector | None) -> bool:
    """Whether neither the least noise nor another way of rounding changes the detections.

    Where two boxes of one object have nearly the same score, rounding decides which of them is
    found, and a device would fail for nothing.
    """
    golden = expectation("golden", candidate.clear)

    def same(rgb: Picture, detector: Detector) -> bool:
        found, _ = detector.detect(rgb)
        return not health.compare(golden, found, predictor.thresholds).complaints

    if not all(same(_shaken(candidate.rgb, seed), predictor.detector) for seed in range(SHAKES)):
        return False
    # Last, since these kernels are much slower.
    return reference is None or same(candidate.rgb, reference)


def _shaken(rgb: Picture, seed: int) -> Picture:
    noise = np.random.default_rng(seed).integers(-1, 2, rgb.shape)
    return np.asarray(np.clip(rgb + noise, 0, 255), np.uint8)


def _silent(done: int, total: int) -> None:
    pass
