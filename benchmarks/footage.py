"""Raw footage of a bundle's golden pictures, on its canvas: what a Pi's camera gives the daemon."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from tartlet_shared.bundle import Bundle

_FRAMES = 600
_STILL = 10  # frames that each picture stays
_GONE = 150  # frames with objects, then as many without


def objects(path: Path, bundle: Bundle) -> Path:
    """Its pictures over and over."""
    scaled = _pictures(bundle)
    frames = [scaled[number // _STILL % len(scaled)] for number in range(_FRAMES)]
    return write_raw(path, frames)


def coming_and_going(path: Path, bundle: Bundle) -> Path:
    """Its pictures, and grey between them, so that events begin and end."""
    scaled = _pictures(bundle)
    grey = np.full_like(scaled[0], 114)
    frames = [
        grey if number // _GONE % 2 else scaled[number // (2 * _GONE) % len(scaled)]
        for number in range(_FRAMES)
    ]
    return write_raw(path, frames)


def write_raw(path: Path, frames: list[np.ndarray]) -> Path:
    """A video that costs next to nothing to decode; pictures are BGR, all of one even size."""
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"I420"), 30.0, (width, height))
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


def _pictures(bundle: Bundle) -> list[np.ndarray]:
    canvas = bundle.manifest.preprocessing
    read = (cv2.imread(str(bundle.folder / each.picture)) for each in bundle.manifest.golden)
    return [cv2.resize(each, (canvas.width, canvas.height)) for each in read if each is not None]
