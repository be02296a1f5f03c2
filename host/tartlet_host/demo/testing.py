"""The demo's test pictures: frames that training never sees, written out beside their boxes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from tartlet_host.dataset import coco
from tartlet_host.dataset.from_motion import DESCRIPTION, frame_name, sample_of, write_frame
from tartlet_host.dataset.motion import label_footage
from tartlet_host.dataset.sample import Dataset, file_name
from tartlet_host.dataset.video import read_frames
from tartlet_host.demo.scene import TEST_PICTURES, Scene
from tartlet_host.progress import Report

HAND_MADE = "boxes made one by one"
FROM_MOTION = "boxes from motion, not made by hand"


def make_test_set(scene: Scene, folder: Path) -> tuple[Dataset, str]:
    """Write test frames and ``labels.json`` into ``folder``; also says where the boxes are from.

    Raises:
        FootageUnreadable: the footage is damaged.
    """
    if scene.truth is not None:
        dataset, origin = coco.read(scene.truth), HAND_MADE
        description = f"As {scene.truth.name}, with its pictures."
    else:
        dataset, origin = _from_motion(scene), FROM_MOTION
        description = DESCRIPTION
    frames = folder / "frames"
    wanted = {int(Path(file_name(sample.picture)).stem) for sample in dataset.samples}
    for number, picture in read_frames(scene.footage, first=min(wanted), last=max(wanted)):
        if number in wanted:
            write_frame(frames / frame_name(number), picture)
    samples = tuple(
        dataclasses.replace(sample, picture=frames / file_name(sample.picture))
        for sample in dataset.samples
    )
    here = dataclasses.replace(dataset, samples=samples)
    coco.write(here, folder / "labels.json", description)
    return here, origin


def write_data(scene: Scene, folder: Path, report: Report) -> None:
    """Write the frames that teach into ``folder/frames`` and the test set into ``folder/test``.

    Raises:
        FootageUnreadable: the footage is damaged.
    """
    first, last = scene.train
    for number, picture in read_frames(scene.footage, first=first, last=last):
        write_frame(folder / "frames" / frame_name(number), picture)
        report(number - first + 1, last - first + 1)
    make_test_set(scene, folder / "test")


def _from_motion(scene: Scene) -> Dataset:
    """Motion labels of frames spread over the test part; the whole footage teaches the scene."""
    labelled = {each.number: each for each in label_footage(scene.footage)}
    first, last = scene.test
    numbers = np.unique(np.linspace(first, last, TEST_PICTURES).round().astype(int))
    return Dataset(
        scene.recipe.labels,
        tuple(sample_of(Path(frame_name(n)), labelled[n]) for n in numbers),
    )
