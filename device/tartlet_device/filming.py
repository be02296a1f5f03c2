"""Filming on request: one thread takes frames from the camera, one encodes them.

Between the two a few frames may wait, so that one that takes long to encode costs none of those
behind it.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tartlet_device.camera.base import Frame
from tartlet_device.camera.owner import CameraOwner
from tartlet_device.events.encoder import Encoder, even, open_encoder
from tartlet_device.events.packet import VideoFormat, VideoPacket
from tartlet_device.events.settings import VideoSettings
from tartlet_device.image import Size
from tartlet_shared import errors
from tartlet_shared.message_base import FrameInfo

WAITING_BYTES = 4_000_000
"""So much waits for a slow connection; then frames are left out until it has gone."""
_GRACE_S = 8.0
"""For so long a camera may fail and come back; longer, and no player would show the gap."""
_PAUSE_S = 0.25
_BEAT_S = 0.5  # both threads look up at least this often
_WAITING_FRAMES = 3
_MOST_MISSING = 10_000
_SAME_NS = 1000  # the encoder counts in microseconds


@dataclass(frozen=True)
class Taken:
    """One encoded frame.

    Attributes:
        info: of the frame.
        packet: it, encoded.
        seen_size: of the picture that boxes refer to.
    """

    info: FrameInfo
    packet: VideoPacket
    seen_size: Size


class Pace:
    """Which frames of a camera are wanted, so that there are at most so many a second."""

    def __init__(self, rate: float) -> None:
        self._period_ns = round(1e9 / rate)
        self._due_ns: int | None = None

    def wants(self, monotonic_ns: int) -> bool:
        """Whether a frame is wanted; those asked about later must be later."""
        if self._due_ns is None:
            self._due_ns = monotonic_ns
        # A tenth early is on time: cameras do not keep the beat exactly.
        if monotonic_ns < self._due_ns - self._period_ns // 10:
            return False
        self._due_ns = max(self._due_ns, monotonic_ns - self._period_ns) + self._period_ns
        return True

    def wait_s(self, now_ns: int) -> float:
        """For so long none is wanted; not quite, so that the next is waited for when it comes."""
        if self._due_ns is None:
            return 0.0
        return max(0.0, (self._due_ns - self._period_ns / 2 - now_ns) / 1e9)


class Filming:
    """Frames of the camera as video, in a thread of its own; a context that ends it."""

    def __init__(
        self,
        camera: CameraOwner,
        settings: VideoSettings,
        *,
        seconds: float,
        full: bool,
        frame_timeout_s: float,
        encoder: Callable[[Size, VideoSettings], Encoder] = open_encoder,
    ) -> None:
        """
        Args:
            camera: started.
            settings: rate, bitrate and encoder.
            seconds: ends after so long, by the times at which frames were taken.
            full: as large as the camera's pictures are.
            frame_timeout_s: how long to wait for one.
            encoder: opens an encoder.
        """
        self._camera, self._settings, self._full = camera, settings, full
        self._length_ns = round(seconds * 1e9)
        self._frame_timeout_s = frame_timeout_s
        self._open_encoder = encoder
        self._encoder: Encoder | None = None
        self._size: Size | None = None
        self._format: VideoFormat | None = None
        self._pace = Pace(settings.rate)
        self._first: FrameInfo | None = None
        self._last: FrameInfo | None = None
        self._frames: queue.Queue[Frame | None] = queue.Queue(_WAITING_FRAMES)
        self._ready = threading.Event()
        self._encoding: deque[tuple[FrameInfo, Size]] = deque()
        self._changed = threading.Condition()
        self._taken: list[Taken] = []
        self._waiting_bytes = 0
        self._ended = False
        self._error: errors.TartletError | None = None
        self._stopping = threading.Event()
        self.dropped = 0
        self._threads = [
            threading.Thread(target=work, name=name, daemon=True)
            for name, work in (("filming", self._grab_all), ("film encoder", self._encode_all))
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(self._frame_timeout_s + 5.0)

    def take(self, timeout_s: float) -> tuple[list[Taken], bool]:
        """What was encoded since the last call, as soon as there is something, and whether it ends.

        Raises:
            TartletError: there are no more frames; says why.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._taken or self._ended, timeout_s)
            taken, self._taken = self._taken, []
            self._waiting_bytes = 0
            if not taken and self._error is not None:
                raise self._error
            return taken, self._ended and self._error is None

    # -- in the first thread

    def _grab_all(self) -> None:
        with self._failing():
            # The first opens the encoder, which takes a while, and is not filmed.
            self._hand_over(self._next_frame())
            while not self._ready.wait(_BEAT_S) and not self._stopping.is_set():
                pass
            while not self._stopping.is_set() and self._grab_one():
                pass
        self._hand_over(None)

    def _grab_one(self) -> bool:
        """The next frame; false once it is over."""
        self._stopping.wait(self._pace.wait_s(time.monotonic_ns()))
        frame = self._next_frame()
        if frame is None:
            return False
        info = frame.info
        self._first = self._first or info
        if info.monotonic_ns - self._first.monotonic_ns >= self._length_ns:
            return False
        missing = _between(self._last, info)
        self._last = info
        self.dropped += sum(self._pace.wants(time_ns) for time_ns in missing)
        if self._pace.wants(info.monotonic_ns):
            with self._changed:
                slow = self._waiting_bytes > WAITING_BYTES
            if slow:
                self.dropped += 1
            else:
                self._hand_over(frame)
        return True

    def _hand_over(self, frame: Frame | None) -> None:
        while not self._stopping.is_set():
            try:
                self._frames.put(frame, timeout=_BEAT_S)
            except queue.Full:
                continue
            return

    def _next_frame(self) -> Frame | None:
        failing_since = time.monotonic()
        while not self._stopping.is_set():
            try:
                # Always as large as there is: the small one is as small as the model takes it.
                return self._camera.next_frame(self._frame_timeout_s, fresh=False)
            except errors.TartletError:
                if self._first is None or time.monotonic() - failing_since > _GRACE_S:
                    raise
                self._stopping.wait(_PAUSE_S)
        return None

    # -- in the second

    def _encode_all(self) -> None:
        with self._failing():
            first = self._waiting_frame()
            if first is not None:
                self._size = self._size_of(first)
                self._encoder = self._open_encoder(self._size, self._settings)
                self._ready.set()
            while (frame := self._waiting_frame()) is not None:
                self._put(self._encoded(frame))
        if self._encoder is not None:
            self._encoder.close()
        self._stopping.set()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _waiting_frame(self) -> Frame | None:
        while not self._stopping.is_set():
            try:
                return self._frames.get(timeout=_BEAT_S)
            except queue.Empty:
                continue
        return None

    def _size_of(self, frame: Frame) -> Size:
        image = frame.image
        return even(image.full.size if self._full and image.full is not None else image.size)

    def _encoded(self, frame: Frame) -> list[Taken]:
        image, size = frame.image, self._size_of(frame)
        if self._encoder is None or size != self._size:
            raise errors.DeviceError(
                f"the camera's pictures are {size[0]}x{size[1]} now", where="camera"
            )
        self._encoding.append((frame.info, image.size))
        packets = self._encoder.encode(image, frame.info.monotonic_ns)
        return [self._of(packet) for packet in packets]

    def _of(self, packet: VideoPacket) -> Taken:
        # Pictures come back in their order; some do not come back.
        while True:
            info, seen_size = self._encoding.popleft()
            if abs(info.monotonic_ns - packet.monotonic_ns) <= _SAME_NS:
                return Taken(info, packet, seen_size)

    def _put(self, taken: list[Taken]) -> None:
        if taken:
            with self._changed:
                self._taken += taken
                self._waiting_bytes += sum(len(each.packet.content) for each in taken)
                self._changed.notify_all()

    # -- in both

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except errors.TartletError as error:
            self._error = self._error or error
        except Exception as error:  # noqa: BLE001  (whoever waits must hear of it)
            failed = errors.DeviceError(f"filming failed: {error!r}", where="encoder")
            self._error = self._error or failed


def _between(before: FrameInfo | None, after: FrameInfo) -> list[int]:
    """About when the frames between two were taken, by their numbers."""
    # Footage starts over, and its numbers with it.
    steps = 0 if before is None else after.number - before.number
    if before is None or not 1 < steps <= _MOST_MISSING:
        return []
    step_ns = (after.monotonic_ns - before.monotonic_ns) / steps
    return [before.monotonic_ns + round(step_ns * number) for number in range(1, steps)]
