"""The continuous loop: three threads, so that the model never waits for anything but frames.

prepare (wait for a frame, scale it) -> infer (give it to the model's process) -> follow (fetch what
the model made of it, boxes, and whoever wants them). Between two threads wait two frames at most: a
slow step makes the loop slower and never later. A frame is taken just in time for the model, and
frames in between are left out.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tartlet_device.camera.base import Frame
from tartlet_device.camera.owner import CameraOwner
from tartlet_device.continuous.hours import is_within
from tartlet_device.continuous.meter import Figures, Meter
from tartlet_device.continuous.motion_gate import MotionGate
from tartlet_device.continuous.pace import Pace
from tartlet_device.continuous.settings import DetectionSettings
from tartlet_device.detector import Outputs, Prepared
from tartlet_device.model import ServingModel
from tartlet_device.runtime.process import Inference
from tartlet_device.runtime.process_messages import SLOTS
from tartlet_device.trial import Loaded
from tartlet_shared import errors
from tartlet_shared.detections import Detections
from tartlet_shared.health_messages import StageHealth

_log = logging.getLogger(__name__)

_AHEAD = 2
"""Frames that wait for the model at most; the second only where a frame takes longer than an
inference, see `Pace`."""
_STOP_BEAT_S = 0.02
_BEAT_S = 0.5  # every thread looks up at least this often
_PAUSE_S = 1.0  # after a fault, and between two looks at the time of day
_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Seen:
    """What was found in a frame, best score first."""

    frame: Frame
    detections: Detections
    loaded: Loaded


@dataclass(frozen=True, eq=False)
class _Ready:
    frame: Frame
    loaded: Loaded
    prepared: Prepared


@dataclass(frozen=True, eq=False)
class _Underway:
    ready: _Ready
    inference: Inference


class Pipeline:
    """Looks at frame after frame until it is stopped."""

    def __init__(
        self,
        camera: CameraOwner,
        model: ServingModel,
        settings: DetectionSettings,
        follow: Callable[[Seen], None],
        *,
        wanted_score: Callable[[float], float] = lambda own: own,
        full: Callable[[], bool] = lambda: False,
        frame_timeout_s: float = 2.5,
        time_of_day: Callable[[], datetime.time] = lambda: datetime.datetime.now().time(),
    ) -> None:
        """
        Args:
            camera: started.
            model: may be without a model for now.
            settings: from the configuration.
            follow: gets what was found, in order, in a thread of its own; what it raises is logged.
            wanted_score: from the model's lowest score threshold to the one to use.
            full: whether frames are wanted in full size as well, for recording.
            frame_timeout_s: how long to wait for one.
            time_of_day: local.
        """
        self._camera, self._model, self._settings = camera, model, settings
        self._follow_with, self._full, self._wanted_score = follow, full, wanted_score
        self._frame_timeout_s, self._time_of_day = frame_timeout_s, time_of_day
        self._gate = None if settings.motion is None else MotionGate(settings.motion)
        # Bounded by `_room`, and by the model's process, which takes `SLOTS` frames at a time.
        self._ready: queue.SimpleQueue[_Ready] = queue.SimpleQueue()
        self._underway: queue.SimpleQueue[_Underway] = queue.SimpleQueue()
        self._room = threading.Semaphore(_AHEAD)
        self._counting = threading.Lock()
        self._ahead = 0  # frames that the model's process has not taken up yet
        self._count = 0  # of inferences that the model's process has to do, or does
        self._pace = Pace()
        self._meter = Meter()
        self._fault = ""
        self._stopping = threading.Event()
        self._beats: dict[str, float] = {}
        self._threads = [
            threading.Thread(target=self._loop, args=(step,), name=step.__name__[1:], daemon=True)
            for step in (self._prepare, self._infer, self._follow)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            self._beats[thread.name] = time.monotonic()
            thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """End them; a frame on its way is dropped."""
        self._stopping.set()
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            while thread.is_alive() and time.monotonic() < deadline:
                self._drop_underway()  # the next thread may wait for room in the model's process
                thread.join(_STOP_BEAT_S)
        self._drop_underway()

    def _drop_underway(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._underway.get_nowait().inference.drop()

    def alive(self, within_s: float) -> bool:
        """Whether every thread has looked up within the last ``within_s`` seconds."""
        now = time.monotonic()
        return all(
            thread.is_alive() and now - self._beats[thread.name] < within_s
            for thread in self._threads
        )

    def figures(self) -> Figures:
        """Rates and latencies of the last frames."""
        return self._meter.figures()

    def stages(self) -> tuple[StageHealth, ...]:
        """Its queues."""
        # The camera drops what nobody takes; what was taken is never dropped.
        skipped = self._meter.skipped
        return (
            StageHealth(
                name="inference", waiting=self._ready.qsize(), most=_AHEAD, dropped=skipped
            ),
            StageHealth(name="tracking", waiting=self._underway.qsize(), most=SLOTS, dropped=0),
        )

    @property
    def fault(self) -> str:
        """Why nothing is looked at; empty while frames are."""
        return self._fault

    # -- in the threads

    def _loop(self, step: Callable[[], None]) -> None:
        name = threading.current_thread().name
        while not self._stopping.is_set():
            self._beats[name] = time.monotonic()
            try:
                step()
            except errors.TartletError as error:
                self._pause(str(error))
            except Exception as error:  # noqa: BLE001  (the daemon must go on)
                _log.exception("continuous detection failed in a way nobody expected")
                self._pause(f"{type(error).__name__}: {error}")

    def _prepare(self) -> None:
        if not self._room.acquire(timeout=_BEAT_S):
            return
        handed_over = False
        try:
            handed_over = self._take_frame()
        finally:
            if not handed_over:
                self._room.release()

    def _take_frame(self) -> bool:
        """Whether there is a frame before the model now."""
        self._wait(self._pace.spare_s(self._ahead))
        begun_s = time.monotonic()
        if not is_within(self._settings.hours, self._time_of_day()):
            self._wait(_PAUSE_S)
            return False
        loaded = self._model.loaded()
        frame = self._camera.next_frame(self._frame_timeout_s, full=self._full(), fresh=False)
        self._meter.took(frame.info.number)
        prepared = loaded.detector.prepare(frame.image)
        self._fault = ""
        self._pace.frame_took(time.monotonic() - begun_s)
        moves = self._gate is None or self._gate.is_open(
            prepared.canvas, frame.info.monotonic_ns / 1e9
        )
        if moves:
            with self._counting:
                self._ahead += 1
            self._ready.put(_Ready(frame, loaded, prepared))
        else:
            self._meter.left_out()
        if self._settings.rate is not None:
            self._wait(begun_s + 1 / self._settings.rate - time.monotonic())
        return moves

    def _infer(self) -> None:
        ready = self._take(self._ready)
        if ready is None:
            return
        try:
            inference = self._model.submit(ready.loaded, ready.prepared)
        except BaseException:
            with self._counting:
                self._ahead -= 1
            self._room.release()
            raise
        with self._counting:
            self._count += 1
            if self._count == 1:
                self._begins()
        self._underway.put(_Underway(ready, inference))
        if self._stopping.is_set():  # `stop` may have looked for the last time
            self._drop_underway()

    def _begins(self) -> None:
        """The model's process takes up a frame, so that the next one may come."""
        self._pace.inference_begins()
        self._ahead -= 1
        self._room.release()

    def _fetch(self, inference: Inference) -> Outputs:
        try:
            outputs = inference.outputs()
            self._pace.inference_ends()
        finally:
            with self._counting:
                self._count -= 1
                if self._count:
                    self._begins()
        self._meter.inferred(inference.took_s)
        return outputs

    def _follow(self) -> None:
        underway = self._take(self._underway)
        if underway is None:
            return
        ready = underway.ready
        outputs = self._fetch(underway.inference)
        detector = ready.loaded.detector
        own = min(detector.decoding.thresholds(len(detector.labels)))
        found = detector.finish(
            outputs, ready.prepared.box, score_threshold=self._wanted_score(own)
        )
        self._meter.done(ready.frame.info.monotonic_ns / 1e9)
        self._follow_with(Seen(ready.frame, found, ready.loaded))

    def _take(self, where: queue.SimpleQueue[_T]) -> _T | None:
        try:
            return where.get(timeout=_BEAT_S)
        except queue.Empty:
            return None

    def _pause(self, fault: str) -> None:
        if fault != self._fault:
            _log.warning("continuous detection: %s", fault)
        self._fault = fault
        self._wait(_PAUSE_S)

    def _wait(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0 and not self._stopping.is_set():
            self._beats[threading.current_thread().name] = time.monotonic()
            self._stopping.wait(min(left_s, _BEAT_S))
