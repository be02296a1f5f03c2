"""A recording on its way into files: the clip, and beside it a line for each of its frames."""

from __future__ import annotations

import contextlib
import tempfile
from collections import deque
from pathlib import Path

import msgspec

from tartlet_device.events import mp4_recovery
from tartlet_device.events.clip import ClipWriter
from tartlet_device.events.packet import VideoFormat, VideoPacket
from tartlet_host.files import sync_folder
from tartlet_shared import errors
from tartlet_shared.observation import Observation, Track
from tartlet_shared.record_messages import Recorded, RecordedFormat, RecordedFrame

TRACK_SUFFIX = ".jsonl"
_LATE_NS = 5_000_000_000
"""What was seen in a frame comes so much later at most."""


class FrameLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the JSON beside a clip: one of its frames.

    Attributes:
        time_ms: from the start of the clip; the time stamp that the clip has for it.
        frame: its number.
        monotonic_ns, time_s: when it was taken, on the device's monotonic and wall clock.
        clock_synchronized: whether the wall clock can be trusted.
        width, height: of the picture that the boxes refer to.
        tracks: what was seen in it; None if nobody looked.
    """

    time_ms: float
    frame: int
    monotonic_ns: int
    time_s: float
    clock_synchronized: bool
    width: int
    height: int
    tracks: tuple[Track, ...] | None


class Recording:
    """A clip that is being written aside, and its track. `finish` gives both their names."""

    def __init__(self, path: Path) -> None:
        """
        Args:
            path: of the clip; its track has the same name with `TRACK_SUFFIX`.
        """
        self.path = path
        self.track_path = path.with_suffix(TRACK_SUFFIX)
        self.frames = self.looked_at = self.size = self.dropped = 0
        self._folder: Path | None = None
        self._writer: ClipWriter | None = None
        self._encoded: VideoFormat | None = None
        self._seen_size = (0, 0)
        self._pending: deque[tuple[RecordedFrame, bool]] = deque()
        self._in_order = True  # false while something is being written, and after it failed

    @property
    def seconds(self) -> float:
        """How long the clip is so far."""
        return 0.0 if self._writer is None else self._writer.length_s

    def add(self, part: Recorded) -> None:
        """The next part.

        Raises:
            OSError: the disk does not take it.
            MessageMalformed: the device sends what is no clip.
        """
        self._in_order = False
        self.dropped = part.dropped
        if part.format is not None:
            self._take_format(part.format)
        for frame in part.frames:
            self._add_frame(frame)
            self._pending.append((frame, part.clock_synchronized))
        for observation in part.observations:
            self._enter_seen(observation)
        if self._pending:
            newest_ns = self._pending[-1][0].frame.monotonic_ns
            while self._pending[0][0].frame.monotonic_ns < newest_ns - _LATE_NS:
                self._enter(*self._pending.popleft(), None)
        self._in_order = True

    def finish(self) -> bool:
        """Complete the clip and its track, and give them their names; false if there is nothing.

        After an error of `add`, this keeps what can be played of the clip.

        Raises:
            OSError: the disk does not take them. What can be played has its name.
        """
        if self._writer is None or self._folder is None:
            return False
        if not self._in_order:
            return self._salvage(self._writer)
        try:
            while self._pending:
                self._enter(*self._pending.popleft(), None)
            self._writer.finish()
        except OSError:
            self._salvage(self._writer)
            raise
        self._name_files()
        return True

    def close(self) -> None:
        """Remove what was written aside and not finished; never raises."""
        if self._writer is not None:
            self._writer.close()
        if self._folder is not None:
            for path in (self._aside(self.path), self._aside(self.track_path)):
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self._folder.rmdir()
        self._folder = None

    # -- inside

    def _salvage(self, writer: ClipWriter) -> bool:
        writer.close()
        if not mp4_recovery.recover(self._aside(self.path)):
            return False
        self._name_files()
        return True

    def _name_files(self) -> None:
        for path in (self.track_path, self.path):
            self._aside(path).replace(path)
        sync_folder(self.path.parent)
        self.close()

    def _aside(self, path: Path) -> Path:
        if self._folder is None:
            raise ValueError("nothing is being written")
        return self._folder / path.name

    def _take_format(self, given: RecordedFormat) -> None:
        self._encoded = VideoFormat(
            given.width, given.height, given.sequence_parameters, given.picture_parameters
        )
        self._seen_size = (given.seen_width, given.seen_height)

    def _add_frame(self, frame: RecordedFrame) -> None:
        if self._encoded is None:
            raise _malformed("a frame came before the format")
        packet = VideoPacket(frame.content, frame.frame.monotonic_ns, frame.key, self._encoded)
        if self._writer is None:
            if not frame.key:
                raise _malformed("it does not begin with a key frame")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Beside the result, so that renaming is enough.
            self._folder = Path(
                tempfile.mkdtemp(prefix=f".{self.path.name}.", dir=self.path.parent)
            )
            self._writer = ClipWriter(self._aside(self.path), self._aside(self.track_path), packet)
        elif self._writer.takes(packet):
            self._writer.add(packet)
        else:
            raise _malformed("a frame does not follow the one before")
        self.frames += 1
        self.size += len(frame.content)

    def _enter_seen(self, observation: Observation) -> None:
        seen_ns = observation.frame.monotonic_ns
        while self._pending and self._pending[0][0].frame.monotonic_ns <= seen_ns:
            frame, synchronized = self._pending.popleft()
            exactly = frame.frame.monotonic_ns == seen_ns
            self._enter(frame, synchronized, observation.tracks if exactly else None)

    def _enter(
        self, frame: RecordedFrame, synchronized: bool, tracks: tuple[Track, ...] | None
    ) -> None:
        if self._writer is None:
            return
        self.looked_at += tracks is not None
        self._writer.enter(
            FrameLine(
                time_ms=(frame.frame.monotonic_ns - self._writer.start_ns) / 1e6,
                frame=frame.frame.number,
                monotonic_ns=frame.frame.monotonic_ns,
                time_s=frame.time_s,
                clock_synchronized=synchronized,
                width=self._seen_size[0],
                height=self._seen_size[1],
                tracks=tracks,
            )
        )


def _malformed(what: str) -> errors.MessageMalformed:
    return errors.MessageMalformed(
        f"the device's recording is no clip: {what}",
        hint="laptop and Pi may run different versions of tartlet",
    )
