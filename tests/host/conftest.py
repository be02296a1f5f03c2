"""Small pictures with one bright square each: a data set that trains in seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tartlet_host.dataset.sample import Dataset, Sample

MakeSquares = Callable[..., Dataset]


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tests share the machine; on small tensors threads only wait for each other."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture
def make_squares(tmp_path: Path) -> MakeSquares:
    """Makes `count` pictures of noise (96x64 unless told) with a bright square in each."""

    def make(count: int = 4, labels: tuple[str, ...] = ("square",), size: int = 24) -> Dataset:
        rng = np.random.default_rng(7)
        samples = []
        for index in range(count):
            picture = rng.integers(0, 90, (64, 96, 3), np.uint8)
            x, y = int(rng.integers(0, 96 - size)), int(rng.integers(0, 64 - size))
            picture[y : y + size, x : x + size] = (250, 220, 40)  # RGB
            path = tmp_path / f"{index}.png"
            assert cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
            samples.append(
                Sample(
                    picture=path,
                    width=96,
                    height=64,
                    boxes=np.array([[x, y, x + size, y + size]], np.float32),
                    class_ids=np.array([index % len(labels)], np.int64),
                    ignore=np.array([False]),
                )
            )
        return Dataset(labels, tuple(samples))

    return make


@pytest.fixture
def same_outputs() -> Callable[..., bool]:
    """Whether two networks give bit-equal outputs for pictures (B, 3, H, W)."""
    import torch

    def compare(first: torch.nn.Module, second: torch.nn.Module, pictures: torch.Tensor) -> bool:
        with torch.no_grad():
            pairs = zip(first(pictures), second(pictures), strict=True)
            return all(
                torch.equal(mine, theirs)
                for one, two in pairs
                for mine, theirs in zip(one, two, strict=True)
            )

    return compare
