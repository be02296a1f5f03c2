"""One way to run a checkpoint, a bundle or a bare model file, for everything that measures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np

from tartlet_device import preprocess
from tartlet_device import runtime as runtimes
from tartlet_device.detector import Detector
from tartlet_device.preprocess import Picture
from tartlet_device.runtime import Runtime
from tartlet_host.quantize import description
from tartlet_host.quiet import native_output_dropped
from tartlet_shared import affine, bundle, errors
from tartlet_shared.detections import Detections, FloatArray
from tartlet_shared.manifest import MANIFEST_NAME, Decoding, Preprocessing

EVALUATION_THRESHOLD = 0.01
"""Average precision looks at the whole curve, so nearly everything found must come in."""

Threshold = float | tuple[float, ...]

RUNTIME_OF_SUFFIX = {".tflite": "litert", ".onnx": "onnx", ".safetensors": "torch"}


class Predictor(Protocol):
    """Something that finds objects.

    Attributes:
        labels: class names by class id.
        score_threshold: what its user would see, in ``[0, 1]``.
    """

    @property
    def labels(self) -> tuple[str, ...]: ...

    @property
    def score_threshold(self) -> float: ...

    def predict(self, rgb: Picture) -> Detections:
        """Everything found in uint8 ``(rows, columns, 3)`` down to `EVALUATION_THRESHOLD`."""
        ...


@dataclass(frozen=True, eq=False)
class ModelPredictor:
    """A model file or checkpoint behind the detector that the Pi runs.

    Attributes:
        path: what was opened.
        detector: from pictures to detections.
        model_path: the file with the weights, whose size counts.
    """

    path: Path
    detector: Detector
    model_path: Path

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names."""
        return self.detector.labels

    @property
    def score_threshold(self) -> float:
        """The model's own."""
        return self.detector.decoding.score_threshold

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The model's own for each class."""
        return self.detector.decoding.thresholds(len(self.labels))

    @property
    def runtime(self) -> Runtime:
        """What runs the model: "litert", "onnx" or "torch"."""
        return self.detector.runtime

    @property
    def size(self) -> int:
        """Bytes of the model file."""
        return self.model_path.stat().st_size

    def predict(self, rgb: Picture) -> Detections:
        """See the protocol."""
        return self.detector.detect(rgb, score_threshold=EVALUATION_THRESHOLD)[0]

    def raw(self, rgb: Picture) -> list[FloatArray]:
        """The model's outputs as real numbers, float32, in the model's order."""
        canvas, _ = preprocess.letterbox_picture(rgb, self.detector.preprocessing)
        tensor = preprocess.input_tensor(canvas, self.detector.preprocessing, self.runtime.input)
        outputs = self.runtime.invoke(tensor)
        return [
            output.astype(np.float32)
            if described.affine is None
            else affine.dequantize(output, described.affine)
            for output, described in zip(outputs, self.runtime.outputs, strict=True)
        ]


def open_predictor(
    path: Path,
    *,
    labels: tuple[str, ...] | None = None,
    score_threshold: Threshold | None = None,
    threads: int | None = 1,
) -> ModelPredictor:
    """Open a checkpoint (.safetensors), a bundle's folder or a model file (.tflite, .onnx).

    Args:
        path: what to open.
        labels: class names for a bare model file, which has none inside; a checkpoint and a bundle
            bring their own.
        score_threshold: replaces the model's own; one for all classes, or one for each.
        threads: for inference.

    Raises:
        UsageError: the path is none of these, or a bare model file comes without labels.
        CheckpointCorrupt, BundleCorrupt: the file is damaged.
        ModelError: the model is not a detector for these labels.
        RuntimeUnavailable: what runs the model is not installed.
    """
    if path.is_dir() or path.name == MANIFEST_NAME:
        return _open_bundle(path, score_threshold, threads)
    kind = RUNTIME_OF_SUFFIX.get(path.suffix)
    if kind is None:
        raise errors.UsageError(
            "neither a checkpoint (.safetensors), a model (.tflite, .onnx) nor a bundle's folder",
            where=str(path),
        )
    if kind == "torch":
        return _open_checkpoint(path, score_threshold, threads)
    if labels is None:
        raise errors.UsageError("a bare model file needs labels", where=str(path))
    with native_output_dropped():
        loaded = runtimes.load(path, kind, threads=threads)
    canvas = description.preprocessing_of(loaded.input, where=str(path))
    return _predictor(path, path, loaded, canvas, labels, score_threshold)


def _open_bundle(
    path: Path, score_threshold: Threshold | None, threads: int | None
) -> ModelPredictor:
    opened = bundle.open_bundle(path if path.is_dir() else path.parent)
    with native_output_dropped():
        detector = Detector.open(opened, threads=threads)
    detector.decoding = _with_threshold(detector.decoding, score_threshold)
    return ModelPredictor(path, detector, opened.model_path)


def _open_checkpoint(
    path: Path, score_threshold: Threshold | None, threads: int | None
) -> ModelPredictor:
    # torch takes seconds to import, and a model file is evaluated without it.
    from tartlet_host.evaluate.torch_runtime import TorchRuntime
    from tartlet_host.train import checkpoint

    loaded = checkpoint.load(path)
    canvas = description.preprocessing(loaded.recipe)
    runtime = TorchRuntime(loaded.detector, canvas, threads=threads)
    return _predictor(path, path, runtime, canvas, loaded.recipe.labels, score_threshold)


def _predictor(
    path: Path,
    model_path: Path,
    runtime: Runtime,
    canvas: Preprocessing,
    labels: tuple[str, ...],
    score_threshold: Threshold | None,
) -> ModelPredictor:
    own = description.decoding_of(canvas, runtime.outputs, labels, where=str(path))
    decoding = _with_threshold(own, score_threshold)
    return ModelPredictor(path, Detector(runtime, canvas, decoding, labels), model_path)


def _with_threshold(decoding: Decoding, threshold: Threshold | None) -> Decoding:
    if threshold is None:
        return decoding
    each = threshold if isinstance(threshold, tuple) else (threshold,)
    return msgspec.structs.replace(
        decoding,
        score_threshold=min(each),
        class_thresholds=each if len(set(each)) > 1 else (),
    )
