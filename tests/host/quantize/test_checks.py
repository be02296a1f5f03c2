"""Models that would see nothing, or see it in the wrong place, do not get through."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tartlet_host.quantize import checks
from tartlet_shared.affine import Affine
from tartlet_shared.errors import ConversionFailed
from tartlet_shared.manifest import Preprocessing, Tensor

BRIGHT = Path(__file__).parents[2] / "golden" / "device" / "bright_int8.tflite"
CANVAS = Preprocessing(width=64, height=48)
INPUT = Affine(1 / 128, -1)


@dataclass(frozen=True)
class FakeRuntime:
    """A runtime with tensors and outputs as told."""

    input: Tensor
    outputs: tuple[Tensor, ...]
    gives: list[Any] = field(default_factory=list)
    name: str = "litert"
    version: str = "fake"

    def invoke(self, tensor: Any) -> list[Any]:
        return self.gives


def quantized(name: str, affine: Affine | None) -> Tensor:
    return Tensor(
        name=name, shape=(1, 6, 8, 4), dtype="float32" if affine is None else "int8", affine=affine
    )


def loads(monkeypatch: pytest.MonkeyPatch, runtime: FakeRuntime) -> None:
    monkeypatch.setattr(checks.runtimes, "load", lambda *_, **__: runtime)


def test_a_good_model_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    fine = (quantized("scores", Affine(0.08, 100)), quantized("boxes", Affine(0.04, -128)))
    loads(monkeypatch, FakeRuntime(quantized("picture", INPUT), fine))
    checks.int8_is_usable(Path("m.tflite"), CANVAS)


@pytest.mark.parametrize(
    ("picture", "scores", "boxes", "complaint"),
    [
        (None, Affine(0.08, 0), Affine(0.04, 0), "input has quantization None"),
        (Affine(1 / 128, 0), Affine(0.08, 0), Affine(0.04, 0), "zero_point=0"),
        (Affine(1 / 127, -1), Affine(0.08, 0), Affine(0.04, 0), "pixels are"),
        (INPUT, None, Affine(0.04, 0), "is not quantized"),
        # boxes in pixels and scores on one scale of 0 to 640: the classic failure
        (INPUT, Affine(2.5, -128), Affine(2.5, -128), r"output 0 \(scores\) has steps of 2.5"),
        (INPUT, Affine(0.08, 0), Affine(0.3, 0), r"output 1 \(boxes\) has steps of 0.3"),
    ],
)
def test_coarse_scales_are_refused(
    monkeypatch: pytest.MonkeyPatch,
    picture: Affine | None,
    scores: Affine | None,
    boxes: Affine | None,
    complaint: str,
) -> None:
    outputs = (quantized("scores", scores), quantized("boxes", boxes))
    loads(monkeypatch, FakeRuntime(quantized("picture", picture), outputs))
    with pytest.raises(ConversionFailed, match=complaint):
        checks.int8_is_usable(Path("m.tflite"), CANVAS)


@pytest.mark.parametrize(
    ("gives", "complaint"),
    [
        ([np.ones((1, 2, 2, 1))], None),
        ([np.ones((1, 2, 2, 1)) + 5e-4], None),
        ([np.ones((1, 2, 2, 1)) * 1.01], "output 0 differs"),
        ([np.full((1, 2, 2, 1), np.nan)], "output 0 differs"),
        ([np.ones((1, 1, 2, 2))], "have shapes"),
        ([], "have shapes"),
    ],
)
def test_a_float_model_must_be_torchs(
    monkeypatch: pytest.MonkeyPatch, gives: list[Any], complaint: str | None
) -> None:
    loads(monkeypatch, FakeRuntime(quantized("picture", None), (), gives))
    picture, expected = np.zeros((1, 48, 64, 3), np.float32), [np.ones((1, 2, 2, 1))]
    if complaint is None:
        checks.float_agrees(Path("m"), "litert", picture, expected)
    else:
        with pytest.raises(ConversionFailed, match=complaint):
            checks.float_agrees(Path("m"), "litert", picture, expected)


@pytest.mark.parametrize("content", [b"", b"nonsense", BRIGHT.read_bytes()[:2000]])
def test_a_damaged_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(content)
    with pytest.raises(ConversionFailed, match="does not load"):
        checks.loads(path, "litert")


def test_an_unknown_runtime_is_refused() -> None:
    with pytest.raises(ConversionFailed, match="no runtime is called"):
        checks.loads(BRIGHT, "abacus")
