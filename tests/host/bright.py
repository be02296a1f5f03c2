"""A real int8 model that finds bright squares, pictures of some, and data sets of those."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from tartlet_host.dataset.sample import Dataset, Sample
from tartlet_host.evaluate.predictor import ModelPredictor, open_predictor
from tests.tiny_model import BRIGHT_MODEL as BRIGHT


def picture(value: int = 235, *, left: int = 32) -> np.ndarray:
    rgb = np.full((96, 128, 3), 20, np.uint8)
    rgb[32:64, left : left + 32] = value
    return rgb


def model(threshold: float = 0.5) -> ModelPredictor:
    return open_predictor(BRIGHT, labels=("bright",), score_threshold=threshold)


def dataset(folder: Path, *pictures: np.ndarray) -> Dataset:
    samples = []
    for number, rgb in enumerate(pictures):
        path = folder / f"{number}.png"
        assert cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
        samples.append(
            Sample(
                path,
                rgb.shape[1],
                rgb.shape[0],
                np.array([[32, 32, 64, 64]], np.float32),
                np.zeros(1, np.int64),
                np.zeros(1, np.bool_),
            )
        )
    return Dataset(("bright",), tuple(samples))
