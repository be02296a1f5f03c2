"""The whole path on made-up footage with a small network: every step real, only shorter."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tartlet_shared import bundle

WIDTH, HEIGHT, FRAMES, RATE = 256, 192, 160, 30

RECIPE = """
name = "robots"
labels = ["robot"]
[input]
height = 192
width = 256
[model]
strides = [8, 16]
[train]
steps = 90
[prune]
keep_multiplies = 0.6
[prune.finetune]
steps = 60
freeze_backbone_normalization_after = 0.4
[quantize]
calibration_pictures = 30
largest_loss = 0.1
[gate]
largest_loss = 0.15
"""


def footage(path: Path) -> Path:
    """Three kinds of robots roll through a hall, the nearer the larger."""
    random = np.random.default_rng(1)
    hall = cv2.resize(random.integers(100, 150, (12, 16, 3)).astype(np.uint8), (WIDTH, HEIGHT))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), RATE, (WIDTH, HEIGHT))
    for frame in range(FRAMES):
        picture = hall.copy()
        for row, feet in enumerate((70, 120, 180)):
            size = round(0.3 * feet + 8)
            x = (40 + 90 * row + (2 + row) * frame) % (WIDTH + 60) - 30
            cv2.rectangle(picture, (x, feet - size), (x + size * 2 // 5, feet), (30, 30, 60), -1)
            cv2.circle(picture, (x + size // 5, feet - size), size // 6, (60, 200, 230), -1)
        writer.write(picture)
    writer.release()
    return path


@pytest.mark.system
@pytest.mark.training
def test_from_footage_to_predictions_over_ssh(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    video = footage(tmp_path / "hall.avi")
    done = subprocess.run(
        [sys.executable, "-m", "tartlet_host.cli", "demo", "--video", str(video),
         "--label", "robot", "--recipe", "recipe.toml", "--json"],
        cwd=tmp_path, capture_output=True, text=True, timeout=1500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    run = (tmp_path / "runs" / "latest").resolve()
    assert json.loads((run / "summary.json").read_text()) == summary

    by_name = {each["name"]: each for each in summary["candidates"]}
    assert next(iter(by_name)) == "fp32 TFLite"
    assert {"pruned fp32 TFLite", "pruned int8 TFLite", "pruned int8 ONNX"} <= set(by_name)
    assert by_name["fp32 TFLite"]["map50"] > 0.6
    packaged = [each for each in summary["candidates"] if each["packaged"]]
    assert len(packaged) == 1
    assert packaged[0]["map50"] > by_name["fp32 TFLite"]["map50"] - 0.15
    assert by_name["pruned int8 TFLite"]["file_bytes"] < by_name["fp32 TFLite"]["file_bytes"] / 3

    push, again, predict = summary["transfers"]
    assert push["bytes_sent"] > packaged[0]["file_bytes"]
    assert again["bytes_sent"] < 4000
    assert predict["bytes_received"] > 1000

    sealed = bundle.open_bundle(run / "bundle")
    assert sealed.digest == summary["bundle"]
    assert sealed.manifest.labels == ("robot",)
    assert cv2.imread(str(run / "prediction.jpg")).shape == (HEIGHT, WIDTH, 3)
    page = (run / "report.html").read_text()
    assert "int8 TFLite" in page
    assert "<svg" in page
