"""Keys of ``[detection]``: whether, when and how often the camera's frames are looked at."""

from __future__ import annotations

from typing import Annotated

import msgspec

Fraction = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Hours = Annotated[str, msgspec.Meta(pattern=r"^([01]\d|2[0-4]):[0-5]\d-([01]\d|2[0-4]):[0-5]\d$")]


class MotionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When frames in which nothing moves are left out.

    Attributes:
        share: part of the model's canvas that must change.
        level: change of a pixel's brightness that counts, of 255.
        hold_s: seconds for which every frame is looked at after the last movement.
    """

    share: Fraction = 0.002
    level: Annotated[int, msgspec.Meta(ge=1, le=255)] = 20
    hold_s: Annotated[float, msgspec.Meta(ge=0.0, le=3600.0)] = 5.0


class DetectionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Continuous detection.

    Attributes:
        enabled: whether frames are looked at without a request.
        rate: at most so many frames a second; None for as many as the model manages.
        motion: leave still frames out; None looks at every frame.
        hours: spans of local time, such as "06:00-21:30", in which it works; over midnight too.
            Empty for always.
    """

    enabled: bool = False
    rate: Annotated[float, msgspec.Meta(gt=0.0, le=1000.0)] | None = None
    motion: MotionSettings | None = None
    hours: tuple[Hours, ...] = ()
