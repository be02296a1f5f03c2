from __future__ import annotations

import msgspec
import numpy as np
import pytest

from tartlet_device.detector import Detector
from tartlet_shared import bundle as bundles
from tartlet_shared import errors


@pytest.mark.parametrize("kind", ["litert", "onnx"])
def test_a_bright_thing_is_found_where_it_is(make_bundle, kit, bright_onnx, kind):
    model = kit.model if kind == "litert" else bright_onnx
    folder = make_bundle(model=model, runtime_name=kind)
    detector = Detector.open(bundles.open_bundle(folder), threads=1)
    # The canvas is half the picture's size, so each of these is 2x2 cells of 16 picture pixels.
    found, times = detector.detect(kit.picture((32, 32, 64, 64)))
    assert len(found) >= 1
    centres = (found.xyxy[:, :2] + found.xyxy[:, 2:]) / 2
    assert (centres > 32).all()
    assert (centres < 64).all()
    assert found.score[0] > 0.9
    assert min(times.preprocess, times.inference, times.postprocess) > 0
    assert times.total == pytest.approx(times.preprocess + times.inference + times.postprocess)


def test_a_dark_picture_has_nothing(make_bundle, kit):
    detector = Detector.open(bundles.open_bundle(make_bundle()), threads=1)
    assert len(detector.detect(kit.picture())[0]) == 0


def test_the_threshold_can_be_overridden(make_bundle, kit):
    detector = Detector.open(bundles.open_bundle(make_bundle()), threads=1)
    picture = kit.picture((32, 32, 64, 64))
    few, many = (len(detector.detect(picture, score_threshold=t)[0]) for t in (0.999999, 0.0))
    assert few == 0
    assert many > 10


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 500, 3), (700, 2, 3), (96, 128, 3)])
def test_pictures_of_any_shape_give_boxes_inside_them(make_bundle, shape):
    detector = Detector.open(bundles.open_bundle(make_bundle()), threads=1)
    found, _ = detector.detect(np.full(shape, 250, np.uint8))
    assert len(found) >= 1
    assert (found.xyxy >= 0).all()
    assert (found.xyxy <= [shape[1], shape[0], shape[1], shape[0]]).all()


def test_a_model_that_is_not_what_the_manifest_says_is_refused(make_bundle, change_manifest):
    folder = make_bundle()
    made = bundles.open_bundle(folder).manifest
    wrong = msgspec.structs.replace(
        made.outputs[0],
        affine=msgspec.structs.replace(made.outputs[0].affine, zero_point=1),
    )
    change_manifest(folder, outputs=(wrong, *made.outputs[1:]))
    with pytest.raises(errors.BundleCorrupt, match="outputs"):
        Detector.open(bundles.open_bundle(folder), threads=1)
