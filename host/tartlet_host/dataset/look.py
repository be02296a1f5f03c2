"""One pass over the pictures of a data set: each is decoded once, little of it is kept.

Small data sets are looked at in this process, large ones in several; the answers come in order,
and only a few chunks are under way at any time, so that memory does not grow with the data set.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Container, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import cv2
import numpy as np

from tartlet_device.pictures import encode_jpeg
from tartlet_device.preprocess import Picture
from tartlet_host.dataset.duplicates import fingerprint
from tartlet_host.dataset.pictures import header_of, read_picture
from tartlet_host.dataset.sample import Sample, VideoFrame
from tartlet_host.dataset.video import FrameReader
from tartlet_host.page import shrink
from tartlet_shared import errors

THUMBNAIL = 320  # pixels of the longer side
_THUMBNAIL_QUALITY = 72
_CHUNK = 32  # pictures; frames of a video follow each other in it
_WORTH_PROCESSES = 256  # pictures; below, starting processes takes longer than the work
_MOST_PROCESSES = 8


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why a picture cannot be used.

    Attributes:
        code: of the error, or "wrong-size" where the data set says another size.
        where, what, hint: see `TartletError`.
    """

    code: str
    where: str
    what: str
    hint: str


@dataclass(frozen=True, slots=True)
class Look:
    """What is kept of a picture.

    Attributes:
        digest: of its pixels; equal for equal pictures only.
        fingerprint: see `duplicates`; 63 bits.
        brightness: mean of the grey picture, 0 to 255.
        contrast: its standard deviation, 0 to 128.
        thumbnail: JPEG, at most `THUMBNAIL` pixels long, where it was asked for.
    """

    digest: bytes
    fingerprint: int
    brightness: float
    contrast: float
    thumbnail: bytes | None


def look_at(
    samples: Sequence[Sample],
    *,
    thumbnails: Container[int] = (),
    processes: int | None = None,
) -> Generator[Look | Unreadable, None, None]:
    """Look at each picture, in order; closing it ends the processes.

    Args:
        samples: the pictures.
        thumbnails: places of those that a thumbnail is wanted of.
        processes: that decode; 0 decodes in this one, None chooses.

    Raises:
        DatasetError: a process was ended from outside, mostly for want of memory.
    """
    chunks = (
        [(sample, place in thumbnails) for place, sample in enumerate(samples[start:end], start)]
        for start in range(0, len(samples), _CHUNK)
        for end in (start + _CHUNK,)
    )
    if processes is None:
        cores = min(os.cpu_count() or 1, _MOST_PROCESSES)
        processes = cores if cores > 1 and len(samples) >= _WORTH_PROCESSES else 0
    if not processes:
        yield from itertools.chain.from_iterable(map(_look_at_chunk, chunks))
        return
    # Started afresh: forking a process that has threads of OpenCV's in it can hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_prepare)
    try:
        yield from _in_order(pool, chunks, ahead=2 * processes)
    finally:
        pool.shutdown(cancel_futures=True)


_Chunk = list[tuple[Sample, bool]]


def _in_order(
    pool: ProcessPoolExecutor, chunks: Iterator[_Chunk], *, ahead: int
) -> Iterator[Look | Unreadable]:
    waiting: deque[tuple[Future[list[Look | Unreadable]], _Chunk]] = deque()
    while True:
        for chunk in itertools.islice(chunks, ahead - len(waiting)):
            waiting.append((pool.submit(_look_at_chunk, chunk), chunk))
        if not waiting:
            return
        future, chunk = waiting.popleft()
        try:
            yield from future.result()
        except BrokenProcessPool as error:
            raise errors.DatasetError(
                "the process that decoded these pictures was ended from outside",
                where=f"{chunk[0][0].picture} and those after it",
                hint="mostly memory ran out: close other programs, or scale huge pictures down",
            ) from error


def _prepare() -> None:
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this


def _look_at_chunk(chunk: _Chunk) -> list[Look | Unreadable]:
    with contextlib.closing(FrameReader()) as frames:
        return [_look(sample, wanted, frames) for sample, wanted in chunk]


def _look(sample: Sample, thumbnail: bool, frames: FrameReader) -> Look | Unreadable:
    try:
        rgb = _read(sample, frames)
    except errors.DatasetError as error:
        code = "wrong-size" if _has_other_size(sample) else error.code
        return Unreadable(code, error.where, error.what, error.hint)
    small = shrink(rgb, THUMBNAIL)
    mean, deviation = cv2.meanStdDev(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
    return Look(
        digest=hashlib.blake2b(np.ascontiguousarray(rgb).data, digest_size=16).digest(),
        fingerprint=fingerprint(small),
        brightness=float(mean[0, 0]),
        contrast=float(deviation[0, 0]),
        thumbnail=make_thumbnail(small) if thumbnail else None,
    )


def make_thumbnail(rgb: Picture) -> bytes:
    """A small JPEG of a picture (height, width, 3)."""
    return encode_jpeg(shrink(rgb, THUMBNAIL), _THUMBNAIL_QUALITY)


def _read(sample: Sample, frames: FrameReader) -> Picture:
    picture = sample.picture
    if not isinstance(picture, VideoFrame):
        return read_picture(sample)
    rgb = frames.read(picture.video, picture.number)
    if rgb.shape[:2] != (sample.height, sample.width):
        raise errors.PictureUnreadable(
            f"the frame is {rgb.shape[1]}x{rgb.shape[0]} pixels, "
            f"the data set says {sample.width}x{sample.height}",
            where=str(picture),
            hint="boxes were drawn on another size: label it again or correct the data set",
        )
    return rgb


def _has_other_size(sample: Sample) -> bool:
    if isinstance(sample.picture, VideoFrame):
        return False
    try:
        return header_of(sample.picture).size != (sample.width, sample.height)
    except errors.DatasetError:
        return False
