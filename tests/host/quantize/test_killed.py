"""A conversion that is killed for real, at moments that matter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from tartlet_host.model.detector import build_detector
from tartlet_host.quantize import conversion
from tartlet_host.quantize.calibration import Calibration
from tartlet_host.train import checkpoint
from tartlet_shared.errors import ConversionFailed
from tartlet_shared.manifest import Preprocessing
from tests.small_network import SMALL

FIRST = b"the file of an earlier conversion"
# A worker that ends like a power cut: in the middle of writing, or just before a file is renamed.
KILLED = """
import os, signal, sys, pathlib
moment, count = {moment!r}, {count}
real = getattr(os, moment)
def counted(*arguments, **options):
    global count
    count -= 1
    if count == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **options)
setattr(os, moment, counted)
from tartlet_host.quantize import worker
worker.main(pathlib.Path(sys.argv[1]))
"""


@pytest.mark.training
@pytest.mark.parametrize(
    ("moment", "count", "whole"),
    [
        ("fsync", 1, ()),  # the float file is written, not yet safe
        ("fsync", 5, ("small-float.onnx",)),  # the int8 file likewise, after the ranges
        ("fsync", 7, ("small-float.onnx", "small-int8.onnx")),  # the outcome
    ],
)
def test_a_killed_conversion_leaves_whole_files_only(
    moment: str,
    count: int,
    whole: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    path = tmp_path / "small.safetensors"
    checkpoint.save(path, build_detector(SMALL).eval(), SMALL, metrics={})
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8)
    pictures = Calibration(pixels, Preprocessing(width=96, height=64))
    folder = tmp_path / "out"
    folder.mkdir()
    names = ("small-float.onnx", "small-int8.onnx")
    for name in names:
        (folder / name).write_bytes(FIRST)
    script = KILLED.format(moment=moment, count=count)
    monkeypatch.setattr(conversion, "WORKER", ("-W", "ignore", "-c", script))
    with pytest.raises(ConversionFailed, match="SIGKILL"):
        conversion.convert(path, folder, runtimes=["onnx"], calibration=pictures)
    for name in names:
        content = (folder / name).read_bytes()
        assert (content == FIRST) == (name not in whole)
        if name in whole:
            onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
