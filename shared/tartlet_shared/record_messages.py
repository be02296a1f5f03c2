"""The messages of recording: video as it is encoded on the device, and what is seen in it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from tartlet_shared.message_base import FrameInfo, Reply, Request
from tartlet_shared.observation import Observation

LONGEST_S = 3600.0
Bitrate = Annotated[int, msgspec.Meta(ge=50, le=50_000)]
VideoRate = Annotated[float, msgspec.Meta(ge=0.5, le=60)]


class RecordRequest(Request, frozen=True, kw_only=True):
    """Encode what the camera sees as H.264, until the time is over or the connection closed.

    Attributes:
        seconds: for so long, by the times at which frames were taken.
        rate: frames per second at most.
        bitrate_kbps: kilobits that a second may take.
        full: pictures as large as the camera gives them, where that is larger than a prediction's.
        detect: look at frames too, if a model serves.
    """

    seconds: Annotated[float, msgspec.Meta(gt=0, le=LONGEST_S)] = LONGEST_S
    rate: VideoRate = 30.0
    bitrate_kbps: Bitrate = 4000
    full: bool = False
    detect: bool = True


class RecordedFormat(msgspec.Struct, frozen=True, kw_only=True):
    """What a decoder must know before the first picture.

    Attributes:
        width, height: of the video, pixels.
        seen_width, seen_height: of the picture that boxes refer to; it shows the same.
        sequence_parameters, picture_parameters: the H.264 units, without start code.
    """

    width: int
    height: int
    seen_width: int
    seen_height: int
    sequence_parameters: bytes
    picture_parameters: bytes


class RecordedFrame(msgspec.Struct, frozen=True, kw_only=True):
    """One encoded picture.

    Attributes:
        frame: which one, and when it was taken.
        time_s: the same on the wall clock, Unix seconds.
        key: whether decoding can start here.
        content: its H.264 units, each behind its length as four bytes, big-endian.
    """

    frame: FrameInfo
    time_s: float
    key: bool
    content: bytes


class Recorded(Reply, frozen=True, kw_only=True):
    """The next pictures of a recording, and what was seen in some of those before.

    Attributes:
        format: in the first reply that has frames.
        frames: in the order in which they were taken.
        observations: frames that were looked at, in their order; they come after their frame.
        dropped: frames left out so far because encoder or connection was too slow.
        clock_synchronized: whether wall-clock times can be trusted.
        last: no more follow.
    """

    format: RecordedFormat | None = None
    frames: tuple[RecordedFrame, ...] = ()
    observations: tuple[Observation, ...] = ()
    dropped: int = 0
    clock_synchronized: bool = False
    last: bool = False
