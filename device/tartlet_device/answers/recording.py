"""Answers to `RecordRequest`: video as it is encoded, and what is seen in it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec

from tartlet_device import machine
from tartlet_device.camera.owner import CameraOwner
from tartlet_device.continuous.service import Continuous
from tartlet_device.continuous.watchers import Watcher
from tartlet_device.events.encoder import Encoder, open_encoder
from tartlet_device.events.settings import VideoSettings
from tartlet_device.filming import Filming, Taken
from tartlet_device.image import Size
from tartlet_shared import errors
from tartlet_shared.observation import Observation
from tartlet_shared.record_messages import (
    Recorded,
    RecordedFormat,
    RecordedFrame,
    RecordRequest,
)

_SILENCE_S = 2.0
"""Whoever records hears something at least so often, and a peer that has gone is noticed."""
_LATE_S = 3.0
"""After the last frame, for so long what was seen in it is waited for."""


def recorded(
    request: RecordRequest,
    camera: CameraOwner,
    continuous: Continuous,
    video: VideoSettings,
    *,
    frame_timeout_s: float,
    detect: bool,
    encoder: Callable[[Size, VideoSettings], Encoder] = open_encoder,
) -> Iterator[Recorded]:
    """Film and tell until the time is over.

    Args:
        request: how long, how large and how fast.
        camera: started.
        continuous: looks at frames meanwhile.
        video: which encoder.
        frame_timeout_s: how long to wait for a frame.
        detect: whether frames are looked at too.
        encoder: opens an encoder.

    Raises:
        DeviceError: the camera or the encoder does not work; says why.
    """
    settings = msgspec.structs.replace(video, rate=request.rate, bitrate_kbps=request.bitrate_kbps)
    with contextlib.ExitStack() as stack:
        filming = stack.enter_context(
            Filming(
                camera,
                settings,
                seconds=request.seconds,
                full=request.full,
                frame_timeout_s=frame_timeout_s,
                encoder=encoder,
            )
        )
        watcher = stack.enter_context(continuous.watched(pictures=False)) if detect else None
        first: Taken | None = None
        last_number = 0
        ended = False
        while not ended:
            taken, ended = filming.take(_SILENCE_S)
            if taken and taken[0].packet.format != (first or taken[0]).packet.format:
                raise errors.DeviceError("the encoder changed its format", where="encoder")
            yield Recorded(
                request_id=request.request_id,
                format=_format(taken[0]) if taken and first is None else None,
                frames=_frames(taken),
                observations=_seen(watcher, 0.0) if watcher is not None else (),
                dropped=filming.dropped,
                clock_synchronized=machine.clock_synchronized(),
            )
            if taken:
                first = first or taken[0]
                last_number = taken[-1].info.number
        yield Recorded(
            request_id=request.request_id,
            observations=() if watcher is None else _rest(watcher, last_number),
            dropped=filming.dropped,
            clock_synchronized=machine.clock_synchronized(),
            last=True,
        )


def _format(taken: Taken) -> RecordedFormat:
    encoded = taken.packet.format
    return RecordedFormat(
        width=encoded.width,
        height=encoded.height,
        seen_width=taken.seen_size[0],
        seen_height=taken.seen_size[1],
        sequence_parameters=encoded.sequence_parameters,
        picture_parameters=encoded.picture_parameters,
    )


def _frames(taken: Sequence[Taken]) -> tuple[RecordedFrame, ...]:
    # Frames wait a little on their way here: the wall clock when they were taken.
    offset_s = time.time() - time.monotonic_ns() / 1e9
    return tuple(
        RecordedFrame(
            frame=each.info,
            time_s=offset_s + each.info.monotonic_ns / 1e9,
            key=each.packet.key,
            content=each.packet.content,
        )
        for each in taken
    )


def _seen(watcher: Watcher, timeout_s: float) -> tuple[Observation, ...]:
    found = []
    while (seen := watcher.next(timeout_s)) is not None:
        found.append(seen.observation)
        timeout_s = 0.0
    return tuple(found)


def _rest(watcher: Watcher, last_number: int) -> tuple[Observation, ...]:
    """What is seen in the last frames, which the model may still be looking at."""
    found: list[Observation] = []
    end_s = time.monotonic() + _LATE_S
    while (left_s := end_s - time.monotonic()) > 0:
        found += _seen(watcher, left_s)
        if found and found[-1].frame.number >= last_number:
            break
    return tuple(found)
