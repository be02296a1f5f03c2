"""From what a model found to what is going on: tracks, zones, lines, events."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tartlet_device import machine
from tartlet_device.camera.base import Frame
from tartlet_device.continuous.counts import Counts
from tartlet_device.continuous.pipeline import Seen
from tartlet_device.tracking.byte_track import Tracker
from tartlet_device.tracking.lines import Crossing, LineCounter
from tartlet_device.tracking.rules import Rules
from tartlet_device.tracking.settings import TrackingSettings
from tartlet_device.tracking.visits import Visit, ZoneCounter
from tartlet_device.tracking.zones import located
from tartlet_shared.observation import EventBegan, EventEnded, Observation

_ASK_NS = 1_000_000_000


@dataclass(frozen=True, eq=False)
class Understood:
    """A frame, and what is going on in it.

    Attributes:
        frame: the picture.
        observation: what is seen now.
        events: that ended and began with this frame, in this order.
        visits: to zones, that ended.
        crossings: of lines.
    """

    frame: Frame
    observation: Observation
    events: tuple[EventBegan | EventEnded, ...] = ()
    visits: tuple[Visit, ...] = ()
    crossings: tuple[Crossing, ...] = ()


class Follower:
    """Follows one camera. Frames come from one thread; any may ask for `counts`."""

    def __init__(
        self,
        settings: TrackingSettings,
        *,
        clock_s: Callable[[], float] = time.time,
        clock_synchronized: Callable[[], bool] = machine.clock_synchronized,
    ) -> None:
        """
        Args:
            settings: tracker, zones, lines and rules.
            clock_s: wall clock, Unix seconds.
            clock_synchronized: whether it can be trusted.
        """
        self._settings = settings
        self._clock_s, self._clock_synchronized = clock_s, clock_synchronized
        self._synchronized, self._asked_ns = False, -_ASK_NS
        self._tracker = Tracker(settings.tracker)
        self._rules = Rules(settings.rules)
        forget_s = settings.tracker.lost_s
        self._zones = ZoneCounter(settings.zones, leave_s=settings.leave_s, forget_s=forget_s)
        self._lines = LineCounter(settings.lines, forget_s=forget_s)
        self._counting = threading.Lock()

    def wanted_score(self, threshold: float) -> float:
        """The score threshold that the model should be run with; see `Tracker.wanted_score`."""
        return self._tracker.wanted_score(threshold)

    def take(self, seen: Seen) -> Understood:
        """The next frame."""
        info = seen.frame.info
        width, height = seen.frame.image.size
        tracks = self._tracker.update(
            seen.detections, seen.loaded.bundle.manifest.labels, info.monotonic_ns
        )
        # Frames wait a little on their way here: the wall clock when the frame was taken.
        age_s = (time.monotonic_ns() - info.monotonic_ns) / 1e9
        observation = Observation(
            frame=info,
            time_s=self._clock_s() - age_s,
            clock_synchronized=self._trusted(info.monotonic_ns),
            width=width,
            height=height,
            tracks=located(tracks, self._settings.zones, width, height),
        )
        with self._counting:
            visits, crossings = self._zones.update(observation), self._lines.update(observation)
        return Understood(
            frame=seen.frame,
            observation=observation,
            events=self._rules.update(observation),
            visits=visits,
            crossings=crossings,
        )

    def counts(self) -> Counts:
        """What was counted since it began."""
        with self._counting:
            return Counts(self._zones.counts(), self._lines.counts())

    def _trusted(self, now_ns: int) -> bool:
        """Whether the wall clock can be trusted; asked every second, since it takes a while."""
        if now_ns - self._asked_ns >= _ASK_NS:
            self._synchronized, self._asked_ns = self._clock_synchronized(), now_ns
        return self._synchronized

    def finish(self) -> tuple[EventEnded, ...]:
        """End all events: nobody looks any more."""
        return self._rules.finish(
            time_s=self._clock_s(),
            clock_synchronized=self._clock_synchronized(),
            monotonic_ns=time.monotonic_ns(),
        )
