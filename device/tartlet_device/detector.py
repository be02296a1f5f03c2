"""From a picture to detections, for one model."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tartlet_device import preprocess, runtime
from tartlet_device.image import Image, Picture
from tartlet_device.runtime.base import Runtime
from tartlet_shared import decode, errors
from tartlet_shared.bundle import Bundle
from tartlet_shared.detections import Detections
from tartlet_shared.manifest import Decoding, Preprocessing


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


class Detector:
    """One model with everything around it. Not to be used by two threads at once."""

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
    def open(cls, bundle: Bundle, *, threads: int | None = None) -> Detector:
        """Load the model of a verified bundle.

        Raises:
            RuntimeUnavailable: the runtime is not installed or does not load.
            BundleCorrupt: the model file cannot be loaded, or is not what the manifest describes.
        """
        manifest = bundle.manifest
        loaded = runtime.load(bundle.model_path, manifest.runtime, threads=threads)
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
        canvas, box = preprocess.letterbox_picture(picture, self.preprocessing)
        tensor = preprocess.input_tensor(canvas, self.preprocessing, self.runtime.input)
        prepared = time.perf_counter()
        outputs = self.runtime.invoke(tensor)
        inferred = time.perf_counter()
        found = decode.decode(
            outputs,
            self.runtime.outputs,
            self.decoding,
            box,
            classes=len(self.labels),
            score_threshold=score_threshold,
        )
        done = time.perf_counter()
        times = StageTimes(
            preprocess=(prepared - start) * 1e3,
            inference=(inferred - prepared) * 1e3,
            postprocess=(done - inferred) * 1e3,
        )
        return found, times
