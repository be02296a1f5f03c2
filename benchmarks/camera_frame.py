"""From a camera's buffers to the model's picture: planes against RGB, one thread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np

from benchmarks.row import Row
from tartlet_device.camera.planes import Stream, pixels
from tartlet_device.image import Image, Picture, resize
from tartlet_device.preprocess import letterbox_picture
from tartlet_shared import letterbox
from tartlet_shared.manifest import Preprocessing

GOAL = 2.0
"""The camera scales for us on a Pi. Where it does not, planes must at least not be slower."""
GOAL_UNSCALED = 1.0
_MAIN = (1280, 720)
_CANVAS = Preprocessing(width=320, height=256)
_ROUNDS = 200


def run() -> list[Row]:
    """Two rows; ``ratio`` is the time with RGB over the time with planes, ``goal`` its least."""
    box = letterbox.fit(*_MAIN, _CANVAS.width, _CANVAS.height)
    rgb = _scene(_MAIN)
    twice = (2 * box.width, 2 * box.height)  # the camera's planes of colour have half of it
    planes, small = _planes(rgb), _planes(resize(rgb, twice))
    paths: dict[str, Callable[[], object]] = {
        "rgb": lambda: _prepare(rgb.reshape(-1), Stream("main", "BGR888", _MAIN, _MAIN[0] * 3)),
        "main": lambda: _prepare(planes, Stream("main", "YUV420", _MAIN, _MAIN[0])),
        "lores": lambda: _prepare(small, Stream("lores", "YUV420", twice, twice[0])),
    }
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        times = _medians(paths)
    finally:
        cv2.setNumThreads(threads)
    return [
        _row("the camera's small stream", times["lores"], times["rgb"], GOAL),
        _row("planes of 1280x720", times["main"], times["rgb"], GOAL_UNSCALED),
    ]


def _row(name: str, ours: float, rival: float, goal: float) -> Row:
    return Row(
        name=f"model's picture from {name}, against RGB of 1280x720",
        ours=ours,
        rival=rival,
        ratio=rival / ours,
        goal=goal,
        holds=rival / ours >= goal,
        unit="ms",
    )


def _prepare(buffer: Picture, stream: Stream) -> None:
    """All that happens to a frame until the model can take it: copied, scaled, made RGB."""
    letterbox_picture(Image(_MAIN, pixels(buffer, stream)), _CANVAS)


def _medians(paths: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Milliseconds; the paths take turns, so that what else the machine does hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in paths}
    for _ in range(_ROUNDS):
        for name, path in paths.items():
            started = time.perf_counter()
            path()
            times[name].append((time.perf_counter() - started) * 1e3)
    return {name: statistics.median(each) for name, each in times.items()}


def _scene(size: tuple[int, int]) -> Picture:
    few = np.random.default_rng(0).integers(0, 256, (23, 40, 3), np.uint8)
    return np.asarray(cv2.resize(few, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def _planes(rgb: Picture) -> Picture:
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), np.uint8).reshape(-1)
