"""Answers to `WatchRequest`: what continuous detection sees, as it sees it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

from tartlet_device.continuous.service import Continuous
from tartlet_device.pictures import encode_jpeg
from tartlet_shared.observation import EventBegan, EventEnded
from tartlet_shared.watch_messages import Watched, WatchRequest

_SILENCE_S = 2.0
"""A watcher hears something at least so often."""


def watched(request: WatchRequest, continuous: Continuous) -> Iterator[Watched]:
    """Observations, the newest where the watcher is too slow for all.

    Detection runs for it, whatever the configuration says.
    """
    end_s = math.inf if request.seconds is None else time.monotonic() + request.seconds
    due_s = 0.0
    skipped = 0
    told: list[EventBegan | EventEnded] = []
    with continuous.watched(pictures=request.want_picture) as watcher:
        while (left_s := end_s - time.monotonic()) > 0:
            seen = watcher.next(min(left_s, _SILENCE_S))
            skipped += watcher.missed()
            if seen is None:
                report = continuous.report()
                # Sent also where there is no fault, so that a peer that has gone is noticed.
                yield Watched(request_id=request.request_id, fault=report[1] if report else "")
                continue
            told += seen.events
            if time.monotonic() < due_s:
                skipped += 1
                continue
            due_s = time.monotonic() + (0 if request.rate is None else 1 / request.rate)
            image = seen.frame.image
            yield Watched(
                request_id=request.request_id,
                observation=seen.observation,
                events=tuple(told),
                jpeg=encode_jpeg(image.rgb(), request.quality) if request.want_picture else b"",
                skipped=skipped,
            )
            skipped, told = 0, []
    yield Watched(request_id=request.request_id, events=tuple(told), skipped=skipped, last=True)
