"""From a picture to detections, for one model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from tartlet_device import preprocess, runtime
from tartlet_device.image import Image, Picture
from tartlet_device.runtime.base import Runtime
from tartlet_shared import decode, errors
from tartlet_shared.bundle import Bundle
from tartlet_shared.detections import Detections
from tartlet_shared.letterbox import Letterbox
from tartlet_shared.manifest import Decoding, Preprocessing

Outputs = Sequence[NDArray[Any]]


class Loading(Protocol):
    """`tartlet_device.runtime.load`, or what does the same."""

    def __call__(self, path: Path, runtime: str, /, *, threads: int | None) -> Runtime: ...


@dataclass(frozen=True)
class StageTimes:
    """Where the time of a detection went, milliseconds."""

    preprocess: float
    inference: float
    postprocess: float

    @property
    def total(self) -> float:
        """All stages together, milliseconds."""
        return self.preprocess + self.inference + self.postprocess


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a model is given.

    Attributes:
        canvas: the picture as it lies on the model's canvas, RGB uint8 ``(height, width, 3)``.
        tensor: the same as the model's input.
        box: where the picture lies on the canvas.
    """

    canvas: Picture
    tensor: NDArray[Any]
    box: Letterbox


class Detector:
    """One model with everything around it. `invoke` is not for two threads at once."""

    def __init__(
        self,
        runtime: Runtime,
        preprocessing: Preprocessing,
        decoding: Decoding,
        labels: tuple[str, ...],
    ) -> None:
        self.runtime = runtime
        self.preprocessing = preprocessing
        self.decoding = decoding
        self.labels = labels

    @classmethod
    def open(
        cls,
        bundle: Bundle,
        *,
        threads: int | None = None,
        load: Loading = runtime.load,
    ) -> Detector:
        """Load the model of a verified bundle.

        Args:
            bundle: verified.
            threads: for inference; by default one per core, at most four.
            load: into this process, or into one of its own.

        Raises:
            RuntimeUnavailable: the runtime is not installed or does not load.
            BundleCorrupt: the model file cannot be loaded, or is not what the manifest describes.
        """
        manifest = bundle.manifest
        loaded = load(bundle.model_path, manifest.runtime, threads=threads)
        for what, stated, actual in (
            ("input", (manifest.input,), (loaded.input,)),
            ("outputs", manifest.outputs, loaded.outputs),
        ):
            if stated != actual:
                raise errors.BundleCorrupt(
                    f"the model's {what} are {actual}, the manifest says {stated}",
                    where=str(bundle.model_path),
                    hint="package the model again",
                )
        return cls(loaded, manifest.preprocessing, manifest.decoding, manifest.labels)

    def detect(
        self, picture: Picture | Image, *, score_threshold: float | None = None
    ) -> tuple[Detections, StageTimes]:
        """Find objects.

        Args:
            picture: RGB, uint8 ``(rows, columns, 3)``; or a camera's.
            score_threshold: overrides the model's own, in ``[0, 1]``.

        Returns:
            Detections in pixels of the picture, best score first, and the times taken.
        """
        start = time.perf_counter()
        prepared = self.prepare(picture)
        ready = time.perf_counter()
        outputs = self.invoke(prepared)
        inferred = time.perf_counter()
        found = self.finish(outputs, prepared.box, score_threshold=score_threshold)
        done = time.perf_counter()
        times = StageTimes(
            preprocess=(ready - start) * 1e3,
            inference=(inferred - ready) * 1e3,
            postprocess=(done - inferred) * 1e3,
        )
        return found, times

    def prepare(self, picture: Picture | Image) -> Prepared:
        """The first step of `detect`: the model's input."""
        canvas, box = preprocess.letterbox_picture(picture, self.preprocessing)
        tensor = preprocess.input_tensor(canvas, self.preprocessing, self.runtime.input)
        return Prepared(canvas, tensor, box)

    def invoke(self, prepared: Prepared) -> Outputs:
        """The second: the model's outputs, valid until the next call."""
        return self.runtime.invoke(prepared.tensor)

    def finish(
        self, outputs: Outputs, box: Letterbox, *, score_threshold: float | None = None
    ) -> Detections:
        """The third: boxes and scores."""
        return decode.decode(
            outputs,
            self.runtime.outputs,
            self.decoding,
            box,
            classes=len(self.labels),
            score_threshold=score_threshold,
        )
