"""Golden pictures: spread, clear, and the same whichever way a processor rounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tartlet_device.runtime.litert import LiteRtRuntime
from tartlet_host import golden_pictures
from tartlet_host.dataset.sample import Dataset
from tartlet_shared import errors
from tartlet_shared.detections import Detections
from tests.host.bright import dataset, model, picture


def test_golden_pictures_are_spread_and_clear(tmp_path: Path) -> None:
    dark, clear, doubtful = picture(20), picture(235), picture(128)
    data = dataset(tmp_path, dark, clear, doubtful, clear, dark, dark)
    seen: list[tuple[int, int]] = []
    chosen = golden_pictures.choose(
        model(), data, pictures=3, progress=lambda *done: seen.append(done)
    )
    assert len(chosen) == 2  # the last third shows nothing
    for rgb in chosen:
        np.testing.assert_array_equal(rgb, clear)
    assert seen == [(done, 9) for done in range(1, 10)]  # six looked at, three parts chosen from


def test_a_model_sure_of_nothing_has_no_golden_pictures(tmp_path: Path) -> None:
    with pytest.raises(errors.BundleError, match="sure of nothing in 2 pictures"):
        golden_pictures.choose(model(), dataset(tmp_path, picture(20), picture(20)))
    with pytest.raises(errors.DatasetNotFound):
        golden_pictures.choose(model(), Dataset(("bright",), ()))


def test_large_golden_pictures_are_scaled_down(tmp_path: Path) -> None:
    large = cv2.resize(picture(), (2560, 1920), interpolation=cv2.INTER_NEAREST)
    (chosen,) = golden_pictures.choose(model(), dataset(tmp_path, np.asarray(large, np.uint8)))
    assert chosen.shape == (768, 1024, 3)


def test_a_picture_in_which_the_least_noise_moves_a_box_is_not_golden(tmp_path: Path) -> None:
    steady, shaky = picture(235), picture(234)

    class Jumpy:
        """The model, but in one picture its box jumps as soon as a pixel differs."""

        def __init__(self) -> None:
            self.real = model()
            self.thresholds = self.real.thresholds
            self.path, self.model_path = self.real.path, self.real.model_path
            self.runtime = self.real.runtime
            self.detector = self
            self.preprocessing = self.real.detector.preprocessing
            self.decoding, self.labels = self.real.detector.decoding, self.real.labels
            self.predict = self.real.predict

        def detect(self, rgb: Any) -> Any:
            found, times = self.real.detector.detect(rgb)
            near = np.abs(rgb.astype(int) - shaky).max() <= 1
            if near and not np.array_equal(rgb, shaky):
                found = Detections(found.xyxy + 20, found.score, found.class_id)
            return found, times

    data = dataset(tmp_path, shaky, steady)
    (chosen,) = golden_pictures.choose(Jumpy(), data, pictures=1)  # type: ignore[arg-type]
    np.testing.assert_array_equal(chosen, steady)


def test_a_picture_that_other_kernels_see_differently_is_not_golden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best, second = np.maximum(picture(235), picture(235, left=80)), picture(235)
    refused = model().detector.prepare(best).tensor

    class Other(LiteRtRuntime):
        """The reference kernels, but blind for one picture."""

        def invoke(self, tensor: Any) -> list[Any]:
            outputs = super().invoke(tensor)
            blind = np.array_equal(tensor, refused)
            return [np.full_like(each, -128) for each in outputs] if blind else outputs

    data = dataset(tmp_path, best, second)
    (chosen,) = golden_pictures.choose(model(), data, pictures=1)
    np.testing.assert_array_equal(chosen, best)
    monkeypatch.setattr(golden_pictures, "LiteRtRuntime", Other)
    (chosen,) = golden_pictures.choose(model(), data, pictures=1)
    np.testing.assert_array_equal(chosen, second)
