"""A model file of unknown making becomes a detector that the device can run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tartlet_device import preprocess
from tartlet_device.detector import Detector
from tartlet_device.preprocess import Picture
from tartlet_device.runtime import Runtime
from tartlet_host.evaluate.predictor import ModelPredictor
from tartlet_host.foreign import heads, recognition
from tartlet_host.foreign.labels import Labels
from tartlet_host.foreign.opening import Size, opened
from tartlet_host.foreign.post_processing import order_of
from tartlet_host.foreign.scaling import Fit, Scale, preprocessing_for
from tartlet_shared import affine
from tartlet_shared.detections import FloatArray
from tartlet_shared.manifest import Preprocessing, Tensor


@dataclass(frozen=True)
class Wishes:
    """What the user says about a model where it cannot be seen from outside.

    Attributes:
        size: width and height, for a model that leaves them open.
        scale, fit, bgr: see `tartlet_host.foreign.scaling`.
        background: class 0 is the background.
        score_threshold: in ``[0, 1]``.
    """

    size: Size | None = None
    scale: Scale = "auto"
    fit: Fit = "auto"
    bgr: bool = False
    background: bool = False
    score_threshold: float = 0.3


@dataclass(frozen=True, eq=False)
class Imported:
    """A recognised model.

    Attributes:
        predictor: runs it as the device will.
        head: what it was recognised as, in words.
        notes: what was assumed, in words, each with the option that changes it.
    """

    predictor: ModelPredictor
    head: str
    notes: tuple[str, ...]


@contextlib.contextmanager
def imported(
    path: Path, labels: Labels, pictures: Sequence[Picture] = (), *, wishes: Wishes = Wishes()
) -> Iterator[Imported]:
    """Open a model and recognise its head, from its tensors and its answers to pictures.

    Args:
        path: a .tflite or .onnx file.
        labels: class names.
        pictures: RGB; a drawn one is looked at as well.
        wishes: what the user says.

    Raises:
        UsageError: no such file, or of another kind.
        ModelError: it does not load, or no known head fits; the text lists its tensors.
    """
    where = str(path)
    with opened(path, wishes.size) as (file, runtime):
        shape = heads.recognise(
            runtime.input, runtime.outputs, labels, background=wishes.background, where=where
        )
        canvas, notes = preprocessing_for(
            runtime.input,
            shape.head,
            scale=wishes.scale,
            fit=wishes.fit,
            bgr=wishes.bgr,
            where=where,
        )
        answers = [
            answer(runtime, canvas, rgb)
            for rgb in (drawn_picture(canvas.width, canvas.height), *pictures)
        ]
        decoding = recognition.complete(
            shape,
            runtime.outputs,
            labels,
            answers,
            order=order_of(file, runtime) if shape.head == "ssd" else None,
            score_threshold=wishes.score_threshold,
            where=where,
        )
        decoding.check(runtime.outputs, (canvas.height, canvas.width), len(labels.names))
        detector = Detector(runtime, canvas, decoding, labels.names)
        predictor = ModelPredictor(path, detector, file)
        yield Imported(predictor, recognition.in_words(decoding), tuple(notes))


def answer(runtime: Runtime, canvas: Preprocessing, rgb: Picture) -> list[FloatArray]:
    """The outputs for a picture, as real numbers."""
    laid, _ = preprocess.letterbox_picture(rgb, canvas)
    outputs = runtime.invoke(preprocess.input_tensor(laid, canvas, runtime.input))
    return [
        np.array(_real(output, tensor))
        for output, tensor in zip(outputs, runtime.outputs, strict=True)
    ]


def drawn_picture(width: int, height: int) -> Picture:
    """A picture with light, colours, edges and grain, always the same, for a model to answer to."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    ramps = np.stack([x / max(1, width - 1), y / max(1, height - 1), 1 - x / max(1, width - 1)], -1)
    grain = np.random.default_rng(0).normal(0, 12, (height, width, 1))
    picture = np.clip(60 + 120 * ramps + grain, 0, 255).astype(np.uint8)
    for number, colour in enumerate(((220, 40, 40), (40, 200, 60), (40, 60, 220), (240, 240, 230))):
        centre = (round(width * (0.2 + 0.2 * number)), round(height * (0.35 + 0.3 * (number % 2))))
        radius = max(2, round(min(width, height) * (0.08 + 0.03 * number)))
        cv2.circle(picture, centre, radius, colour, -1, cv2.LINE_AA)
    return picture


def _real(output: FloatArray, tensor: Tensor) -> FloatArray:
    if tensor.affine is None:
        return output.astype(np.float32)
    return affine.dequantize(output, tensor.affine)
