"""Writes one clip: encoded pictures as MP4, and beside it what was seen in each, as JSON lines."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import BinaryIO

import msgspec

from tartlet_device.events import mp4
from tartlet_device.events.mp4 import Sample
from tartlet_device.events.packet import VideoPacket
from tartlet_shared.observation import Observation, Track

FRAGMENT_S = 1.0
"""A kill loses at most about so much from the end of a clip."""
_MOST_SAMPLES = 1 << 18
_LONGEST_GAP_S = 10.0
_sync_data = getattr(os, "fdatasync", os.fsync)  # clips are written on laptops too


class SeenLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the JSON beside a clip.

    Attributes:
        time_ms: from the start of the clip.
        frame: its number.
        width, height: of the picture that the boxes refer to.
    """

    time_ms: float
    frame: int
    width: int
    height: int
    tracks: tuple[Track, ...]


class ClipWriter:
    """One clip while it is written; the caller names and renames its files."""

    def __init__(self, video: Path, seen: Path, first: VideoPacket) -> None:
        """
        Args:
            video: of the MP4, a new file.
            seen: of the JSON lines, a new file.
            first: a key frame, which the clip starts with.

        Raises:
            OSError: the disk does not take it.
        """
        if not first.key:
            raise ValueError("a clip starts with a key frame")
        self.start_ns = self.last_ns = first.monotonic_ns
        self._format = first.format
        self._samples: list[Sample] = []
        self._waiting = [first]
        self._fragments = 0
        self._written = 0
        self._seen = seen.open("xb")
        self._video: BinaryIO | None = None
        try:
            self._video = video.open("xb")
            self._write(mp4.head(self._format))
        except BaseException:
            self.close()
            raise

    @property
    def length_s(self) -> float:
        """So much was added, up to the last picture."""
        return (self.last_ns - self.start_ns) / 1e9

    def takes(self, packet: VideoPacket) -> bool:
        """Whether it can go on with this packet: same format, later, without too large a gap."""
        return (
            packet.format == self._format
            and 0 < packet.monotonic_ns - self.last_ns <= _LONGEST_GAP_S * 1e9
            and len(self._samples) < _MOST_SAMPLES
        )

    def add(self, packet: VideoPacket) -> None:
        """Add a picture; now and then that writes a fragment and syncs it.

        Raises:
            OSError: the disk does not take it.
        """
        if not self.takes(packet):
            raise ValueError("a packet that does not follow")
        self.last_ns = packet.monotonic_ns
        if packet.monotonic_ns - self._waiting[0].monotonic_ns >= FRAGMENT_S * 1e9:
            self._write_fragment(packet.monotonic_ns)
        self._waiting.append(packet)

    def note(self, observation: Observation) -> None:
        """Enter what was seen; what is from before the clip is left out.

        Raises:
            OSError: the disk does not take it.
        """
        since_ns = observation.frame.monotonic_ns - self.start_ns
        if since_ns < 0:
            return
        self.enter(
            SeenLine(
                time_ms=since_ns / 1e6,
                frame=observation.frame.number,
                width=observation.width,
                height=observation.height,
                tracks=observation.tracks,
            )
        )

    def enter(self, line: msgspec.Struct) -> None:
        """Write a line of the JSON beside the clip.

        Raises:
            OSError: the disk does not take it.
        """
        self._seen.write(msgspec.json.encode(line) + b"\n")

    def finish(self) -> None:
        """Write the rest and the table of the whole, and sync.

        Raises:
            OSError: the disk does not take it. What was synced before can be played.
        """
        # How long the last picture is shown is nowhere said: as long as the one before.
        last = self._waiting[-1].monotonic_ns
        before = self._waiting[-2].monotonic_ns if len(self._waiting) > 1 else None
        usual = last - before if before is not None else self._usual_ns()
        self._write_fragment(last + usual)
        data_ends = self._written
        self._write(mp4.tail(self._format, self._samples))
        self._sync()
        # Only now: until the table is on the disk, the fragments are what can be played.
        if self._video is not None:
            self._video.seek(mp4.reserved_at())
            self._video.write(mp4.media_header(data_ends - mp4.reserved_at()))
            self._sync()
        self.close()

    def close(self) -> None:
        """Close the files as they are; never raises."""
        for stream in (self._video, self._seen):
            if stream is not None:
                try:
                    stream.close()
                except OSError:  # what was buffered does not fit; closed it is
                    continue

    def _write_fragment(self, until_ns: int) -> None:
        waiting, self._waiting = self._waiting, []
        times = [self._ticks(each.monotonic_ns) for each in waiting] + [self._ticks(until_ns)]
        samples = [
            Sample(len(each.content), max(1, after - start), each.key)
            for each, start, after in zip(waiting, times, times[1:], strict=False)
        ]
        self._fragments += 1
        table, data_at = mp4.fragment(self._fragments, times[0], samples)
        place = self._written + data_at
        for each in samples:
            self._samples.append(dataclasses.replace(each, offset=place))
            place += each.size
        self._write(table + b"".join(each.content for each in waiting))
        self._sync()

    def _usual_ns(self) -> int:
        ticks = self._samples[-1].duration if self._samples else mp4.TIMESCALE // 10
        return ticks * 10**9 // mp4.TIMESCALE

    def _ticks(self, monotonic_ns: int) -> int:
        return round((monotonic_ns - self.start_ns) * mp4.TIMESCALE / 10**9)

    def _write(self, content: bytes) -> None:
        if self._video is not None:
            self._video.write(content)
            self._written += len(content)

    def _sync(self) -> None:
        for stream in (self._video, self._seen):
            if stream is not None:
                stream.flush()
                _sync_data(stream.fileno())
