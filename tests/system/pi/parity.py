"""How far a Pi's answers are from the laptop's, for one bundle.

ai-edge-litert rounds in the same way on every processor. tflite-runtime does not
run int8 through XNNPACK; its kernels follow TFLite's reference kernels, which round after every
layer in another way, so output tensors are compared with those.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tartlet_device import health
from tartlet_device.detector import Detector
from tartlet_device.pictures import decode_picture
from tartlet_device.runtime import Runtime, load
from tartlet_device.runtime.litert import LiteRtRuntime
from tartlet_host.remote.session import open_session
from tartlet_shared.bundle import Bundle, open_bundle
from tartlet_shared.detections import Detections
from tartlet_shared.picture_messages import unpack
from tests.hardware.real_pi import RealPi
from tests.system.pi import outputs
from tests.system.virtual_pi.instance import VirtualPi

_STORE = "/var/lib/tartlet/bundles"
_Found = tuple[tuple[float, float, float, float], float, int]  # box, score, class


@dataclass(frozen=True)
class Parity:
    """The largest differences over all golden pictures of a bundle.

    Attributes:
        pictures, detections: how many were compared.
        steps: between output tensors, in quantization steps.
        same_share: share of output values that are equal.
        box_px: between the edges of boxes, pixels of the picture.
        score: between scores.
        close: share of the detections within 1 pixel and 0.02.
        unmatched: detections that only one of the two sides has, clear of the score threshold.
        faint: the same, so close to the threshold that rounding decides.
    """

    pictures: int
    detections: int
    steps: float
    same_share: float
    box_px: float
    score: float
    close: float
    unmatched: int
    faint: int


def measure(pi: VirtualPi | RealPi, bundle: Bundle, *, reference_kernels: bool) -> Parity:
    """Compare a Pi, where the bundle serves, with this machine.

    Args:
        pi: the Pi.
        bundle: the bundle.
        reference_kernels: compare its output tensors with those of TFLite's reference kernels;
            detections are compared with those of the default ones all the same.
    """
    script = Path(outputs.__file__).read_text()
    command = f"/opt/tartlet/bin/python - {_STORE}/{bundle.digest}"
    there = outputs.read(pi.run(command, stdin=script).stdout)
    here = outputs.compute(bundle.folder, _on_reference_kernels if reference_kernels else load)
    assert there.keys() == here.keys()
    differences = [_steps(there[name], here[name]) for name in here]
    pairs: list[tuple[float, float]] = []
    single: list[float] = []  # how far the others are above the threshold
    thresholds = bundle.manifest.decoding.thresholds(len(bundle.manifest.labels))
    with open_session(pi.device) as session:
        for mine, theirs in _detections(bundle, session.client):
            found, others = _matched(mine, theirs)
            pairs += found
            single += [score - thresholds[class_id] for _, score, class_id in others]
    return Parity(
        pictures=len(bundle.manifest.golden),
        detections=len(pairs),
        steps=max(float(each.max()) for each in differences),
        same_share=float(np.mean(np.concatenate([each.ravel() for each in differences]) == 0)),
        box_px=max(box for box, _ in pairs),
        score=max(score for _, score in pairs),
        close=sum(box <= 1 and score <= 0.02 for box, score in pairs) / len(pairs),
        unmatched=sum(above >= health.SCORE_MARGIN for above in single),
        faint=sum(above < health.SCORE_MARGIN for above in single),
    )


def _on_reference_kernels(path: Path, runtime: str, /, *, threads: int | None) -> Runtime:
    if runtime != "litert":
        return load(path, runtime, threads=threads)
    return LiteRtRuntime(path, threads=threads, reference_kernels=True)


def _steps(there: NDArray[Any], here: NDArray[Any]) -> NDArray[np.float64]:
    difference = np.abs(there.astype(np.float64) - here.astype(np.float64))
    if np.issubdtype(here.dtype, np.integer):
        return difference
    # Float, but only as many values as the integers behind them.
    step = float(np.diff(np.unique(here).astype(np.float64)).min())
    return np.round(difference / step, 3)


def _detections(bundle: Bundle, client: Any) -> Any:
    """For each golden picture what this machine finds, and what the Pi finds."""
    detector = Detector.open(open_bundle(bundle.folder), threads=1)
    for golden in bundle.manifest.golden:
        encoded = (bundle.folder / golden.picture).read_bytes()
        mine, _ = detector.detect(decode_picture(encoded, where=golden.picture))
        theirs = unpack(client.predict(encoded, want_picture=False).detections)
        yield mine, theirs


def _matched(
    mine: Detections, theirs: Detections
) -> tuple[list[tuple[float, float]], list[_Found]]:
    """Distances of the detections that belong together, box in pixels and score; and the others."""
    pairs, alone, left = [], [], list(theirs)
    for each in mine:
        box, score, class_id = each
        same = [other for other in left if other[2] == class_id]
        nearest = min(same, key=lambda other: _edge_distance(box, other[0]), default=None)
        if nearest is None or _edge_distance(box, nearest[0]) >= 10:
            alone.append(each)
            continue
        left.remove(nearest)
        pairs.append((_edge_distance(box, nearest[0]), abs(score - nearest[1])))
    return pairs, alone + left


def _edge_distance(box: tuple[float, ...], other: tuple[float, ...]) -> float:
    return max(abs(a - b) for a, b in zip(box, other, strict=True))
