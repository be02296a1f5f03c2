"""Make ``bright_int8.tflite``: run this file after changing it.

The network finds bright things: a cell's score is the mean brightness under it, its box reaches one
stride to each side. Tiny and untrained, but converted and quantized as the real ones are. Needs the
host's converter.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import litert_torch
import numpy as np
import torch
from ai_edge_quantizer import quantizer, recipe
from torch import nn

HEIGHT, WIDTH = 48, 64
STRIDES = (8, 16)
STEEPNESS = 8.0  # logit of a white cell; a black one has the negative
FOLDER = Path(__file__).parent


class Bright(nn.Module):
    """(1, 48, 64, 3) in [-1, 1] -> scores and boxes of stride 8, scores and boxes of stride 16."""

    def __init__(self) -> None:
        super().__init__()
        self.scores = nn.ModuleList(nn.Conv2d(3, 1, s, s) for s in STRIDES)
        self.boxes = nn.ModuleList(nn.Conv2d(3, 4, s, s) for s in STRIDES)
        with torch.no_grad():
            for stride, scores, boxes in zip(STRIDES, self.scores, self.boxes, strict=True):
                scores.weight.fill_(STEEPNESS / (3 * stride * stride))
                # The coarse level asks for more light, so that it sees large things only.
                scores.bias.fill_(0.0 if stride == STRIDES[0] else -2.0)
                boxes.weight.fill_(0.1 / (3 * stride * stride))
                boxes.bias.fill_(1.0)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = x.permute(0, 3, 1, 2)
        outputs = []
        for scores, boxes in zip(self.scores, self.boxes, strict=True):
            outputs += [scores(x).permute(0, 2, 3, 1), boxes(x).permute(0, 2, 3, 1)]
        return tuple(outputs)


def main() -> None:
    # Both extremes in every picture: the quantizer averages the ranges that it saw.
    picture = np.full((1, HEIGHT, WIDTH, 3), -1, np.float32)
    picture[:, :, WIDTH // 2 :] = 1
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.tflite"
        litert_torch.convert(Bright().eval(), (torch.zeros(1, HEIGHT, WIDTH, 3),)).export(plain)
        job = quantizer.Quantizer(str(plain))
        job.load_quantization_recipe(recipe.static_wi8_ai8())
        calibrated = job.calibrate({"serving_default": [{"args_0": picture}] * 3})
        quantized = Path(folder) / "quantized.tflite"
        job.quantize(calibrated).export_model(str(quantized))
        (FOLDER / "bright_int8.tflite").write_bytes(quantized.read_bytes())


if __name__ == "__main__":
    main()
