"""Any data set as COCO: one ``labels.json``, pictures copied beside it or named where they are."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

import cv2

from tartlet_device.preprocess import Picture
from tartlet_host.dataset import coco, video
from tartlet_host.dataset.gather import other_size, turned
from tartlet_host.dataset.pictures import header_of, read_bytes
from tartlet_host.dataset.sample import ArchiveMember, Dataset, PicturePlace, Sample, VideoFrame
from tartlet_host.files import sync_folder
from tartlet_host.progress import Report
from tartlet_shared import errors

PICTURES = "pictures"
_JPEG_QUALITY = 95


def convert(
    dataset: Dataset,
    folder: Path,
    *,
    link: bool = False,
    description: str = "",
    progress: Report | None = None,
) -> Dataset:
    """Write a data set as ``labels.json``, with its pictures in ``pictures/``.

    Picture files are copied byte by byte; frames of a video become JPEG files. Boxes that were
    drawn on a picture lying on its side are turned as its EXIF data say. Everything is written
    into a folder beside ``folder`` that is renamed at the end, so that an interrupted run leaves
    nothing.

    Args:
        dataset: what to write.
        folder: must not exist, or be empty.
        link: write ``labels.json`` only, which names the pictures where they are.
        description: goes into the file.
        progress: told after each picture.

    Returns:
        The data set as it is in ``folder``.

    Raises:
        UsageError: ``folder`` has something in it already.
        PictureUnreadable, FootageUnreadable: a picture is missing or damaged.
        DatasetError: a picture has another size than its labels say.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise errors.UsageError(
            "there is something already", where=str(folder), hint="give a new folder with -o"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside the folder, because a rename does not cross file systems.
    making = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        places = _link(dataset.samples) if link else _copy(dataset.samples, making / PICTURES)
        samples: list[Sample] = []
        for sample, place in zip(dataset.samples, places, strict=True):
            samples.append(replace(upright(sample), picture=place))
            if progress is not None:
                progress(len(samples), len(dataset.samples))
        made = Dataset(dataset.labels, tuple(samples))
        coco.write(made, making / coco.LABELS_NAME, description)
        making.chmod(0o755)
        making.replace(folder)
        sync_folder(folder.parent)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return coco.read(folder / coco.LABELS_NAME)


def upright(sample: Sample) -> Sample:
    """A sample whose boxes lie on the upright picture; its header is compared with its size.

    Raises:
        PictureUnreadable: the picture is missing or damaged.
        DatasetError: its size is neither that of the upright nor that of the stored picture.
    """
    if isinstance(sample.picture, VideoFrame):
        return sample
    header = header_of(sample.picture)
    size = (sample.width, sample.height)
    if size == header.size:
        return sample
    if size == header.stored:
        return turned(sample, header)
    raise other_size(sample.picture, size, header, str(sample.picture))


def _link(samples: Iterable[Sample]) -> Iterator[PicturePlace]:
    return (sample.picture for sample in samples)


def _copy(samples: tuple[Sample, ...], folder: Path) -> Iterator[Path]:
    """Copy pictures one after the other; yields where each is now."""
    files = [each.picture for each in samples if isinstance(each.picture, Path)]
    top = os.path.commonpath([each.resolve().parent for each in files]) if files else ""
    taken: set[str] = set()
    with contextlib.closing(video.FrameReader()) as frames:
        for sample in samples:
            name = _free_name(_name(sample.picture, top), taken)
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(sample.picture, VideoFrame):
                rgb = frames.read(sample.picture.video, sample.picture.number)
                target.write_bytes(_jpeg(rgb))
            else:
                target.write_bytes(read_bytes(sample.picture))
            yield target


def _name(picture: PicturePlace, top: str) -> PurePosixPath:
    """A picture's name in the copy: its folders below ``top`` stay."""
    if isinstance(picture, VideoFrame):
        return PurePosixPath(picture.video.stem, f"{picture.number:06d}.jpg")
    if isinstance(picture, ArchiveMember):
        return PurePosixPath(picture.name)
    return PurePosixPath(Path(os.path.relpath(picture.resolve(), top)).as_posix())


def _free_name(name: PurePosixPath, taken: set[str]) -> str:
    """The name, numbered where another picture has it; upper and lower case count as the same."""
    free, number = name, 1
    while str(free).lower() in taken:
        number += 1
        free = name.with_stem(f"{name.stem}-{number}")
    taken.add(str(free).lower())
    return str(free)


def _jpeg(rgb: Picture) -> bytes:
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    good, encoded = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), quality)
    assert good  # an RGB picture of sane size can always be encoded
    return encoded.tobytes()
