"""Networks with a layer that int8 cannot hold: it is found, kept float, and the gate holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import pytest
import torch

from tartlet_host.model.detector import Detector
from tartlet_host.quantize import conversion, gate, layer_errors
from tartlet_host.quantize.calibration import Calibration
from tartlet_host.quantize.conversion import ModelFile
from tartlet_host.recipe import InputRecipe, QuantizeRecipe
from tartlet_host.train import checkpoint
from tartlet_shared.errors import ParityFailed
from tartlet_shared.manifest import Preprocessing
from tests.small_network import SMALL, settled

RECIPE = msgspec.structs.replace(
    SMALL,
    input=InputRecipe(64, 64),
    model=msgspec.structs.replace(SMALL.model, strides=(8,)),
)


def network() -> Detector:
    """Untrained, with statistics that let signals through and scores that differ."""
    detector = settled(RECIPE, seed=1)
    with torch.no_grad():
        detector.heads[0].get_parameter("score.weight").normal_(std=0.3)
        detector.heads[0].get_parameter("box.weight").normal_(std=0.1)
        for name in ("score.bias", "box.bias"):
            detector.heads[0].get_parameter(name).zero_()  # signal is what varies
    return detector


def hard_range(detector: Detector) -> tuple[str, ...]:
    """One channel between two layers is 1000 times the others; the second layer takes it back."""
    with torch.no_grad():
        for name in ("neck.lateral.0.norm.weight", "neck.lateral.0.norm.bias"):
            detector.get_parameter(name)[0] *= 1000
        detector.get_parameter("heads.0.shared.depthwise.conv.weight")[0] /= 1000
    return ("heads.0.shared.depthwise", "neck.lateral.0")


def hard_weights(detector: Detector) -> tuple[str, ...]:
    """A weight 1000 times the others, of a channel that is always zero, takes all the integers."""
    with torch.no_grad():
        detector.get_parameter("heads.0.score_tower.pointwise.norm.weight")[0] = 0.0
        detector.get_parameter("heads.0.score_tower.pointwise.norm.bias")[0] = -1.0
        detector.get_parameter("heads.0.score.weight")[:, 0] = 1000.0
    return ("heads.0.score",)


@dataclass(frozen=True)
class Made:
    """A hard network's files."""

    checkpoint: Path
    files: tuple[ModelFile, ...]
    hard: tuple[str, ...]
    pictures: Calibration

    def score(self, path: Path) -> float:
        """In the place of mAP50, which an untrained network has not: 1 less the noise."""
        noise = layer_errors.output_noise(self.files[0].path, path, "onnx", self.pictures)
        return 1.0 - min(1.0, noise)

    def hold(self, quantize: QuantizeRecipe) -> gate.Gated:
        return gate.hold(
            self.files,
            quantize,
            reference=1.0,
            measure=self.score,
            keep_more_float=lambda current: conversion.keep_more_float(
                self.checkpoint, current, calibration=self.pictures, quantize=quantize
            ),
        )


@pytest.fixture(params=["range", "weights"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Made:
    detector = network()
    kind: Literal["range", "weights"] = request.param
    hard = hard_range(detector) if kind == "range" else hard_weights(detector)
    path = tmp_path / "hard.safetensors"
    checkpoint.save(path, detector, RECIPE, metrics={})
    pixels = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), np.uint8)
    pictures = Calibration(pixels, Preprocessing(width=64, height=64))
    files = conversion.convert(path, tmp_path, runtimes=["onnx"], calibration=pictures)
    return Made(path, files, hard, pictures)


@pytest.mark.training
def test_exactly_the_hard_layers_stay_float(made: Made) -> None:
    assert made.score(made.files[1].path) < 0.9
    found = made.hold(QuantizeRecipe(largest_loss=0.05))
    (best,) = found.best
    assert best.precision == "int8-mixed"
    assert set(best.float_layers) == set(made.hard)
    assert found.map50[best.path] > 0.95
    assert best.path.name == "hard-int8-mixed.onnx"


@pytest.mark.training
def test_without_float_layers_the_hard_network_is_refused(made: Made) -> None:
    with pytest.raises(ParityFailed, match=r"hard-int8\.onnx loses [01]\."):
        made.hold(QuantizeRecipe(largest_loss=0.05, float_layers=0))
    assert not made.files[0].path.with_name("hard-int8-mixed.onnx").exists()
