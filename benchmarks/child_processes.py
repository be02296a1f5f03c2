"""What processes of their own cost: the camera's a copy of each frame, the model's a wake-up."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.models import litert_bundle
from benchmarks.row import Row
from tartlet_device import runtime
from tartlet_device.benchmark_child import noise
from tartlet_device.camera import frame_memory
from tartlet_device.image import Image, Size, YuvPixels
from tartlet_device.runtime.base import Runtime
from tartlet_device.runtime.process import ProcessRuntime
from tartlet_shared.bundle import Bundle

GOAL_RATE = 0.95
GOAL_SHARE = 0.1
"""Of one core, at 30 frames of 1280x720 a second, or one photo of twelve megapixels."""
_ROUNDS, _BLOCK, _COPIES = 30, 20, 60


def run() -> list[Row]:
    """Three rows; each states its goal for ``ratio``."""
    with tempfile.TemporaryDirectory() as folder:
        rate = _rate(litert_bundle(Path(folder)))
    return [_copy((1280, 720), rate=30), _copy((4056, 3040), rate=1), rate]


def _copy(size: Size, *, rate: float) -> Row:
    """Into the memory that the daemon shares, and out of it; the rival copies within a process."""
    width, height = size
    planes = np.random.default_rng(0).integers(0, 256, (height * 3 // 2, width), np.uint8)

    def through() -> None:
        frame, descriptor = frame_memory.write(Image(size, YuvPixels(planes, "YUV420")))
        image = frame_memory.read(frame, descriptor)
        os.close(descriptor)
        assert image.full is not None

    ours, rival = _median_ms(through), _median_ms(planes.copy)
    share = ours / 1e3 * rate
    return Row(
        name=f"a frame of {width}x{height} YUV 4:2:0 to the daemon; share of a core at {rate:g}/s",
        ours=ours,
        rival=rival,
        ratio=share,
        goal=GOAL_SHARE,
        holds=share <= GOAL_SHARE,
        unit="ms",
    )


def _median_ms(work: Callable[[], object]) -> float:
    times = []
    for _ in range(_COPIES):
        started = time.perf_counter()
        work()
        times.append((time.perf_counter() - started) * 1e3)
    return statistics.median(times)


def _rate(served: Bundle) -> Row:
    """Inferences a second, with the process between and without, in turns."""
    name = served.manifest.runtime
    here = runtime.load(served.model_path, name, threads=1)
    there = ProcessRuntime(served.model_path, name, threads=1)
    tensor = noise(here.input)
    ratios, rates = [], []
    for _ in range(_ROUNDS):
        bare, ours = _block_s(here, tensor), _block_s(there, tensor)
        ratios.append(bare / ours)
        rates.append((_BLOCK / ours, _BLOCK / bare))
    there.close()
    ours, bare = (statistics.median(each) for each in zip(*rates, strict=True))
    ratio = statistics.median(ratios)
    return Row(
        name=f"inferences a second in a process of its own, against here ({name}, 1 thread)",
        ours=ours,
        rival=bare,
        ratio=ratio,
        goal=GOAL_RATE,
        holds=ratio >= GOAL_RATE,
        unit="/s",
    )


def _block_s(model: Runtime, tensor: NDArray[Any]) -> float:
    model.invoke(tensor)
    started = time.perf_counter()
    for _ in range(_BLOCK):
        model.invoke(tensor)
    return time.perf_counter() - started
