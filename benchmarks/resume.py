"""A training that was stopped twice and went on, against one that was never stopped."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import msgspec
import numpy as np

from benchmarks.row import Row
from tartlet_host.dataset.sample import Dataset, Sample
from tartlet_host.recipe import InputRecipe, Recipe, TrainRecipe, default_recipe

STEPS = 12
STOPS = (5, 3)  # steps of the first two sittings
PICTURES = 6
_HEIGHT, _WIDTH = 96, 128


def run() -> list[Row]:
    """One row: the largest difference of a loss or a weight, which must be 0 on one thread."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            difference = _difference(Path(folder))
    finally:
        torch.set_num_threads(threads)
    return [
        Row(
            name=f"resumed run equals an unbroken one ({STEPS} steps and all weights compared)",
            ours=difference,
            rival=0.0,
            ratio=difference,
            goal=0.0,
            holds=difference == 0.0,
            unit="largest difference",
        )
    ]


def _difference(folder: Path) -> float:
    from tartlet_host.model.detector import build_detector
    from tartlet_host.train.loop import fit

    dataset, recipe = _pictures(folder), _recipe()
    unbroken = build_detector(recipe)
    whole = fit(unbroken, dataset, recipe).losses
    states = folder / "states"
    for sitting, steps in enumerate(STOPS):
        try:
            fit(
                build_detector(recipe),
                dataset,
                recipe,
                states=states,
                resume=sitting > 0,
                stop=_after(steps),
            )
        except KeyboardInterrupt:
            continue
        raise AssertionError("the run was to stop early")
    resumed = build_detector(recipe)
    parts = fit(resumed, dataset, recipe, states=states, resume=True).losses
    assert len(whole) == len(parts) == STEPS
    theirs = unbroken.state_dict()
    weights = [
        float((value.double() - theirs[name].double()).abs().max())
        for name, value in resumed.state_dict().items()
    ]
    losses = [abs(one - two) for one, two in zip(whole, parts, strict=True)]
    return max(*losses, *weights)


def _recipe() -> Recipe:
    """The network and the augmentation that people train with, on a small canvas."""
    return msgspec.structs.replace(
        default_recipe(("square",)),
        input=InputRecipe(_HEIGHT, _WIDTH),
        train=TrainRecipe(steps=STEPS, batch_size=4),
    )


def _pictures(folder: Path) -> Dataset:
    rng = np.random.default_rng(3)
    samples = []
    for number in range(PICTURES):
        picture = rng.integers(0, 90, (_HEIGHT, _WIDTH, 3), np.uint8)
        x, y = int(rng.integers(0, _WIDTH - 32)), int(rng.integers(0, _HEIGHT - 32))
        picture[y : y + 32, x : x + 32] = 230
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), picture)
        box = np.array([[x, y, x + 32, y + 32]], np.float32)
        samples.append(
            Sample(path, _WIDTH, _HEIGHT, box, np.zeros(1, np.int64), np.zeros(1, np.bool_))
        )
    return Dataset(("square",), tuple(samples))


def _after(steps: int) -> Callable[[], bool]:
    left = iter(range(steps - 1, -1, -1))
    return lambda: next(left) == 0
