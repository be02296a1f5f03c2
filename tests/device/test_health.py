from __future__ import annotations

import msgspec
import numpy as np
import pytest

from tartlet_device.detector import Detector
from tartlet_device.health import compare, self_test
from tartlet_shared import bundle as bundles
from tartlet_shared import errors
from tartlet_shared.detections import Detections
from tartlet_shared.manifest import Expected, Golden

BOX = (10.0, 10.0, 50.0, 50.0)
FAR = (60.0, 60.0, 90.0, 90.0)
SHIFTED = (12.0, 10.0, 52.0, 50.0)  # IoU 0.905
MOVED = (20.0, 10.0, 60.0, 50.0)  # IoU 0.6


def golden(*expected):
    return Golden(
        picture="p.png",
        detections=tuple(Expected(xyxy=b, score=s, class_id=c) for b, s, c in expected),
    )


def found(*detections):
    if not detections:
        return Detections.empty()
    boxes, scores, class_ids = zip(*detections, strict=True)
    return Detections(
        np.array(boxes, np.float32), np.array(scores, np.float32), np.array(class_ids)
    )


@pytest.mark.parametrize(
    ("expected", "seen", "complaints"),
    [
        ([(BOX, 0.9, 0)], [(BOX, 0.9, 0)], 0),
        ([(BOX, 0.9, 0)], [(SHIFTED, 0.87, 0)], 0),
        ([(BOX, 0.9, 0)], [(MOVED, 0.9, 0)], 2),  # one missing, one too many
        ([(BOX, 0.9, 0)], [(BOX, 0.84, 0)], 1),  # score too far
        ([(BOX, 0.9, 0)], [(BOX, 0.9, 1)], 2),  # another class
        ([(BOX, 0.9, 0)], [], 1),
        ([], [(BOX, 0.9, 0)], 1),
        ([(BOX, 0.54, 0)], [], 0),  # too near to the threshold to insist on
        ([(BOX, 0.55, 0)], [], 1),
        ([], [(BOX, 0.54, 0)], 0),
        ([(BOX, 0.52, 0)], [(BOX, 0.56, 0)], 0),
        ([(BOX, 0.9, 0)], [(BOX, 0.9, 0), (SHIFTED, 0.9, 0)], 1),  # one expected, two seen
        ([(BOX, 0.9, 0), (FAR, 0.8, 0)], [(FAR, 0.8, 0), (BOX, 0.9, 0)], 0),
    ],
)
def test_agreement(expected, seen, complaints):
    agreement = compare(golden(*expected), found(*seen), (0.5, 0.5))
    assert len(agreement.complaints) == complaints, agreement


@pytest.mark.parametrize(
    ("expected", "seen", "complaints"),
    [
        ([(BOX, 0.6, 0)], [], 1),
        ([(BOX, 0.6, 1)], [], 0),  # below what is clear for its class
        ([], [(BOX, 0.6, 0)], 1),
        ([], [(BOX, 0.6, 1)], 0),
        ([], [(BOX, 0.8, 1)], 1),
    ],
)
def test_each_class_has_its_own_threshold(expected, seen, complaints):
    agreement = compare(golden(*expected), found(*seen), (0.5, 0.7))
    assert len(agreement.complaints) == complaints, agreement


def test_agreement_measures_the_largest_differences():
    agreement = compare(
        golden((BOX, 0.9, 0), (FAR, 0.8, 0)), found((SHIFTED, 0.88, 0), (FAR, 0.81, 0)), (0.5,)
    )
    assert agreement.matched == 2
    assert agreement.box_difference_px == pytest.approx(2.0)
    assert agreement.score_difference == pytest.approx(0.02, abs=1e-6)


def test_a_healthy_bundle_passes(make_bundle):
    bundle = bundles.open_bundle(make_bundle())
    result = self_test(Detector.open(bundle, threads=1), bundle)
    assert (result.pictures, result.detections) == (1, len(bundle.manifest.golden[0].detections))
    assert (result.box_difference_px, result.score_difference) == (0.0, pytest.approx(0, abs=1e-6))
    assert result.inference_ms > 0


def test_a_model_that_is_expected_to_see_nothing_is_refused(make_bundle):
    bundle = bundles.open_bundle(make_bundle(spots=()))
    assert bundle.manifest.golden[0].detections == ()
    with pytest.raises(errors.SelfTestFailed, match="proves nothing"):
        self_test(Detector.open(bundle, threads=1), bundle)


def test_a_model_that_sees_something_else_is_refused(make_bundle, change_manifest):
    folder = make_bundle()
    made = bundles.open_bundle(folder).manifest
    moved = tuple(
        msgspec.structs.replace(each, xyxy=(0.0, 0.0, 5.0, 5.0))
        for each in made.golden[0].detections
    )
    change_manifest(folder, golden=(msgspec.structs.replace(made.golden[0], detections=moved),))
    bundle = bundles.open_bundle(folder)
    with pytest.raises(errors.SelfTestFailed) as caught:
        self_test(Detector.open(bundle, threads=1), bundle)
    assert "golden.png" in caught.value.what
    assert "not found" in caught.value.what
    assert "litert" in caught.value.where
