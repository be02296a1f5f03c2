"""What all messages have in common."""

from __future__ import annotations

from typing import Annotated

import msgspec

RequestId = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
Quality = Annotated[int, msgspec.Meta(ge=1, le=100)]
"""Of a JPEG."""


class Message(msgspec.Struct, frozen=True, tag=True, tag_field="type", kw_only=True):
    """Base of all messages. Fields added later need a default; unknown fields are skipped."""


class Request(Message, frozen=True, kw_only=True):
    """Base of what the laptop asks; ``request_id`` comes back in the reply."""

    request_id: RequestId


class Reply(Message, frozen=True, kw_only=True):
    """Base of what the Pi answers."""

    request_id: RequestId


class Failure(Reply, frozen=True, kw_only=True):
    """A request that failed; see `tartlet_shared.errors` for the codes."""

    code: str
    what: str
    where: str = ""
    hint: str = ""


class FrameInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Which frame of the camera a picture is.

    Attributes:
        number: counts frames since the camera was opened, from 1; for replayed footage the
            number of the frame in the footage.
        monotonic_ns: when it was taken, on the Pi's monotonic clock.
    """

    number: int
    monotonic_ns: int
