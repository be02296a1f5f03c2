"""The thread that keeps events: enters them in the log, and records a picture and a clip of each.

Callers hand over frames, what was seen in them, and the beginnings and ends of events, in the
order in which they happened; handing over never waits and never raises. What cannot be kept at the
moment, for lack of disk or encoder, is told by `Recorder.faults`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from tartlet_device import machine
from tartlet_device.camera.base import Frame
from tartlet_device.events import picture
from tartlet_device.events.encoder import Encoder, open_encoder
from tartlet_device.events.footage import Footage
from tartlet_device.events.inbox import MOST_EVENTS, MOST_FRAMES, Inbox, Item, Seen
from tartlet_device.events.log import EventLog
from tartlet_device.events.picture import Candidate
from tartlet_device.events.settings import EventSettings, VideoSettings
from tartlet_device.events.storage import Storage
from tartlet_device.image import Size
from tartlet_shared.health_messages import StageHealth
from tartlet_shared.observation import EventBegan, EventEnded, Observation

_log = logging.getLogger(__name__)

_BEAT_S = 0.5
MOST_OPEN = 16
"""Events beyond so many at a time are in the log, without a picture."""


@dataclass
class _Open:
    """An event that goes on, its log entry's name, and the best frame so far."""

    event: EventBegan
    name: str
    best: Candidate | None
    written: Candidate | None = None


class Recorder:
    """Keeps events in a folder."""

    def __init__(
        self,
        settings: EventSettings,
        *,
        encoder: Callable[[Size, VideoSettings], Encoder] = open_encoder,
        clock_synchronized: Callable[[], bool] = machine.clock_synchronized,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Open the log and the storage, and mend what a kill left; the thread starts later.

        Args:
            encoder: opens a video encoder.
            clock_synchronized: whether the wall clock can be trusted.
            monotonic_ns: the clock that frames are stamped by.
        """
        self._settings = settings
        self.log = EventLog(settings.folder_path, most=settings.most)
        self._storage = Storage(
            settings.folder_path, settings.storage, clock_synchronized=clock_synchronized
        )
        self._footage = Footage(
            settings.video, self._storage, encoder=encoder, monotonic_ns=monotonic_ns
        )
        self._video = settings.video.clips or settings.video.continuous
        self._monotonic_ns = monotonic_ns
        self._inbox = Inbox()
        self._open: dict[str, _Open] = {}
        self._going_on: dict[str, None] = {}
        self._last: Seen | None = None
        self._kept_ns = 0
        self._beat = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Write what waits, finish clips, close the log and end the thread."""
        self._inbox.close()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        else:
            self._close()

    def saw(self, frame: Frame, observation: Observation | None = None) -> None:
        """A frame, in full if there are to be clips, and what was seen in it if somebody looked."""
        self._inbox.put(Seen(frame, observation))

    def event(self, event: EventBegan | EventEnded) -> None:
        """An event began or ended; after the frame that it was seen in."""
        self._inbox.put(event)

    @property
    def faults(self) -> dict[str, str]:
        """What does not work at the moment: part -> why."""
        parts = {
            "event log": self.log.fault,
            "recordings": self._storage.fault,
            "video": self._footage.fault,
        }
        return {part: text for part, text in parts.items() if text is not None}

    @property
    def dropped_frames(self) -> int:
        """Frames that came faster than they could be recorded."""
        return self._inbox.dropped_frames

    def stage(self) -> StageHealth:
        """What waits for its thread."""
        return StageHealth(
            name="recorder",
            waiting=len(self._inbox),
            most=MOST_FRAMES + MOST_EVENTS,
            dropped=self._inbox.dropped_frames + self._inbox.dropped_events,
        )

    def alive(self, within_s: float) -> bool:
        """Whether the thread has looked up within the last ``within_s`` seconds."""
        return self._thread.is_alive() and time.monotonic() - self._beat < within_s

    # -- in the thread

    def _run(self) -> None:
        self._keep_if_due()
        self._mark_missing()
        while not self._inbox.done:
            self._beat = time.monotonic()
            item = self._inbox.get(_BEAT_S)
            try:
                if item is not None:
                    self._handle(item)
                self._keep_if_due()
            except Exception:  # noqa: BLE001  (one event must not end the keeping of all others)
                _log.exception("the recorder failed in a way nobody expected")
        self._close()

    def _close(self) -> None:
        for event_id in list(self._open):
            self._write_picture(self._open.pop(event_id))
        self._footage.close()
        self.log.close()

    def _handle(self, item: Item) -> None:
        match item:
            case Seen():
                self._see(item)
            case EventBegan():
                self._begin(item)
            case EventEnded():
                self._end(item)

    def _see(self, seen: Seen) -> None:
        if self._video:
            self._footage.frame(seen.frame)
        observation = seen.observation
        if observation is None:
            return
        if self._video:
            self._footage.saw(observation)
        self._last = seen
        for each in self._open.values():
            offered = picture.candidate(each.event, seen.frame, observation)
            if each.best is None or offered.score > each.best.score:
                each.best = offered

    def _begin(self, event: EventBegan) -> None:
        record = self.log.begin(event)
        if record is None:
            return
        if len(self._going_on) < 10_000:
            self._going_on[event.event_id] = None
        if self._settings.pictures and len(self._open) < MOST_OPEN:
            best = None
            if self._last is not None and self._last.observation is not None:
                best = picture.candidate(event, self._last.frame, self._last.observation)
            opened = self._open[event.event_id] = _Open(event, record.name, best)
            # Now, not at the end, so that a power cut leaves one.
            self._write_picture(opened)
        clip = self._footage.clip_for(record.name, event.monotonic_ns) if self._video else None
        if clip is not None:
            self.log.attach(event.event_id, "clip", clip)

    def _end(self, event: EventEnded) -> None:
        self._going_on.pop(event.event_id, None)
        opened = self._open.pop(event.event_id, None)
        if opened is not None:
            self._write_picture(opened)
            event = _as_pictured(event, opened.written)
        self.log.end(event)
        if not self._going_on and self._video:
            self._footage.end_at(event.monotonic_ns)

    def _write_picture(self, opened: _Open) -> None:
        best = opened.best
        if best is None or best is opened.written:
            return
        jpeg, note = picture.encoded(opened.event, best, self._settings.picture_quality)
        if self._storage.write_picture(opened.name, jpeg, note):
            if opened.written is None:
                self.log.attach(opened.event.event_id, "picture", opened.name)
            opened.written = best

    def _keep_if_due(self) -> None:
        now_ns = self._monotonic_ns()
        if now_ns - self._kept_ns < 1e9:
            return
        self._kept_ns = now_ns
        self._footage.keep()
        gone = self._storage.keep()
        pictures = [each.name for each in gone if each.kind == "pictures"]
        clips = [each.name for each in gone if each.kind == "clips"]
        self.log.mark_removed("picture", pictures)
        self.log.mark_removed("clip", clips)
        self.log.keep()

    def _mark_missing(self) -> None:
        if self._storage.writable:
            self.log.mark_missing("picture", self._storage.names("pictures"))
            self.log.mark_missing("clip", self._storage.names("clips"))


def _as_pictured(event: EventEnded, shown: Candidate | None) -> EventEnded:
    """Where it was seen best is where its picture shows it: some frames never came here."""
    if shown is None or shown.track is None:
        return event
    return msgspec.structs.replace(
        event,
        best_score=shown.track.score,
        best_xyxy=shown.track.xyxy,
        best_frame=shown.observation.frame.number,
    )
