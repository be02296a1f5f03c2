"""Checks for pictures that are the same: within a data set, and between training and validation.

Validation that shows what was learned from gives scores that no new picture will reach.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tartlet_host.dataset import clips, duplicates
from tartlet_host.dataset.duplicates import BITS, Fingerprints
from tartlet_host.dataset.findings import Finding, Place
from tartlet_host.dataset.look import Look, Unreadable
from tartlet_host.dataset.sample import Dataset, Sample, VideoFrame
from tartlet_shared.detections import FloatArray, IntArray

VIDEO_FRAMES = 8
"""Numbered pictures that make a video, if neighbours look alike."""
VIDEO_BITS = 12
"""Bits in which neighbouring frames differ at the median; unrelated photos differ in about 31."""
ADJACENT_SHARE = 0.05
"""Part of a video's validation frames that may have a neighbour in training: a single cut."""
BLANK_CONTRAST = 2.0
"""Standard deviation of the grey values below which a picture shows nothing."""

_SPLIT_HINT = "split by time: tartlet data split --by time, or data.split = 'time' in the recipe"
_SHOWN = 6


@dataclass(frozen=True, eq=False)
class PictureTable:
    """What was seen of a data set's pictures, in columns, one row a picture.

    Attributes:
        readable: bool.
        digests: of the pixels, b"" where a picture cannot be read.
        fingerprints: uint64, see `duplicates`.
        brightness, contrast: float32, mean and deviation of the grey values, 0 to 255.
        clips: the video that each is a frame of, "" for single pictures.
        numbers: int64, the frame's number.
    """

    readable: NDArray[np.bool_]
    digests: Sequence[bytes]
    fingerprints: Fingerprints
    brightness: FloatArray
    contrast: FloatArray
    clips: Sequence[str]
    numbers: IntArray

    @property
    def comparable(self) -> IntArray:
        """Places of the pictures whose fingerprint says something."""
        return np.flatnonzero(self.readable & (self.contrast >= BLANK_CONTRAST))


def picture_table(dataset: Dataset, looks: Sequence[Look | Unreadable]) -> PictureTable:
    """Columns of what was seen; numbered pictures become a video where their pixels say so."""
    seen = [each if isinstance(each, Look) else None for each in looks]
    marks = np.array([each.fingerprint if each else 0 for each in seen], np.uint64)
    frames = clips.frames_of(dataset.samples)
    numbers = np.array([frame.number if frame else 0 for frame in frames], np.int64)
    certain = {
        frame.clip
        for frame, sample in zip(frames, dataset.samples, strict=True)
        if frame and isinstance(sample.picture, VideoFrame)
    }
    members: dict[str, list[int]] = defaultdict(list)
    for place, frame in enumerate(frames):
        if frame and seen[place]:
            members[frame.clip].append(place)
    videos = certain | {
        clip for clip, places in members.items() if _is_video(marks, numbers, places)
    }
    return PictureTable(
        readable=np.array([each is not None for each in seen], np.bool_),
        digests=[each.digest if each else b"" for each in seen],
        fingerprints=marks,
        brightness=np.array([each.brightness if each else 0 for each in seen], np.float32),
        contrast=np.array([each.contrast if each else 0 for each in seen], np.float32),
        clips=[frame.clip if frame and frame.clip in videos else "" for frame in frames],
        numbers=numbers,
    )


def _is_video(marks: Fingerprints, numbers: IntArray, places: list[int]) -> bool:
    if len(places) < VIDEO_FRAMES:
        return False
    ordered = marks[np.array(places)[np.argsort(numbers[places], kind="stable")]]
    return float(np.median(duplicates.distance(ordered[:-1], ordered[1:]))) <= VIDEO_BITS


def check_within(part: str, dataset: Dataset, table: PictureTable) -> Iterator[Finding]:
    """Copies, near-copies and blank pictures in one data set; frames of one video are alike."""
    named = [clips.name_of(sample) for sample in dataset.samples]
    copies = equal_pictures(table.digests)
    for group in copies:
        if not _one_clip(table, group):
            yield Finding(
                "duplicate",
                named[group[0]],
                f"{len(group)} pictures are equal, pixel by pixel: "
                + _some([named[place] for place in group]),
                "keep one: copies count several times in training, and may get onto both sides "
                "of a split",
                tuple(Place(part, place) for place in group[:_SHOWN]),
            )
    first_of = {place: group[0] for group in copies for place in group}
    comparable = table.comparable
    for rows in duplicates.alike(table.fingerprints[comparable]):
        group = list(dict.fromkeys(first_of.get(k, k) for k in comparable[rows].tolist()))
        if len(group) > 1 and not _one_clip(table, group):
            yield Finding(
                "near-duplicate",
                named[group[0]],
                f"{len(group)} pictures show nearly the same: "
                + _some([named[place] for place in group]),
                "keep them on one side of a split: tartlet data split --keep-alike",
                tuple(Place(part, place) for place in group[:_SHOWN]),
            )
    for place in np.flatnonzero(table.readable & (table.contrast < BLANK_CONTRAST)).tolist():
        yield Finding(
            "blank",
            named[place],
            f"the picture is of one colour (brightness {table.brightness[place]:.0f} of 255)",
            "was the lens covered? Take it out, unless this happens on the device as well",
            (Place(part, place),),
        )


def check_video(part: str, table: PictureTable) -> Iterator[Finding]:
    """Frames of a video that a random split would put side by side on both sides."""
    members = _members(table)
    if not members:
        return
    total = sum(map(len, members.values()))
    longest = max(members, key=lambda clip: len(members[clip]))
    yield Finding(
        "video-shuffled",
        longest,
        f"{total} of {len(table.clips)} pictures are frames of {_count(len(members), 'video')}; "
        "split at random, validation would show what its neighbours in training show",
        _SPLIT_HINT,
        tuple(Place(part, place) for place in members[longest][:2]),
    )


def check_between(
    datasets: Mapping[str, Dataset], tables: Mapping[str, PictureTable]
) -> Iterator[Finding]:
    """Whatever is in training and in validation: ``datasets`` has these two parts."""
    train, validation = tables["train"], tables["validation"]
    named = {
        part: [clips.name_of(sample) for sample in dataset.samples]
        for part, dataset in datasets.items()
    }
    both, shared = _same_files(datasets)
    yield from both
    yield from _videos_on_both_sides(train, validation)
    place_of = {digest: place for place, digest in enumerate(train.digests) if digest}
    for place, digest in enumerate(validation.digests):
        copy = place_of.get(digest)
        if copy is None or place in shared or _same_clip(train, copy, validation, place):
            continue
        shared.add(place)
        yield Finding(
            "leak",
            named["validation"][place],
            f"the same picture is in training: {named['train'][copy]}",
            "take it out of one of them",
            (Place("train", copy), Place("validation", place)),
        )
    yield from _near_leaks(train, validation, named, shared)


def _same_files(datasets: Mapping[str, Dataset]) -> tuple[list[Finding], set[int]]:
    place_of = {_address(each): place for place, each in enumerate(datasets["train"].samples)}
    found, shared = [], set()
    for place, sample in enumerate(datasets["validation"].samples):
        if _address(sample) in place_of:
            shared.add(place)
            found.append(
                Finding(
                    "on-both-sides",
                    clips.name_of(sample),
                    "training and validation both list this picture",
                    "take it out of one of them, or split again with tartlet data split",
                    (Place("validation", place),),
                )
            )
    return found, shared


def _address(sample: Sample) -> str:
    """One name for a picture, from whichever folder a data set names it."""
    return os.path.abspath(clips.name_of(sample))  # noqa: PTH100 - resolving reads the disk


def _videos_on_both_sides(train: PictureTable, validation: PictureTable) -> Iterator[Finding]:
    learned, judged = _members(train), _members(validation)
    for clip in learned.keys() & judged.keys():
        places = np.array(learned[clip] + judged[clip])
        numbers = np.concatenate([train.numbers[learned[clip]], validation.numbers[judged[clip]]])
        judging = np.arange(len(places)) >= len(learned[clip])
        order = np.argsort(numbers, kind="stable")
        side = judging[order]
        beside = np.zeros(len(side), np.bool_)
        beside[1:] |= ~side[:-1]
        beside[:-1] |= ~side[1:]
        mixed = side & beside
        if mixed.sum() > ADJACENT_SHARE * side.sum():
            row = int(np.flatnonzero(mixed)[0])
            other = row - 1 if row and not side[row - 1] else row + 1
            pair = (
                Place("train", int(places[order[other]])),
                Place("validation", int(places[order[row]])),
            )
            yield Finding(
                "video-on-both-sides",
                clip,
                f"{mixed.sum()} of its {side.sum()} validation frames have their neighbour in "
                "training",
                _SPLIT_HINT,
                pair,
            )


def _near_leaks(
    train: PictureTable,
    validation: PictureTable,
    named: Mapping[str, Sequence[str]],
    shared: set[int],
) -> Iterator[Finding]:
    learned, judged = train.comparable, validation.comparable
    judged = judged[[place not in shared for place in judged.tolist()]]
    nearest, bits = duplicates.nearest(train.fingerprints[learned], validation.fingerprints[judged])
    pairs: dict[tuple[str, str], list[tuple[int, int, int]]] = defaultdict(list)
    for row in np.argsort(bits, kind="stable").tolist():
        if nearest[row] < 0:
            continue
        first, second = int(learned[nearest[row]]), int(judged[row])
        clip, other = train.clips[first], validation.clips[second]
        if clip and clip == other:
            continue  # how a video may be divided is another check
        pairs[clip, other].append((first, second, int(bits[row])))
    for (clip, other), rows in pairs.items():
        if clip or other:
            yield _like_a_video(clip, other, rows, len(validation.clips))
            continue
        for first, second, apart in rows:
            yield Finding(
                "near-leak",
                named["validation"][second],
                f"nearly the same picture is in training: {named['train'][first]} "
                f"({apart} of {BITS} bits differ)",
                "put both on one side: tartlet data split --keep-alike",
                (Place("train", first), Place("validation", second)),
            )


def _like_a_video(
    clip: str, other: str, rows: Sequence[tuple[int, int, int]], total: int
) -> Finding:
    """Many frames of a scene in one sentence."""
    first, second, _ = rows[0]
    return Finding(
        "near-leak",
        other or clip,
        f"{len(rows)} of {total} validation pictures look like frames in training"
        + (f" ({clip})" if clip and other else "")
        + ": the same scene",
        "fine if the device will watch this very scene; else validate on another one",
        (Place("train", first), Place("validation", second)),
    )


def equal_pictures(digests: Sequence[bytes]) -> list[list[int]]:
    """Places of pictures with the same digest, in groups of two or more."""
    places: dict[bytes, list[int]] = defaultdict(list)
    for place, digest in enumerate(digests):
        if digest:
            places[digest].append(place)
    return [group for group in places.values() if len(group) > 1]


def _members(table: PictureTable) -> dict[str, list[int]]:
    members: dict[str, list[int]] = defaultdict(list)
    for place, clip in enumerate(table.clips):
        if clip:
            members[clip].append(place)
    return dict(members)


def _one_clip(table: PictureTable, group: Sequence[int]) -> bool:
    return bool(table.clips[group[0]]) and len({table.clips[place] for place in group}) == 1


def _same_clip(train: PictureTable, first: int, validation: PictureTable, second: int) -> bool:
    return bool(train.clips[first]) and train.clips[first] == validation.clips[second]


def _some(names: Sequence[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(name.rpartition("/")[2] for name in names[:most]) + more


def _count(number: int, word: str) -> str:
    return f"one {word}" if number == 1 else f"{number} {word}s"
