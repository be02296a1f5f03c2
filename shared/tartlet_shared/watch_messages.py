"""The messages of watching: what is seen, frame after frame, told as it happens."""

from __future__ import annotations

from typing import Annotated

import msgspec

from tartlet_shared.message_base import Quality, Reply, Request
from tartlet_shared.observation import EventBegan, EventEnded, Observation


class WatchRequest(Request, frozen=True, kw_only=True):
    """Tell what is seen, frame after frame, until the connection is closed.

    Attributes:
        seconds: for so long; None without end.
        rate: at most so many frames a second.
        want_picture: send each frame along as JPEG of ``quality``.
    """

    seconds: Annotated[float, msgspec.Meta(gt=0)] | None = None
    rate: Annotated[float, msgspec.Meta(gt=0, le=1000)] | None = None
    want_picture: bool = False
    quality: Quality = 80


class Watched(Reply, frozen=True, kw_only=True):
    """What was seen in one frame, and what began and ended.

    Attributes:
        observation: None in the last reply, and where nothing was looked at for a while; ``fault``
            then says why.
        events: that ended and began.
        jpeg: the frame, if it was asked for.
        skipped: frames that were looked at and not told of since the reply before.
        last: no more follow.
    """

    observation: Observation | None = None
    events: tuple[EventBegan | EventEnded, ...] = ()
    jpeg: bytes = b""
    skipped: int = 0
    fault: str = ""
    last: bool = False
