"""The picture of an event: the frame in which it was seen best, with what was seen in it."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from tartlet_device.camera.base import Frame
from tartlet_device.events import exif
from tartlet_device.pictures import encode_jpeg
from tartlet_shared.observation import EventBegan, Observation, Track


class PictureNote(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON beside a picture and in its Exif comment.

    Attributes:
        event_id, rule: which event it is of.
        track_id: the track that the event is about; None for a count.
        observation: what was seen in it, boxes in its pixels.
    """

    event_id: str
    rule: str
    track_id: int | None
    observation: Observation


@dataclass(frozen=True, eq=False)
class Candidate:
    """A frame that may become an event's picture.

    Attributes:
        track: what the event is about, as it is seen in the frame; None if it is not.
    """

    frame: Frame
    observation: Observation
    track: Track | None

    @property
    def score(self) -> float:
        """How well the event is seen in it."""
        return 0.0 if self.track is None else self.track.score


def candidate(event: EventBegan, frame: Frame, observation: Observation) -> Candidate:
    """How an event is seen in a frame: by its own track, or the best of its label."""
    tracks = [each for each in observation.tracks if _is_of(event, each)]
    best = max(tracks, key=lambda each: each.score, default=None)
    return Candidate(frame, observation, best)


def encoded(event: EventBegan, chosen: Candidate, quality: int) -> tuple[bytes, bytes]:
    """The picture as JPEG, and what was seen in it as JSON."""
    note = msgspec.json.encode(
        PictureNote(
            event_id=event.event_id,
            rule=event.rule,
            track_id=event.track_id,
            observation=chosen.observation,
        )
    )
    jpeg = encode_jpeg(chosen.frame.image.rgb(), quality)
    # ASCII with escapes, since viewers disagree about anything else in this comment.
    comment = ascii_json(note)
    if len(comment) + 8 <= exif.MAX_COMMENT:
        jpeg = exif.with_comment(jpeg, comment)
    return jpeg, note


def ascii_json(content: bytes) -> str:
    """JSON with everything beyond ASCII written as escapes."""
    units = content.decode().encode("utf-16-be")
    pairs = (int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2))
    return "".join(chr(unit) if unit < 128 else f"\\u{unit:04x}" for unit in pairs)


def _is_of(event: EventBegan, track: Track) -> bool:
    if event.track_id is not None:
        return track.track_id == event.track_id
    return track.label == event.label
