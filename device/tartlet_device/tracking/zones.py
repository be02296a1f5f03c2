"""Which zones an object is in: by its bottom centre, where it stands."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tartlet_device.tracking.polygon import XY, contains
from tartlet_device.tracking.settings import Zone
from tartlet_shared.observation import Track


def bottom_centre(track: Track, width: int, height: int) -> XY:
    """The middle of a box's lower side as fractions of the picture, kept inside it.

    Args:
        width, height: of the picture, pixels.
    """
    left, _, right, bottom = track.xyxy
    return _clipped((left + right) / 2 / width), _clipped(bottom / height)


def located(
    tracks: Sequence[Track], zones: Sequence[Zone], width: int, height: int
) -> tuple[Track, ...]:
    """The tracks with the zones they are in, in the zones' order.

    Args:
        width, height: of the picture that the tracks' boxes refer to, pixels.
    """
    return tuple(
        msgspec.structs.replace(
            track,
            zones=tuple(
                zone.name
                for zone in zones
                if contains(zone.points, bottom_centre(track, width, height))
            ),
        )
        for track in tracks
    )


def _clipped(fraction: float) -> float:
    return min(max(fraction, 0.0), 1.0)
