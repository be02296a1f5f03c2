"""What the events' part of the configuration may say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

Megabytes = Annotated[int, msgspec.Meta(ge=1, le=100_000_000)]
Days = Annotated[float, msgspec.Meta(gt=0, le=3650)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=60)]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A key that nobody reads is an error."""


class StorageSettings(_Section, frozen=True):
    """How much of the disk recordings may take; 1 MB is 1,000,000 bytes.

    Attributes:
        pictures_mb, clips_mb, continuous_mb: at most so much of each.
        pictures_days, clips_days, continuous_days: at most so long. Only counted while the clock is
            set by a time server.
        keep_free_mb: so much stays free for everything else on the disk.
    """

    pictures_mb: Megabytes = 1000
    clips_mb: Megabytes = 4000
    continuous_mb: Megabytes = 4000
    pictures_days: Days = 90
    clips_days: Days = 30
    continuous_days: Days = 3
    keep_free_mb: Megabytes = 1000


class VideoSettings(_Section, frozen=True):
    """How clips are encoded.

    Attributes:
        clips: whether events have clips.
        continuous: whether everything is recorded, in files of ``longest_s``.
        before_s, after_s: how much of a clip is from before and after its event.
        longest_s: a clip ends after so long, whatever the event does.
        rate: frames per second at most.
        bitrate_kbps: how many kilobits a second may take.
        encoder: "auto" takes the processor's own encoder where there is one.
    """

    clips: bool = False
    continuous: bool = False
    before_s: Seconds = 5.0
    after_s: Seconds = 5.0
    longest_s: Annotated[float, msgspec.Meta(ge=5, le=3600)] = 120.0
    rate: Annotated[float, msgspec.Meta(ge=0.5, le=60)] = 10.0
    bitrate_kbps: Annotated[int, msgspec.Meta(ge=50, le=50_000)] = 2000
    encoder: Literal["auto", "hardware", "software"] = "auto"


class EventSettings(_Section, frozen=True):
    """Keeping events.

    Attributes:
        enabled: whether events are kept at all.
        folder: where.
        most: so many events are remembered, the oldest are forgotten.
        pictures: whether each event has a picture.
        picture_quality: of the JPEGs, 1-100.
        storage: limits.
        video: clips.
    """

    enabled: bool = False
    folder: Annotated[str, msgspec.Meta(min_length=1)] = "/var/lib/tartlet/events"
    most: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 20_000
    pictures: bool = True
    picture_quality: Annotated[int, msgspec.Meta(ge=1, le=100)] = 90
    storage: StorageSettings = StorageSettings()
    video: VideoSettings = VideoSettings()

    @property
    def folder_path(self) -> Path:
        """Where events are kept."""
        return Path(self.folder)
