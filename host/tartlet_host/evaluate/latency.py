"""How long models take, measured so that their ratio means something on a busy machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tartlet_device import preprocess
from tartlet_device.preprocess import Picture
from tartlet_host.evaluate.predictor import ModelPredictor

RUNS = 60
WARM_UP = 5
BLOCK = 5
"""Calls of one candidate in a row. The first of a block is not counted: it pays for the caches
that the candidate before it filled with its own weights."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Latency:
    """Milliseconds over a number of runs.

    Attributes:
        p50, p95: median and 95th percentile.
        runs: how many were counted.
    """

    p50: float
    p95: float
    runs: int


def measure(
    calls: Mapping[str, Callable[[], object]],
    *,
    runs: int = RUNS,
    clock: Callable[[], float] = time.perf_counter,
    progress: Progress | None = None,
) -> dict[str, Latency]:
    """Time several candidates in turns.

    A machine gets slower and faster from one second to the next; candidates that take turns see
    the same weather, so their ratio holds where their times do not.

    Args:
        calls: what to time, by name.
        runs: counted calls of each, rounded up to whole blocks.
        clock: in seconds.
        progress: called with rounds done and in all.
    """
    for call in calls.values():
        for _ in range(WARM_UP):
            call()
    rounds = -(-runs // (BLOCK - 1))
    times: dict[str, list[float]] = {name: [] for name in calls}
    for done in range(rounds):
        for name, call in calls.items():
            call()
            for _ in range(BLOCK - 1):
                started = clock()
                call()
                times[name].append((clock() - started) * 1e3)
        if progress is not None:
            progress(done + 1, rounds)
    return {name: _summary(values) for name, values in times.items()}


def inference(predictor: ModelPredictor, rgb: Picture) -> Callable[[], object]:
    """The model alone, on one picture: what runtimes and networks differ in."""
    detector = predictor.detector
    canvas, _ = preprocess.letterbox_picture(rgb, detector.preprocessing)
    tensor = preprocess.input_tensor(canvas, detector.preprocessing, detector.runtime.input)
    return lambda: detector.runtime.invoke(tensor)


def detection(predictor: ModelPredictor, rgb: Picture) -> Callable[[], object]:
    """The whole way from the picture to its boxes, at the model's own score threshold."""
    return lambda: predictor.detector.detect(rgb)


def _summary(values: list[float]) -> Latency:
    p50, p95 = np.percentile(values, [50, 95])
    return Latency(p50=float(p50), p95=float(p95), runs=len(values))
