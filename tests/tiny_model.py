"""A tiny real model that finds bright spots, and bundles made of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from tartlet_device import runtime
from tartlet_device.detector import Detector
from tartlet_device.preprocess import Picture
from tartlet_shared import bundle as bundles
from tartlet_shared import manifest
from tartlet_shared.manifest import CellDecoding, Expected, Golden, Level, Manifest, Preprocessing

GOLDEN = Path(__file__).parent / "golden" / "device"
BRIGHT_MODEL = GOLDEN / "bright_int8.tflite"
WIDTH, HEIGHT = 64, 48
PREPROCESSING = Preprocessing(width=WIDTH, height=HEIGHT)
DECODING = CellDecoding(
    levels=(Level(stride=8, scores=0, boxes=1), Level(stride=16, scores=2, boxes=3)),
    score_threshold=0.5,
)


def bright_picture(
    *spots: tuple[int, int, int, int], width: int = 128, height: int = 96
) -> Picture:
    """A dark picture with bright rectangles (left, top, right, bottom)."""
    picture = np.full((height, width, 3), 20, np.uint8)
    for left, top, right, bottom in spots:
        picture[top:bottom, left:right] = 235
    return picture


@dataclass(frozen=True)
class BundleMaker:
    """Makes bundles of the tiny model, each with its own digest."""

    folder: Path

    def __call__(
        self,
        name: str = "bright",
        *,
        model: Path = BRIGHT_MODEL,
        runtime_name: Literal["litert", "onnx"] = "litert",
        change: Callable[[Manifest], Manifest] = lambda made: made,
        spots: tuple[tuple[int, int, int, int], ...] = ((32, 32, 64, 64),),
    ) -> Path:
        folder = self.folder / name
        folder.mkdir()
        file = "model" + model.suffix
        shutil.copy(model, folder / file)
        loaded = runtime.load(folder / file, runtime_name, threads=1)
        detector = Detector(loaded, PREPROCESSING, DECODING, ("bright",))
        picture = bright_picture(*spots)
        cv2.imwrite(str(folder / "golden.png"), picture)
        found, _ = detector.detect(picture)
        expected = tuple(
            Expected(xyxy=box, score=score, class_id=class_id) for box, score, class_id in found
        )
        made = Manifest(
            name=name,
            created="2026-01-01T00:00:00Z",
            runtime=runtime_name,
            model=file,
            labels=("bright",),
            input=loaded.input,
            outputs=loaded.outputs,
            preprocessing=PREPROCESSING,
            decoding=DECODING,
            golden=(Golden(picture="golden.png", detections=expected),),
            files=tuple(bundles.file_entry(folder, each) for each in (file, "golden.png")),
        )
        (folder / manifest.MANIFEST_NAME).write_bytes(manifest.encode(change(made)))
        return folder
