"""Training fed by the loader against the same step repeated on one batch: who waits for whom?

Both are measured in turns, a few steps each, so that a noisy machine slows both alike. The data set
is shown several times over, decoding included, as in a run of the default length.
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.row import Row
from tartlet_device import allocator
from tartlet_host.dataset.loader import Batch, training_batches
from tartlet_host.dataset.sample import Dataset, Sample
from tartlet_host.model.detector import build_detector, channels_last
from tartlet_host.model.loss import detection_loss, flatten
from tartlet_host.recipe import AugmentRecipe, Recipe, TrainRecipe, default_recipe

PICTURES = 96
EPOCHS = 8  # the default recipe's 500 steps of 8, of some 500 pictures
STEPS_A_TURN = 4
WARM_UP = 3
PEOPLE = 9  # in a picture
GOAL = 0.95
THREADS = 2
HEAVY = AugmentRecipe(
    hue=15.0,
    blur=0.2,
    noise=0.2,
    cutout=0.3,
    mosaic=0.3,
    mixup=0.1,
    cutmix=0.1,
    paste=4,
)


def run() -> list[Row]:
    """One row for the default augmentation, one with everything on."""
    torch.set_num_threads(THREADS)
    allocator.keep_freed_memory()  # as training does
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        dataset = made_pictures(Path(folder), PICTURES)
        for name, augment in (("default", AugmentRecipe()), ("everything", HEAVY)):
            recipe = default_recipe(dataset.labels)
            steps = PICTURES * EPOCHS // recipe.train.batch_size
            settings = TrainRecipe(steps=steps, augment=augment)
            fed, alone = measure(dataset, recipe, settings)
            rows.append(
                Row(
                    name=f"training fed by the loader, augmentation: {name}",
                    ours=settings.batch_size / fed,
                    rival=settings.batch_size / alone,
                    ratio=alone / fed,
                    goal=GOAL,
                    holds=alone / fed >= GOAL,
                    unit="pictures/s",
                )
            )
    return rows


def measure(dataset: Dataset, recipe: Recipe, run: TrainRecipe) -> tuple[float, float]:
    """Seconds a step takes fed by the loader, and on one batch again and again.

    Over the whole run, the first epoch with its decoding included; only the first steps, in which
    torch allocates, do not count.
    """
    step = training_step(recipe, run)
    with contextlib.closing(training_batches(dataset, recipe.input, run)) as batches:
        kept = next(batches)
        seconds(step, iter([kept] * WARM_UP))
        turns = [
            (seconds(step, batches), seconds(step, iter([kept] * STEPS_A_TURN)))
            for _ in range(1, run.steps, STEPS_A_TURN)
        ]
    return statistics.mean(fed for fed, _ in turns), statistics.mean(alone for _, alone in turns)


def seconds(step: Callable[[Batch], None], batches: Iterator[Batch]) -> float:
    """Of one step, over a turn."""
    done = 0
    started = time.perf_counter()
    for batch in batches:
        step(batch)
        done += 1
        if done == STEPS_A_TURN:
            break
    return (time.perf_counter() - started) / max(1, done)


def training_step(recipe: Recipe, run: TrainRecipe) -> Callable[[Batch], None]:
    """A step as the training loop does it: forward, loss, backward, optimizer."""
    detector = channels_last(build_detector(recipe)).train()
    optimizer = torch.optim.AdamW(detector.parameters(), lr=run.learning_rate, foreach=True)

    def step(batch: Batch) -> None:
        flat = flatten(detector(batch.pictures), detector.strides)
        loss = detection_loss(flat, batch.targets, run.loss, recipe.labels, by_geometry=False)
        optimizer.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def made_pictures(folder: Path, count: int) -> Dataset:
    """JPEG files of a camera's size, as hard to decode as footage, with upright boxes."""
    rng = np.random.default_rng(5)
    samples = []
    for number in range(count):
        small = rng.integers(0, 256, (72, 96, 3), np.uint8)
        picture = cv2.resize(small, (768, 576), interpolation=cv2.INTER_CUBIC)
        noise = rng.normal(0, 6, picture.shape)
        picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
        path = folder / f"{number:04}.jpg"
        cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, 92])
        corner = rng.uniform([0, 0], [720, 470], (PEOPLE, 2))
        size = rng.uniform([20, 50], [45, 105], (PEOPLE, 2))
        samples.append(
            Sample(
                picture=path,
                width=768,
                height=576,
                boxes=np.hstack([corner, corner + size]).astype(np.float32),
                class_ids=np.zeros(PEOPLE, np.int64),
                ignore=np.zeros(PEOPLE, np.bool_),
            )
        )
    return Dataset(("person",), tuple(samples))
