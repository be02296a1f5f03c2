"""How long a network takes against the one it was pruned from, measured where it will run.

Time needs no trained weights, so a plan can be timed before the training that makes it good.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tartlet_device import runtime as runtimes
from tartlet_host.evaluate import latency
from tartlet_host.model.detector import Detector
from tartlet_host.quantize import conversion
from tartlet_host.quiet import native_output_dropped
from tartlet_host.recipe import Recipe
from tartlet_host.train import checkpoint

logger = logging.getLogger(__name__)

RUNS = 120  # of each; a laptop does other things meanwhile


@dataclass(frozen=True)
class Timing:
    """Median milliseconds of one inference, float, one thread, both taken in turns.

    Attributes:
        runtime: "litert" or "onnx".
        before, after: of the parent and of the pruned network.
    """

    runtime: str
    before: float
    after: float

    @property
    def share(self) -> float:
        """Part of the parent's time that is left."""
        return self.after / self.before


Timer = Callable[[Detector, Recipe], Timing]
"""Times a network on its recipe's canvas against the parent."""


@contextlib.contextmanager
def timer_against(parent: Detector, recipe: Recipe) -> Iterator[Timer]:
    """A timer in the first runtime that this machine can convert for.

    The parent is converted once, when the first network is timed; a conversion takes some ten
    seconds.

    Raises:
        ConversionFailed: see `tartlet_host.quantize.conversion.convert`; raised by the timer.
    """
    runtime = conversion.default_runtimes()[0]
    with tempfile.TemporaryDirectory(prefix="tartlet-timing-") as folder:
        rival: list[Callable[[], object]] = []

        def time(network: Detector, its_recipe: Recipe) -> Timing:
            if not rival:
                rival.append(_inference(parent, recipe, Path(folder) / "parent", runtime))
            ours = _inference(network, its_recipe, Path(folder) / "pruned", runtime)
            times = latency.measure({"before": rival[0], "after": ours}, runs=RUNS)
            timing = Timing(runtime, times["before"].p50, times["after"].p50)
            logger.info("%s: %.2f ms of %.2f ms", runtime, timing.after, timing.before)
            return timing

        yield time


def _inference(
    network: Detector, recipe: Recipe, folder: Path, runtime: conversion.RuntimeName
) -> Callable[[], object]:
    """One inference of the network's float conversion."""
    path = folder / "network.safetensors"
    checkpoint.save(path, network, recipe, metrics={})
    made = conversion.convert(path, folder, runtimes=[runtime], calibration=None)
    with native_output_dropped():
        loaded = runtimes.load(made[0].path, runtime, threads=1)
    tensor = np.zeros(loaded.input.shape, np.float32)
    return lambda: loaded.invoke(tensor)
