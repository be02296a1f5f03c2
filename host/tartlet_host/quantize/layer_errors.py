"""Where a quantized model loses what the float one knows: signal against noise, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tartlet_host.quantize import graph
from tartlet_host.quantize.calibration import Calibration
from tartlet_host.quantize.graph import Layer

NONE = 99.0
"""Decibels where there is no noise to speak of."""


class LayerError(msgspec.Struct, frozen=True):
    """How well a layer's output survived, in decibels; 6 more are one more bit.

    Attributes:
        name, kind: of the layer.
        operators: what the runtime's quantizer calls it.
        signal_to_noise: of the output, with all the noise that came in. Noise is the difference
            from the float model.
        own: the same with only the noise that this layer added to the worst of its inputs.
    """

    name: str
    kind: str
    operators: tuple[str, ...]
    signal_to_noise: float
    own: float


def measure(
    float_path: Path, other_path: Path, runtime: str, calibration: Calibration
) -> tuple[LayerError, ...]:
    """Compare a quantized model file with its float parent on pictures, in the order layers run."""
    layers = graph.layers(float_path, runtime)
    noise = noise_to_signal(
        graph.activations(float_path, runtime, calibration),
        graph.activations(other_path, runtime, calibration),
    )
    return errors_of(layers, noise)


def noise_to_signal(
    expected: Iterable[Mapping[str, NDArray[Any]]], found: Iterable[Mapping[str, NDArray[Any]]]
) -> dict[str, float]:
    """Power of the difference over the power of the expected, for each tensor that both have."""
    signal: dict[str, float] = {}
    noise: dict[str, float] = {}
    for wanted, given in zip(expected, found, strict=True):
        for name in wanted.keys() & given.keys():
            values = wanted[name].astype(np.float64)
            signal[name] = signal.get(name, 0.0) + float(np.square(values).sum())
            difference = float(np.square(values - given[name]).sum())
            noise[name] = noise.get(name, 0.0) + difference
    return {name: noise[name] / signal[name] if signal[name] else 0.0 for name in signal}


def errors_of(layers: Sequence[Layer], noise: Mapping[str, float]) -> tuple[LayerError, ...]:
    """The report, from what `noise_to_signal` found.

    Noise that comes in goes through a layer about in step with the signal, so what is more behind
    the layer than before it is the layer's own.
    """
    report = []
    for layer in layers:
        if layer.output not in noise:
            continue
        before = max((noise.get(name, 0.0) for name in layer.inputs), default=0.0)
        after = noise[layer.output]
        report.append(
            LayerError(
                layer.name,
                layer.kind,
                layer.operators,
                round(decibels(after), 1),
                round(decibels(after - before), 1),
            )
        )
    return tuple(report)


def output_noise(
    float_path: Path, other_path: Path, runtime: str, calibration: Calibration
) -> float:
    """Noise over signal at the model's outputs, the mean over them."""
    layers = graph.layers(float_path, runtime)
    read = {name for layer in layers for name in layer.inputs}
    ends = {layer.output for layer in layers} - read
    pairs = [
        [{name: values for name, values in each.items() if name in ends} for each in run]
        for run in (
            graph.activations(float_path, runtime, calibration),
            graph.activations(other_path, runtime, calibration),
        )
    ]
    return float(np.mean(list(noise_to_signal(*pairs).values())))


def decibels(noise_to_signal: float) -> float:
    """Signal to noise on the scale that people read; at most `NONE`."""
    if noise_to_signal <= 10 ** (-NONE / 10):
        return NONE
    return -10 * math.log10(noise_to_signal)
