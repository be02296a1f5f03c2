"""What a Pi's camera gives, frame by frame, in every format. Piped into a Pi's Python.

It prints a list of JSON objects, one for each format and size of photos. The daemon must not run:
the camera has one user.
"""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np

from tartlet_device.camera.picamera import open_picamera
from tartlet_device.config import PicameraSettings
from tartlet_device.image import Image
from tartlet_device.preprocess import Picture, letterbox_picture
from tartlet_shared.manifest import Preprocessing

CANVAS = (320, 256)
ROWS, COLUMNS = 2, 4
_FRAMES = 5
_RATE = 5.0  # an emulated processor must keep up


def patches(picture: Picture) -> list[list[int]]:
    """The colours in the middle of each patch, row by row."""
    height, width = picture.shape[:2]
    middle = picture[
        height // (2 * ROWS) :: height // ROWS, width // (2 * COLUMNS) :: width // COLUMNS
    ]
    found: list[list[int]] = middle[:ROWS, :COLUMNS].reshape(-1, 3).tolist()
    return found


def look(settings: PicameraSettings) -> dict[str, Any]:
    """Some frames of one configuration."""
    camera = open_picamera(settings, CANVAS)
    try:
        frames, ages_ns = [], []
        for _ in range(_FRAMES):
            frames.append(camera.grab(60))
            ages_ns.append(time.monotonic_ns() - frames[-1].monotonic_ns)
        image = camera.retrieve(full=True)
        camera.grab(60)
        small = camera.retrieve(full=False)
    finally:
        camera.close()
    preprocessing = Preprocessing(width=CANVAS[0], height=CANVAS[1])
    expected, _ = letterbox_picture(image.photo(), preprocessing)

    def difference(of: Image) -> tuple[float, int]:
        canvas, _ = letterbox_picture(of, preprocessing)
        distance = np.abs(canvas.astype(int) - expected)
        return float(distance.mean()), int(distance.max())

    return {
        "format": settings.format,
        "photo": image.photo().shape,
        "shown": image.rgb().shape,
        "small": image.small and image.small.size,
        "small_only": small.full is None,
        "patches": [patches(each) for each in (image.photo(), image.rgb(), image.scaled(CANVAS))],
        "difference_full": difference(Image(image.size, image.full)),
        "difference_small": difference(small),
        "numbers": [frame.number for frame in frames],
        "taken_ns": [frame.monotonic_ns for frame in frames],
        "ages_ns": ages_ns,
    }


if __name__ == "__main__":
    print(
        json.dumps(
            [
                look(PicameraSettings(format=each, photo=photo, rate=_RATE))
                for each in ("yuv420", "nv12", "rgb")
                for photo in (None, "full")
            ]
        )
    )
