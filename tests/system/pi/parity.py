"""How far a Pi's answers are from the laptop's, for one bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tartlet_device.detector import Detector
from tartlet_device.pictures import decode_picture
from tartlet_host.remote.session import open_session
from tartlet_shared.bundle import Bundle, open_bundle
from tartlet_shared.detections import Detections
from tartlet_shared.messages import unpack
from tests.hardware.real_pi import RealPi
from tests.system.pi import outputs
from tests.system.virtual_pi.instance import VirtualPi

_STORE = "/var/lib/tartlet/bundles"


@dataclass(frozen=True)
class Parity:
    """The largest differences over all golden pictures of a bundle.

    Attributes:
        pictures, detections: how many were compared.
        steps: between output tensors, in quantization steps; for a float output, in units of the
            laptop's largest absolute value / 255.
        same_share: share of output values that are equal.
        box_px: between the edges of boxes, pixels of the picture.
        score: between scores.
        unmatched: detections that only one of the two sides has.
    """

    pictures: int
    detections: int
    steps: float
    same_share: float
    box_px: float
    score: float
    unmatched: int


def measure(pi: VirtualPi | RealPi, bundle: Bundle) -> Parity:
    """Compare a Pi, where the bundle serves, with this machine."""
    script = Path(outputs.__file__).read_text()
    command = f"/opt/tartlet/bin/python - {_STORE}/{bundle.digest}"
    there = outputs.read(pi.run(command, stdin=script).stdout)
    here = outputs.compute(bundle.folder)
    assert there.keys() == here.keys()
    differences = [_steps(there[name], here[name]) for name in here]
    boxes, scores, unmatched, count = 0.0, 0.0, 0, 0
    with open_session(pi.device) as session:
        for mine, theirs in _detections(bundle, session.client):
            pairs = list(_pairs(mine, theirs))
            unmatched += len(mine) + len(theirs) - 2 * len(pairs)
            count += len(pairs)
            for box_px, score in pairs:
                boxes, scores = max(boxes, box_px), max(scores, score)
    return Parity(
        pictures=len(bundle.manifest.golden),
        detections=count,
        steps=max(float(each.max()) for each in differences),
        same_share=float(np.mean(np.concatenate([each.ravel() for each in differences]) == 0)),
        box_px=boxes,
        score=scores,
        unmatched=unmatched,
    )


def _steps(there: NDArray[Any], here: NDArray[Any]) -> NDArray[np.float64]:
    difference = np.abs(there.astype(np.float64) - here.astype(np.float64))
    if np.issubdtype(here.dtype, np.integer):
        return difference
    return difference / float(np.abs(here).max() / 255)


def _detections(bundle: Bundle, client: Any) -> Any:
    """For each golden picture what this machine finds, and what the Pi finds."""
    detector = Detector.open(open_bundle(bundle.folder), threads=1)
    for golden in bundle.manifest.golden:
        encoded = (bundle.folder / golden.picture).read_bytes()
        mine, _ = detector.detect(decode_picture(encoded, where=golden.picture))
        theirs = unpack(client.predict(encoded, want_picture=False).detections)
        yield mine, theirs


def _pairs(mine: Detections, theirs: Detections) -> Any:
    """Distances of the detections that belong together: box in pixels, score."""
    left = list(theirs)
    for box, score, class_id in mine:
        same = [each for each in left if each[2] == class_id]
        if not same:
            continue
        nearest = min(same, key=lambda other: _edge_distance(box, other[0]))
        if _edge_distance(box, nearest[0]) < 10:
            left.remove(nearest)
            yield _edge_distance(box, nearest[0]), abs(score - nearest[1])


def _edge_distance(box: tuple[float, ...], other: tuple[float, ...]) -> float:
    return max(abs(a - b) for a, b in zip(box, other, strict=True))
