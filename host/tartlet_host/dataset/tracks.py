"""Boxes of one person linked over time, so that short gaps can be filled and flicker dropped."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from tartlet_shared.detections import FloatArray
from tartlet_shared.nms import box_iou


@dataclass(frozen=True)
class TrackSettings:
    """When two boxes are the same person.

    Attributes:
        least_iou: with the box where the track was expected.
        longest_gap: frames that a track may be unseen, behind a post or in a crowd.
        least_boxes: a shorter track is flicker.
        memory: frames that the expected speed is taken from.
    """

    least_iou: float = 0.3
    longest_gap: int = 15
    least_boxes: int = 5
    memory: int = 8


@dataclass
class Track:
    """Boxes by frame; ``boxes[frame]`` is ``(4,)`` xyxy."""

    boxes: dict[int, FloatArray] = field(default_factory=dict)

    @property
    def last(self) -> int:
        """The newest frame with a box."""
        return next(reversed(self.boxes))

    def expected(self, frame: int, memory: int) -> FloatArray:
        """Where the next box should be, at the speed of the last ``memory`` frames."""
        newest = self.last
        recent = [at for at in self.boxes if at > newest - memory]
        box, old = self.boxes[newest], self.boxes[recent[0]]
        if newest == recent[0]:
            return box
        centre = np.tile((box[:2] + box[2:] - old[:2] - old[2:]) / 2, 2)
        moved = box + centre / (newest - recent[0]) * (frame - newest)
        return np.asarray(moved, np.float32)


def link(frames: dict[int, FloatArray], settings: TrackSettings) -> list[Track]:
    """Link boxes of successive frames, best overlap first; short tracks are dropped.

    Args:
        frames: boxes ``(n, 4)`` by frame number, in rising order.
    """
    done: list[Track] = []
    open_tracks: list[Track] = []
    for frame, boxes in frames.items():
        alive = [track for track in open_tracks if frame - track.last <= settings.longest_gap]
        done += [track for track in open_tracks if frame - track.last > settings.longest_gap]
        taken = _match(alive, frame, boxes, settings)
        started = [Track({frame: boxes[row]}) for row in range(len(boxes)) if row not in taken]
        open_tracks = alive + started
    return [track for track in done + open_tracks if len(track.boxes) >= settings.least_boxes]


def fill(track: Track) -> dict[int, FloatArray]:
    """Boxes for the frames between a track's boxes, by linear interpolation."""
    filled: dict[int, FloatArray] = {}
    for before, after in pairwise(track.boxes):
        for frame in range(before + 1, after):
            part = (frame - before) / (after - before)
            box = track.boxes[before] * (1 - part) + track.boxes[after] * part
            filled[frame] = box.astype(np.float32)
    return filled


def _match(tracks: list[Track], frame: int, boxes: FloatArray, settings: TrackSettings) -> set[int]:
    """Append each box to the track it overlaps best; returns the rows that found one."""
    if not tracks or not len(boxes):
        return set()
    expected = np.stack([track.expected(frame, settings.memory) for track in tracks])
    overlap = box_iou(expected, boxes)
    taken: set[int] = set()
    continued: set[int] = set()
    for flat in np.argsort(-overlap, axis=None, kind="stable"):
        place, row = (int(index) for index in np.unravel_index(flat, overlap.shape))
        if overlap[place, row] < settings.least_iou:
            break
        if place in continued or row in taken:
            continue
        tracks[place].boxes[frame] = boxes[row]
        continued.add(place)
        taken.add(row)
    return taken
