"""The recorder as the configuration wants it, told by the continuous loop."""

from __future__ import annotations

import threading

from tartlet_device.continuous.follower import Understood
from tartlet_device.events.recorder import Recorder
from tartlet_device.events.settings import EventSettings
from tartlet_shared.health_messages import EventsHealth, StageHealth
from tartlet_shared.observation import EventEnded


class EventKeeper:
    """Keeps events while the configuration says so. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._settings = EventSettings()
        self._recorder: Recorder | None = None

    @property
    def settings(self) -> EventSettings:
        """Those that hold now."""
        return self._settings

    @property
    def recorder(self) -> Recorder | None:
        """The one that keeps events now; None while none are kept."""
        return self._recorder

    def apply(self, settings: EventSettings) -> None:
        """Go on with these settings; clips that go on end where they change."""
        with self._lock:
            if settings == self._settings:
                return
            self._end()
            self._settings = settings
            if settings.enabled:
                recorder = Recorder(settings)
                recorder.start()
                self._recorder = recorder

    def stop(self) -> None:
        """Write what waits, and end."""
        with self._lock:
            self._end()
            self._settings = EventSettings()

    def saw(self, understood: Understood) -> None:
        """See `tartlet_device.continuous.service.Audience`."""
        recorder = self._recorder
        if recorder is not None:
            recorder.saw(understood.frame, understood.observation)
            for event in understood.events:
                recorder.event(event)

    def ended(self, events: tuple[EventEnded, ...]) -> None:
        """See `tartlet_device.continuous.service.Audience`."""
        recorder = self._recorder
        if recorder is not None:
            for event in events:
                recorder.event(event)

    @property
    def wants_full_frames(self) -> bool:
        """Whether there are to be pictures or clips."""
        settings = self._settings
        video = settings.video.clips or settings.video.continuous
        return settings.enabled and (settings.pictures or video)

    def health(self) -> EventsHealth | None:
        """How it goes; None while no events are kept."""
        recorder = self._recorder
        if recorder is None:
            return None
        return EventsHealth(lost=recorder.log.lost, faults=recorder.faults)

    def stages(self) -> tuple[StageHealth, ...]:
        """The recorder's queue, if there is one."""
        recorder = self._recorder
        return () if recorder is None else (recorder.stage(),)

    def alive(self, within_s: float) -> bool:
        """Whether the recorder does its work, if there is one."""
        recorder = self._recorder
        return recorder is None or recorder.alive(within_s)

    def _end(self) -> None:
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            recorder.stop()
