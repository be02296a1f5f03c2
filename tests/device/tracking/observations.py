"""Observations made by hand."""

from __future__ import annotations

from tartlet_shared.messages import FrameInfo
from tartlet_shared.observation import Observation, Track

WIDTH, HEIGHT = 200, 100


def track_at(
    x: float,
    y: float,
    *,
    track_id: int = 1,
    label: str = "person",
    score: float = 0.9,
    zones: tuple[str, ...] = (),
) -> Track:
    """A track 10 wide and 20 high with its bottom centre at fractions of the picture."""
    x, y = x * WIDTH, y * HEIGHT
    return Track(
        track_id=track_id,
        label=label,
        score=score,
        xyxy=(x - 5, y - 20, x + 5, y),
        frames=1,
        since_ns=0,
        zones=zones,
    )


def observed(seconds: float, *tracks: Track) -> Observation:
    """What was seen so many seconds after the start, at ten frames a second."""
    return Observation(
        frame=FrameInfo(number=round(seconds * 10) + 1, monotonic_ns=round(seconds * 1e9)),
        time_s=1_800_000_000 + seconds,
        clock_synchronized=True,
        width=WIDTH,
        height=HEIGHT,
        tracks=tracks,
    )
