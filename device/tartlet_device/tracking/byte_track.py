"""Objects followed from frame to frame, by where they are.

ByteTrack (Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every Detection Box",
ECCV 2022): each track is expected where a Kalman filter says; detections with a high score are
matched to all tracks, those with a low score then to what is left of the tracks seen a moment ago,
because a faint detection where an object was is that object, half hidden. Three things differ: time
is in seconds, since frames on a Pi come as they can; objects are matched within their class; and
what is left is matched with enlarged boxes, for at few frames a second boxes of one object do not
overlap until its speed is known (buffered IoU, Yang et al., "Hard to Track Objects with Irregular
Motions and Similar Appearances?", WACV 2023).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tartlet_device.tracking import kalman
from tartlet_device.tracking.matching import Pairs, buffered, match_boxes
from tartlet_device.tracking.scores import appended, median_score
from tartlet_device.tracking.settings import TrackerSettings
from tartlet_shared.detections import Detections, FloatArray
from tartlet_shared.observation import Track

MAX_TRACKS = 256  # followed at once, lost ones included; beyond, none begins
_LEAST_IOU_LOW = 0.5  # published: a low score must lie well where its track is expected
_LEAST_IOU_NEW = 0.3  # published: for tracks that are not confirmed yet
_BUFFER = 0.5  # of width and height, on each side


@dataclass(frozen=True)
class _Followed:
    """What is known of an object besides its box; ``track_id`` is 0 until it is confirmed."""

    label: str
    since_ns: int
    seen_ns: int
    scores: tuple[float, ...]
    frames: int = 1
    track_id: int = 0


class Tracker:
    """Follows objects. Not to be used by two threads at once."""

    def __init__(self, settings: TrackerSettings | None = None) -> None:
        self.settings = settings or TrackerSettings()
        self._followed: list[_Followed] = []
        self._boxes = kalman.start(np.zeros((0, 4), np.float32))
        self._now_ns: int | None = None
        self._last_id = 0

    def wanted_score(self, threshold: float) -> float:
        """The score threshold that the detector should run with, in ``[0, 1]``.

        Args:
            threshold: what the detector would run with for others.
        """
        return min(threshold, self.settings.low_score)

    def update(
        self, detections: Detections, labels: tuple[str, ...], monotonic_ns: int
    ) -> tuple[Track, ...]:
        """Take in what was detected in the next frame.

        Args:
            detections: also those with low scores; what is below ``low_score`` is ignored.
            labels: name of each class.
            monotonic_ns: when the frame was taken; later than the one of the last call.

        Returns:
            The confirmed tracks that were detected in this frame, by rising id. Their boxes are
            the filter's, which jitter less than the detections.

        Raises:
            ValueError: the time does not go on, or a class has no label.
        """
        lost = self._advance(monotonic_ns)
        size = detections.xyxy[:, 2:] - detections.xyxy[:, :2]
        usable = (detections.score >= self.settings.low_score) & (size > 0).all(axis=1)
        found = detections[usable]
        if len(found) and found.class_id.max() >= len(labels):
            raise ValueError(f"class {found.class_id.max()} of {len(labels)} labels")
        names = [labels[index] for index in found.class_id]

        pairs = self._paired(found, names, lost)
        self._take(pairs, found, monotonic_ns)
        # what is not confirmed may not miss a frame
        self._keep(
            [track.track_id > 0 or track.seen_ns == monotonic_ns for track in self._followed]
        )
        self._begin({column for _, column in pairs}, found, names, monotonic_ns)
        return self._shown(monotonic_ns)

    def _advance(self, now_ns: int) -> NDArray[np.bool_]:
        """Drop what was lost for too long, and expect the rest where it should be now.

        Returns:
            Which of the rest were not detected in the frame before.
        """
        before_ns = now_ns if self._now_ns is None else self._now_ns
        if self._now_ns is not None and now_ns <= before_ns:
            raise ValueError(f"the time does not go on: from {before_ns} to {now_ns} ns")
        self._now_ns = now_ns
        longest_ns = self.settings.lost_s * 1e9
        self._keep([now_ns - track.seen_ns <= longest_ns for track in self._followed])
        lost = np.array([track.seen_ns < before_ns for track in self._followed], dtype=bool)
        self._boxes = kalman.predict(self._boxes, (now_ns - before_ns) / 1e9, keep_size=lost)
        return lost

    def _paired(self, found: Detections, names: list[str], lost: NDArray[np.bool_]) -> Pairs:
        """Pairs of a track and a detection: the published three rounds, then two with more room."""
        expected = self._boxes.xyxy
        confirmed = np.array([track.track_id > 0 for track in self._followed], dtype=bool)
        high = found.score >= self.settings.high_score
        free_tracks, free_found = np.ones(len(expected), bool), np.ones(len(found), bool)
        classes = np.array([track.label for track in self._followed], dtype=object)
        same_class = classes[:, None] == np.array(names, dtype=object)[None, :]
        pairs: Pairs = []
        for of_tracks, of_found, least_iou, margin in (
            (confirmed, high, self.settings.least_iou, 0.0),
            (confirmed & ~lost, ~high, _LEAST_IOU_LOW, 0.0),
            (~confirmed, high, _LEAST_IOU_NEW, 0.0),
            (confirmed, high, self.settings.least_iou, _BUFFER),
            (~confirmed, high, self.settings.least_iou, _BUFFER),
        ):
            rows = np.flatnonzero(of_tracks & free_tracks)
            columns = np.flatnonzero(of_found & free_found)
            if not len(rows) or not len(columns):
                continue
            allowed = same_class[np.ix_(rows, columns)]
            places, boxes = expected[rows], found.xyxy[columns]
            if margin:
                places, boxes = buffered(places, margin), buffered(boxes, margin)
            for row, column in match_boxes(places, boxes, allowed, least_iou=least_iou):
                pairs.append((int(rows[row]), int(columns[column])))
                free_tracks[rows[row]] = free_found[columns[column]] = False
        return pairs

    def _take(self, pairs: Pairs, found: Detections, now_ns: int) -> None:
        """Let tracks know what was detected of them."""
        if not pairs:
            return
        rows, columns = np.array(pairs, dtype=np.int64).T
        self._boxes = kalman.update(self._boxes, rows, found.xyxy[columns])
        for row, column in sorted(pairs):
            track = self._followed[row]
            self._followed[row] = self._confirmed(
                replace(
                    track,
                    seen_ns=now_ns,
                    frames=track.frames + 1,
                    scores=appended(
                        track.scores,
                        float(found.score[column]),
                        window=self.settings.score_window,
                    ),
                )
            )

    def _begin(self, taken: set[int], found: Detections, names: list[str], now_ns: int) -> None:
        """Begin tracks from high scores that belong to none, best first."""
        room = MAX_TRACKS - len(self._followed)
        left = [
            row
            for row in np.argsort(-found.score, kind="stable")
            if int(row) not in taken and found.score[row] >= self.settings.high_score
        ][:room]
        if not left:
            return
        self._boxes = kalman.joined(self._boxes, kalman.start(found.xyxy[left]))
        for row in left:
            self._followed.append(
                self._confirmed(
                    _Followed(
                        label=names[row],
                        since_ns=now_ns,
                        seen_ns=now_ns,
                        scores=(float(found.score[row]),),
                    )
                )
            )

    def _confirmed(self, track: _Followed) -> _Followed:
        """The track, with an id as soon as it has frames enough."""
        if track.track_id or track.frames < self.settings.confirm_frames:
            return track
        self._last_id += 1
        return replace(track, track_id=self._last_id)

    def _keep(self, kept: list[bool] | NDArray[np.bool_]) -> None:
        mask = np.asarray(kept, dtype=bool)
        if mask.all():
            return
        self._boxes = self._boxes[mask]
        self._followed = [self._followed[row] for row in np.flatnonzero(mask)]

    def _shown(self, now_ns: int) -> tuple[Track, ...]:
        boxes = self._boxes.xyxy
        shown = [
            Track(
                track_id=track.track_id,
                label=track.label,
                score=median_score(track.scores),
                xyxy=_floats(boxes[row]),
                frames=track.frames,
                since_ns=track.since_ns,
            )
            for row, track in enumerate(self._followed)
            if track.track_id and track.seen_ns == now_ns
        ]
        return tuple(sorted(shown, key=lambda track: track.track_id))


def _floats(box: FloatArray) -> tuple[float, float, float, float]:
    left, top, right, bottom = (float(side) for side in box)
    return left, top, right, bottom
