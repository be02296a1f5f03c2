"""Continuous detection as the daemon runs it: while the configuration or a watcher wants it."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from typing import Protocol

from tartlet_device.camera.owner import CameraOwner
from tartlet_device.continuous.counts import Counts, together
from tartlet_device.continuous.follower import Follower, Understood
from tartlet_device.continuous.meter import Figures
from tartlet_device.continuous.pipeline import Pipeline
from tartlet_device.continuous.settings import DetectionSettings
from tartlet_device.continuous.watchers import Watcher, Watchers
from tartlet_device.model import ServingModel
from tartlet_device.tracking.settings import TrackingSettings
from tartlet_shared.health_messages import StageHealth
from tartlet_shared.observation import EventEnded

_log = logging.getLogger(__name__)


class Audience(Protocol):
    """Who is told what goes on, such as the recorder; called in the loop's last thread."""

    def saw(self, understood: Understood) -> None:
        """The next frame, and what goes on in it. Must not wait."""
        ...

    def ended(self, events: tuple[EventEnded, ...]) -> None:
        """Nobody looks any more, so these are over."""
        ...

    @property
    def wants_full_frames(self) -> bool:
        """Whether frames are wanted as large as there are, not just large enough for the model."""
        ...


class Continuous:
    """The loop, begun and ended as it is wanted. Safe to use from several threads."""

    def __init__(
        self,
        camera: CameraOwner,
        model: ServingModel,
        audience: tuple[Audience, ...] = (),
        *,
        frame_timeout_s: float,
    ) -> None:
        """
        Args:
            camera: started.
            model: may be without a model for now.
            audience: told of every frame.
            frame_timeout_s: how long to wait for one.
        """
        self._camera, self._model, self._audience = camera, model, audience
        self._frame_timeout_s = frame_timeout_s
        self._lock = threading.Lock()
        self._detection, self._tracking = DetectionSettings(), TrackingSettings()
        self._watchers = Watchers()
        self._running: tuple[Pipeline, Follower] | None = None
        self._counted = Counts()  # before it began the last time
        self._closed = False

    def apply(self, detection: DetectionSettings, tracking: TrackingSettings) -> None:
        """Go on with these settings; events that go on end where they change."""
        with self._lock:
            if (detection, tracking) != (self._detection, self._tracking):
                self._end()
            self._counted = self._counted.of(
                {each.name for each in tracking.zones if each in self._tracking.zones},
                {each.name for each in tracking.lines if each in self._tracking.lines},
            )
            self._detection, self._tracking = detection, tracking
            self._begin_if_wanted()

    def rest(self) -> None:
        """End it until the next `apply` or watcher; events that go on end."""
        with self._lock:
            self._end()

    def stop(self) -> None:
        """End it for good."""
        with self._lock:
            self._closed = True
            self._end()

    @contextlib.contextmanager
    def watched(self, *, pictures: bool) -> Iterator[Watcher]:
        """Somebody watches, so it runs, whatever the configuration says.

        Args:
            pictures: whether frames are wanted in full.
        """
        try:
            with self._watchers.join(pictures=pictures) as watcher:
                with self._lock:
                    self._begin_if_wanted()
                yield watcher
        finally:
            with self._lock:
                if not self._wanted:
                    self._end()

    def alive(self, within_s: float) -> bool:
        """Whether its threads do their work, if it runs."""
        running = self._running
        return running is None or running[0].alive(within_s)

    def report(self) -> tuple[Figures, str] | None:
        """How it went lately, and why nothing is looked at; None while it does not run."""
        running = self._running
        return None if running is None else (running[0].figures(), running[0].fault)

    def stages(self) -> tuple[StageHealth, ...]:
        """Its queues, and that of those who watch."""
        running = self._running
        own = () if running is None else running[0].stages()
        return (*own, self._watchers.stage())

    def counts(self) -> Counts:
        """What was counted in zones and on lines, since they are what they are.

        Zones and lines keep their counts until they are changed or the daemon ends.
        """
        running, counted = self._running, self._counted
        return together(counted, Counts() if running is None else running[1].counts())

    @property
    def _wanted(self) -> bool:
        return not self._closed and (self._detection.enabled or self._watchers.any)

    def _begin_if_wanted(self) -> None:
        if not self._wanted or self._running is not None:
            return
        follower = Follower(self._tracking)
        pipeline = Pipeline(
            self._camera,
            self._model,
            self._detection,
            lambda seen: self._tell(follower.take(seen)),
            wanted_score=follower.wanted_score,
            full=self._wants_full_frames,
            frame_timeout_s=self._frame_timeout_s,
        )
        self._running = pipeline, follower
        pipeline.start()

    def _end(self) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        pipeline, follower = running
        pipeline.stop()
        self._counted = together(self._counted, follower.counts())
        ended = follower.finish()
        for each in self._audience:
            each.ended(ended)

    def _tell(self, understood: Understood) -> None:
        for each in self._audience:
            try:
                each.saw(understood)
            except Exception:  # noqa: BLE001  (the others are told all the same)
                _log.exception("%s failed in a way nobody expected", type(each).__name__)
        self._watchers.tell(understood)

    def _wants_full_frames(self) -> bool:
        return self._watchers.want_pictures or any(
            each.wants_full_frames for each in self._audience
        )
