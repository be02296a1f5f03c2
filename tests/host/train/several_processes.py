"""Run by torchrun in test_distributed: one of several processes that train together.

Trains on the pictures of the folder given and writes what it ended with to ``rank-<n>.safetensors``
there.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import safetensors.torch
import torch

from tartlet_host.dataset.read import read_dataset
from tartlet_host.model.detector import build_detector
from tartlet_host.recipe import load_recipe
from tartlet_host.train.distributed import joined
from tartlet_host.train.loop import fit


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    dataset = read_dataset(folder)
    with joined() as processes:
        for name in ("frozen", "learning"):
            recipe = load_recipe(folder / f"{name}.toml")
            detector = build_detector(recipe)
            result = fit(
                detector,
                dataset,
                recipe,
                validation=dataset,
                states=folder / f"states-{name}-{processes.rank}",
                processes=processes,
            )
            safetensors.torch.save_file(
                {key: value.contiguous() for key, value in detector.state_dict().items()},
                folder / f"{name}-{processes.rank}.safetensors",
                metadata={"result": msgspec.json.encode([result.losses, result.looks]).decode()},
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
