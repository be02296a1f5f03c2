"""Frames to clips and continuous footage: the encoder, the ring, and what is being written."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence

from tartlet_device.camera.base import Frame
from tartlet_device.events import mp4_recovery
from tartlet_device.events.clip import ClipWriter
from tartlet_device.events.encoder import Encoder, even, open_encoder
from tartlet_device.events.fault import Fault
from tartlet_device.events.packet import VideoPacket
from tartlet_device.events.ring import PacketRing
from tartlet_device.events.room import Kind
from tartlet_device.events.settings import VideoSettings
from tartlet_device.events.storage import PART, Storage
from tartlet_device.image import Size
from tartlet_shared import errors
from tartlet_shared.observation import Observation

_REOPEN_S = 30.0
_SILENCE_S = 2.0
_ENCODING_S = 1.0
"""So old may a frame be when its packet comes: the first one's, while the ring is empty."""


class Footage:
    """What is recorded as video; used by one thread. Never raises for the disk or the encoder."""

    def __init__(
        self,
        settings: VideoSettings,
        storage: Storage,
        *,
        encoder: Callable[[Size, VideoSettings], Encoder] = open_encoder,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._settings = settings
        self._storage = storage
        self._open_encoder = encoder
        self._monotonic_ns = monotonic_ns
        self._encoder: Encoder | None = None
        self._fault = Fault("video")
        self._retry_ns = 0
        self._frame_due_ns = 0
        seconds = settings.before_s + 1
        self._ring = PacketRing(
            # An encoder may go over its rate for a while, not for long.
            seconds=settings.before_s,
            most_bytes=round(seconds * settings.bitrate_kbps * 125 * 4) + 1_000_000,
        )
        self._seen: deque[Observation] = deque()
        self._clip: _Writing | None = None
        self._continuous: _Writing | None = None
        self._end_ns: int | None = None

    @property
    def fault(self) -> str | None:
        """Why frames are not encoded at the moment; None while they are."""
        return self._fault.text

    def frame(self, frame: Frame) -> None:
        """Encode it, unless that is sooner than the rate says."""
        now_ns = frame.info.monotonic_ns
        period_ns = round(1e9 / self._settings.rate)
        # A tenth early is on time: cameras do not keep the beat exactly.
        if now_ns < self._frame_due_ns - period_ns // 10:
            return
        self._frame_due_ns = max(self._frame_due_ns, now_ns - period_ns) + period_ns
        for packet in self._encoded(frame):
            self._ring.put(packet)
            self._clip = self._added(self._clip, packet)
            if self._settings.continuous:
                if self._continuous is None and packet.key:
                    number = max(map(int, self._numbers()), default=0) + 1
                    self._continuous = self._started("continuous", f"{number:010d}", [packet])
                else:
                    self._continuous = self._added(self._continuous, packet)

    def saw(self, observation: Observation) -> None:
        """What was seen in a frame; goes beside the clip and the footage."""
        self._remember(observation)
        for writing in (self._clip, self._continuous):
            if writing is not None:
                try:
                    writing.writer.note(observation)
                except OSError as error:
                    self._storage.failed(error)

    def clip_for(self, name: str, began_ns: int) -> str | None:
        """The clip that shows an event: the one being written, or a new one of that name.

        Returns:
            The clip's name; None if nothing can be recorded.
        """
        if not self._settings.clips:
            return None
        self._end_ns = None
        clip = self._clip
        if clip is not None and clip.writer.length_s > self._settings.longest_s / 2:
            # It would end soon; the new one begins before it ends.
            self._clip = None
            self._finish(clip)
        if self._clip is None:
            before_ns = round(self._settings.before_s * 1e9)
            packets = self._ring.since(began_ns - before_ns)
            self._clip = self._started("clips", name, packets)
        return self._clip.name if self._clip else None

    def end_at(self, monotonic_ns: int) -> None:
        """No event goes on: the clip may end some seconds after that time."""
        self._end_ns = monotonic_ns + round(self._settings.after_s * 1e9)
        self._end_if_due(0)

    def keep(self) -> None:
        """End the clip if frames have stopped coming; to be called about every second."""
        if self._end_ns is not None and self._monotonic_ns() > self._end_ns + _SILENCE_S * 1e9:
            self._end_ns = None
            self._finish_clip()

    def close(self) -> None:
        """Finish what is being written."""
        self._finish_clip()
        if self._continuous is not None:
            self._finish(self._continuous)
            self._continuous = None
        self._drop_encoder()

    # -- inside

    def _remember(self, observation: Observation) -> None:
        """Keep it for as long as a clip may begin before it: no longer than its video is kept."""
        self._seen.append(observation)
        start_ns = self._ring.start_ns
        if start_ns is None:
            start_ns = observation.frame.monotonic_ns - round(_ENCODING_S * 1e9)
        while self._seen[0].frame.monotonic_ns < start_ns:
            self._seen.popleft()

    def _numbers(self) -> Sequence[str]:
        return [name for name in self._storage.names("continuous") if name.isdigit()][-1:]

    def _encoded(self, frame: Frame) -> list[VideoPacket]:
        size = even(frame.image.full.size if frame.image.full else frame.image.size)
        if self._encoder is not None and self._encoder.size != size:
            self._drop_encoder()
        try:
            if self._encoder is None:
                if self._monotonic_ns() < self._retry_ns:
                    return []
                self._encoder = self._open_encoder(size, self._settings)
            packets = self._encoder.encode(frame.image, frame.info.monotonic_ns)
        except errors.DeviceError as error:
            self._fault.set(error)
            self._drop_encoder()
            self._retry_ns = self._monotonic_ns() + round(_REOPEN_S * 1e9)
            return []
        self._fault.clear()
        return packets

    def _drop_encoder(self) -> None:
        if self._encoder is not None:
            self._encoder.close()
            self._encoder = None
        self._ring.clear()  # what comes next is of another kind

    def _started(self, kind: Kind, name: str, packets: Sequence[VideoPacket]) -> _Writing | None:
        if not packets or not self._storage.writable:
            return None
        video, seen = (self._storage.path(kind, name, each + PART) for each in (".mp4", ".jsonl"))
        writing: _Writing | None = None
        self._storage.discard(kind, name)  # what could not be deleted at the start
        try:
            writing = _Writing(kind, name, ClipWriter(video, seen, packets[0]))
            for observation in self._seen:
                writing.writer.note(observation)
            for packet in packets[1:]:
                if writing.writer.takes(packet):
                    writing.writer.add(packet)
        except OSError as error:
            self._storage.failed(error)
            self._abandon(kind, name, writing)
            return None
        return writing

    def _added(self, writing: _Writing | None, packet: VideoPacket) -> _Writing | None:
        if writing is None:
            return None
        if writing.kind == "clips" and self._end_if_due(packet.monotonic_ns):
            return None
        too_long = writing.writer.length_s >= self._settings.longest_s
        # Continuous footage goes on in a new file, which must start with a key frame.
        if (too_long and (packet.key or writing.kind == "clips")) or not writing.writer.takes(
            packet
        ):
            self._finish(writing)
            if writing.kind == "continuous" and packet.key:
                return self._started("continuous", f"{int(writing.name) + 1:010d}", [packet])
            return None
        try:
            writing.writer.add(packet)
        except OSError as error:
            self._storage.failed(error)
            self._abandon(writing.kind, writing.name, writing)
            return None
        return writing

    def _end_if_due(self, monotonic_ns: int) -> bool:
        clip = self._clip
        if clip is None or self._end_ns is None:
            return False
        if max(monotonic_ns, clip.writer.last_ns) < self._end_ns:
            return False
        self._end_ns = None
        self._finish_clip()
        return True

    def _finish_clip(self) -> None:
        clip, self._clip = self._clip, None
        if clip is not None:
            self._finish(clip)

    def _finish(self, writing: _Writing) -> None:
        try:
            writing.writer.finish()
        except OSError as error:
            self._storage.failed(error)
            self._abandon(writing.kind, writing.name, writing)
            return
        self._storage.finish(writing.kind, writing.name)

    def _abandon(self, kind: Kind, name: str, writing: _Writing | None) -> None:
        """Keep what can be played of a recording that the disk did not take."""
        if writing is not None:
            writing.writer.close()
        with contextlib.suppress(OSError):
            if mp4_recovery.recover(self._storage.path(kind, name, ".mp4" + PART)):
                self._storage.finish(kind, name)
                return
        self._storage.discard(kind, name)


class _Writing:
    """A recording that is being written, and where."""

    def __init__(self, kind: Kind, name: str, writer: ClipWriter) -> None:
        self.kind = kind
        self.name = name
        self.writer = writer
