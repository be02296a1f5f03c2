"""Footage to a labelled data set on disk: frames, boxes and contact sheets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tartlet_host.dataset import coco, contact_sheet
from tartlet_host.dataset.motion import FrameLabels, MotionSettings, label_footage
from tartlet_host.dataset.sample import Dataset, Sample
from tartlet_host.dataset.video import list_pictures, read_frames
from tartlet_host.files import write_atomically
from tartlet_host.progress import Report

DESCRIPTION = (
    "Made by tartlet from motion in the footage of a fixed camera, not by hand. iscrowd marks what "
    "moved but could not be told."
)
JPEG_QUALITY = 95


@dataclass(frozen=True)
class Labelled:
    """A data set from footage.

    Attributes:
        dataset: frames with boxes.
        path: its COCO file.
        sheets: contact sheets to look at.
    """

    dataset: Dataset
    path: Path
    sheets: tuple[Path, ...]


def label_from_motion(
    footage: Path,
    folder: Path,
    label: str,
    *,
    first: int = 1,
    last: int | None = None,
    settings: MotionSettings | None = None,
    progress: Report | None = None,
) -> Labelled:
    """Label footage and write ``frames/*.jpg``, ``labels.json`` and ``sheets/*.jpg``.

    ``labels.json`` is written last but for the sheets, so that it never names a frame that is not
    there. Frames of a folder that are JPEG files already are used where they are.

    Raises:
        FootageUnreadable: the footage is missing or damaged.
    """
    labels = label_footage(footage, first=first, last=last, settings=settings, progress=progress)
    if footage.is_dir():
        pictures = _frames_of_folder(footage, labels)
    else:
        pictures = _write_frames(footage, folder / "frames", labels)
    samples = tuple(
        sample_of(picture, each) for picture, each in zip(pictures, labels, strict=True)
    )
    return save(Dataset((label,), samples), folder, DESCRIPTION)


def save(dataset: Dataset, folder: Path, description: str) -> Labelled:
    """Write a data set's COCO file and its contact sheets."""
    path = folder / "labels.json"
    coco.write(dataset, path, description)
    sheets = contact_sheet.write_sheets(dataset, folder / "sheets")
    return Labelled(dataset, path, tuple(sheets))


def write_frame(path: Path, rgb: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    """Write a frame as JPEG, aside and renamed."""
    good, encoded = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert good  # an RGB picture of sane size can always be encoded
    write_atomically(path, encoded.tobytes())


def frame_name(number: int) -> str:
    """File name of a frame, numbered from 1."""
    return f"{number:06d}.jpg"


def _frames_of_folder(footage: Path, labels: list[FrameLabels]) -> list[Path]:
    pictures = list_pictures(footage)
    return [pictures[each.number - 1] for each in labels]


def _write_frames(footage: Path, folder: Path, labels: list[FrameLabels]) -> list[Path]:
    numbers = [each.number for each in labels]
    for number, picture in read_frames(footage, first=numbers[0], last=numbers[-1]):
        write_frame(folder / frame_name(number), picture)
    return [folder / frame_name(number) for number in numbers]


def sample_of(picture: Path, labels: FrameLabels) -> Sample:
    """A frame's labels as a sample of a data set with one class."""
    return Sample(
        picture,
        labels.width,
        labels.height,
        labels.boxes,
        np.zeros(len(labels.boxes), np.int64),
        labels.ignore,
    )
