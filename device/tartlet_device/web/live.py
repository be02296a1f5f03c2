"""What whoever has the page open sees: the newest frame, with the boxes of that frame.

A page asks for the newest frame, draws it, and asks for the next. So a slow link shows fewer
frames, and never old ones. Continuous detection runs while somebody asks.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from dataclasses import dataclass, field

import msgspec

from tartlet_device.continuous.follower import Understood
from tartlet_device.handlers import Device
from tartlet_device.image import Image
from tartlet_device.pictures import encode_jpeg
from tartlet_device.tracking.lines import LineCount
from tartlet_device.tracking.visits import ZoneCount
from tartlet_device.web import asking, multipart
from tartlet_device.web.exchange import JSON, Request, Response
from tartlet_device.web.multipart import Part
from tartlet_shared import errors
from tartlet_shared.observation import EventBegan, EventEnded, Observation

LINGER_S = 4.0
"""So long after the last question, detection goes on for the page."""
_BEAT_S = 0.5
_WAIT_S = 3.0
"""For a frame that was looked at; then one is shown that was not."""
_WAIT_FAULT_S = 0.3  # where nothing is looked at anyway
_EVENTS = 50
_QUALITY = 75


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """The newest frame, for the page.

    Attributes:
        serial: of this frame; ask for another one with it.
        observation: None for a frame that was not looked at.
        zones, lines: counts since detection began.
        events: that began and ended since the frame asked with.
        rate: frames looked at in a second.
        revision: of the zones that were drawn.
        fault: why nothing is looked at; empty while frames are.
        camera_fault: why there is no picture.
    """

    serial: int
    observation: Observation | None
    zones: tuple[ZoneCount, ...] = ()
    lines: tuple[LineCount, ...] = ()
    events: tuple[EventBegan | EventEnded, ...] = ()
    rate: float = 0.0
    revision: str = ""
    fault: str = ""
    camera_fault: str = ""


@dataclass(eq=False)
class _Frame:
    """A frame, and its JPEGs once they were asked for, by width."""

    serial: int
    image: Image
    observation: Observation | None
    jpegs: dict[int, bytes] = field(default_factory=dict)
    encoding: threading.Lock = field(default_factory=threading.Lock)

    def jpeg(self, width: int | None) -> bytes:
        full = self.image.size
        size = full
        if width is not None and width < full[0]:
            size = width, max(1, round(full[1] * width / full[0]))
        with self.encoding:
            if size[0] not in self.jpegs:
                rgb = self.image.rgb() if size == full else self.image.scaled(size)
                self.jpegs[size[0]] = encode_jpeg(rgb, _QUALITY)
            return self.jpegs[size[0]]


class Live:
    """Hands the newest frame to any number of pages."""

    def __init__(self, device: Device) -> None:
        self._continuous, self._camera = device.continuous, device.camera
        self._drawn = device.drawn
        self._frame_timeout_s = device.config.frame_timeout_s
        self._changed = threading.Condition()
        self._serial = 0
        self._newest: _Frame | None = None
        self._events: deque[tuple[int, EventBegan | EventEnded]] = deque(maxlen=_EVENTS)
        self._asked_s = float("-inf")
        self._running = False

    def answer(self, request: Request) -> Response:
        """``multipart/form-data`` of the field "seen", JSON as in `Seen`, and the file "picture".

        A browser takes it apart by itself, and nobody has to guess which boxes belong to which
        picture.
        """
        after = asking.number(request, "after", 0, 2**53)
        width = asking.number(request, "width", 64, 8192)
        seen, jpeg = self.next(
            None if after is None else int(after), width=None if width is None else int(width)
        )
        parts = [Part("seen", None, JSON, msgspec.json.encode(seen))]
        if jpeg:
            parts.append(Part("picture", "picture.jpg", "image/jpeg", jpeg))
        boundary = secrets.token_hex(16)
        return Response(
            content_type=f"multipart/form-data; boundary={boundary}",
            content=multipart.write(parts, boundary),
        )

    def close(self) -> None:
        """Nobody looks any more."""
        with self._changed:
            self._asked_s = float("-inf")

    def next(self, after: int | None, *, width: int | None = None) -> tuple[Seen, bytes]:
        """A frame other than ``after``, as soon as there is one, and its JPEG.

        Args:
            after: serial of the frame before; None for the newest.
            width: scale a larger picture down to it.

        Returns:
            What is seen, and the picture: empty while the camera does not work.
        """
        frame = self._looked_at(after)
        camera_fault = ""
        if frame is None:
            try:
                frame = self._plain()
            except errors.TartletError as error:
                camera_fault = str(error)
        report = self._continuous.report()
        counts = self._continuous.counts()
        serial = frame.serial if frame is not None else 0
        with self._changed:
            events = tuple(event for at, event in self._events if after is not None and at > after)
        seen = Seen(
            serial=serial,
            observation=None if frame is None else frame.observation,
            zones=counts.zones,
            lines=counts.lines,
            events=events,
            rate=report[0].rate if report else 0.0,
            revision=self._drawn.revision,
            fault=report[1] if report else "",
            camera_fault=camera_fault,
        )
        return seen, b"" if frame is None else frame.jpeg(width)

    def _looked_at(self, after: int | None) -> _Frame | None:
        begun_s = time.monotonic()
        with self._changed:
            while True:
                self._asked_s = time.monotonic()
                self._run_if_needed()
                newest = self._newest
                if newest is not None and newest.serial != after:
                    return newest
                report = self._continuous.report()
                wait_s = _WAIT_FAULT_S if report is not None and report[1] else _WAIT_S
                left_s = begun_s + wait_s - time.monotonic()
                if left_s <= 0:
                    return None
                # Looks up now and then: a fault may begin while it waits.
                self._changed.wait(min(left_s, _WAIT_FAULT_S))

    def _plain(self) -> _Frame:
        frame = self._camera.next_frame(self._frame_timeout_s)
        with self._changed:
            self._serial += 1
            return _Frame(self._serial, frame.image, None)

    # -- the thread that watches

    def _run_if_needed(self) -> None:
        if not self._running:
            self._running = True
            threading.Thread(target=self._run, name="live page", daemon=True).start()

    def _run(self) -> None:
        try:
            with self._continuous.watched(pictures=True) as watcher:
                while self._wanted():
                    seen = watcher.next(_BEAT_S)
                    if seen is not None:
                        self._take(seen)
        finally:
            with self._changed:
                self._running = False
                self._newest = None

    def _wanted(self) -> bool:
        with self._changed:
            wanted = time.monotonic() - self._asked_s < LINGER_S
            # The picture is large, and nobody looks.
            self._newest = self._newest if wanted else None
            return wanted

    def _take(self, seen: Understood) -> None:
        with self._changed:
            self._serial += 1
            self._newest = _Frame(self._serial, seen.frame.image, seen.observation)
            self._events.extend((self._serial, event) for event in seen.events)
            self._changed.notify_all()
