"""Which pictures are frames of one video, and where each is in it, from their names alone."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tartlet_host.dataset.sample import ArchiveMember, Sample, VideoFrame

_NUMBERED = re.compile(r"^(.*?)([0-9]+)([^0-9]*)$")
# Roboflow's exports put a digest behind the name: frame_12_jpg.rf.4f1c...jpg
_DIGEST = re.compile(r"(_jpe?g|_png)?\.rf\.[0-9a-f]{32}$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture's place in a video.

    Attributes:
        clip: the video file, or folder and name of numbered pictures without the number.
        number: of the frame; rises with time.
    """

    clip: str
    number: int


def name_of(sample: Sample) -> str:
    """The picture's name with its folders, with "/" between them on every system.

    ``..`` is resolved: a split's files name their pictures from another folder.
    """
    picture = sample.picture
    if isinstance(picture, VideoFrame):
        return f"{_plain(picture.video)}#{picture.number}"
    if isinstance(picture, ArchiveMember):
        return f"{_plain(picture.archive)}#{picture.name}"
    return _plain(picture)


def folder_of(sample: Sample) -> str:
    """The folder, archive's folder or video that a picture is in."""
    picture = sample.picture
    if isinstance(picture, VideoFrame):
        return _plain(picture.video)
    if isinstance(picture, ArchiveMember):
        return f"{_plain(picture.archive)}#{PurePosixPath(picture.name).parent}"
    return _plain(picture.parent)


def frame_of(sample: Sample) -> Frame | None:
    """A frame of a video file, or a picture whose name has a number; None for other names.

    Whether numbered pictures are a video, or a camera's photos, their pixels tell.
    """
    picture = sample.picture
    if isinstance(picture, VideoFrame):
        return Frame(_plain(picture.video), picture.number)
    name = PurePosixPath(picture.name).name if isinstance(picture, ArchiveMember) else picture.name
    stem = _DIGEST.sub("", PurePosixPath(name).stem)
    match = _NUMBERED.match(stem)
    if match is None:
        return None
    before, number, after = match.groups()
    return Frame(f"{folder_of(sample)}/{before}*{after}", int(number))


def frames_of(samples: Sequence[Sample]) -> list[Frame | None]:
    """`frame_of` each, in order."""
    return [frame_of(sample) for sample in samples]


def _plain(path: Path) -> str:
    return Path(os.path.normpath(path)).as_posix()
