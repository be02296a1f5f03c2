"""A recording's parts become a clip and its track."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("av", reason="PyAV, the extra `video`, is not installed")

from tartlet_device.events.encoder import H264Encoder
from tartlet_device.events.settings import VideoSettings
from tartlet_device.image import Image
from tartlet_host.recording import Recording
from tartlet_shared import errors
from tartlet_shared.message_base import FrameInfo
from tartlet_shared.observation import Observation, Track
from tartlet_shared.record_messages import Recorded, RecordedFormat, RecordedFrame

SIZE = (96, 64)
START_NS = 5_000_000_000_000
FRAMES = 30


def colour_of(number: int) -> tuple[int, int, int]:
    """Red, green, blue, a darker red, ..."""
    level = 250 - 15 * (number // 3)
    red, green, blue = (level * (number % 3 == each) for each in range(3))
    return red, green, blue


def encoded(times_ns: list[int]) -> tuple[RecordedFormat, list[RecordedFrame]]:
    encoder = H264Encoder(SIZE, VideoSettings(rate=30.0), "software")
    packets = []
    for number, time_ns in enumerate(times_ns):
        pixels = np.full((SIZE[1], SIZE[0], 3), colour_of(number), np.uint8)
        packets += encoder.encode(Image.of(pixels), time_ns)
    encoder.close()
    first = packets[0].format
    given = RecordedFormat(
        width=first.width,
        height=first.height,
        seen_width=192,
        seen_height=128,
        sequence_parameters=first.sequence_parameters,
        picture_parameters=first.picture_parameters,
    )
    frames = [
        RecordedFrame(
            frame=FrameInfo(number=100 + number, monotonic_ns=time_ns),
            time_s=1000.0 + number,
            key=packet.key,
            content=packet.content,
        )
        for number, (packet, time_ns) in enumerate(zip(packets, times_ns, strict=True))
    ]
    return given, frames


@pytest.fixture(scope="module")
def film() -> tuple[RecordedFormat, list[RecordedFrame]]:
    """One second, its frames 25-45 ms apart."""
    gaps = np.random.default_rng(3).integers(25_000_001, 45_000_000, FRAMES).tolist()
    return encoded([START_NS + sum(gaps[:number]) for number in range(FRAMES)])


def seen(frame: FrameInfo, tracks: int = 1) -> Observation:
    track = Track(
        track_id=1, label="cat", score=0.5, xyxy=(0, 0, 1, 1), frames=3, since_ns=START_NS
    )
    return Observation(
        frame=frame,
        time_s=0.0,
        clock_synchronized=True,
        width=192,
        height=128,
        tracks=(track,) * tracks,
    )


def part(**fields: Any) -> Recorded:
    return Recorded(request_id=1, **fields)


def decoded(path: Path) -> list[tuple[float, np.ndarray[Any, Any]]]:
    """Time stamps in ms, and pictures."""
    import av

    with av.open(str(path)) as container:
        return [
            (float(frame.pts * frame.time_base) * 1000, frame.to_ndarray(format="rgb24"))
            for frame in container.decode(video=0)
        ]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_clip_and_track_have_the_same_frames_at_the_same_times(film: Any, tmp_path: Path) -> None:
    given, frames = film
    recording = Recording(tmp_path / "new" / "clip.mp4")
    recording.add(part(format=given, frames=tuple(frames[:10])))
    recording.add(part(frames=tuple(frames[10:]), dropped=4, clock_synchronized=True))
    assert recording.finish()
    pictures = decoded(tmp_path / "new" / "clip.mp4")
    track = lines(tmp_path / "new" / "clip.jsonl")
    assert len(pictures) == len(track) == FRAMES
    for number, ((time_ms, picture), line) in enumerate(zip(pictures, track, strict=True)):
        assert abs(time_ms - line["time_ms"]) < 0.01
        assert line["frame"] == 100 + number
        assert line["monotonic_ns"] == frames[number].frame.monotonic_ns
        assert line["time_s"] == 1000.0 + number
        assert line["clock_synchronized"] == (number >= 10)
        assert (line["width"], line["height"], line["tracks"]) == (192, 128, None)
        # Red is red, and every frame is the one that its line says.
        assert np.abs(picture.mean(axis=(0, 1)) - colour_of(number)).max() < 12
    assert (recording.frames, recording.dropped, recording.looked_at) == (FRAMES, 4, 0)
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"clip.mp4", "clip.jsonl"}


@settings(max_examples=40, deadline=None)
@given(
    looked=st.sets(st.integers(0, FRAMES - 1)),
    late=st.integers(0, 12),
    cuts=st.sets(st.integers(1, FRAMES - 1)),
    elsewhere=st.booleans(),
)
def test_what_was_seen_is_with_its_own_frame(
    film: Any,
    tmp_path_factory: Any,
    looked: set[int],
    late: int,
    cuts: set[int],
    elsewhere: bool,
) -> None:
    """However late it comes; what was seen in frames that the clip does not have is left out."""
    given, frames = film
    folder = tmp_path_factory.mktemp("clip")
    recording = Recording(folder / "clip.mp4")
    waiting = sorted(looked)
    begin = 0
    for end in [*sorted(cuts), FRAMES]:
        told = [number for number in waiting if number + late < end]
        waiting = waiting[len(told) :]
        observations = [seen(frames[number].frame, number % 3) for number in told]
        if elsewhere:
            between = FrameInfo(number=1, monotonic_ns=frames[begin].frame.monotonic_ns + 1)
            observations.append(seen(between))
            observations.sort(key=lambda each: each.frame.monotonic_ns)
        recording.add(
            part(
                format=given if begin == 0 else None,
                frames=tuple(frames[begin:end]),
                observations=tuple(observations),
            )
        )
        begin = end
    recording.add(
        part(observations=tuple(seen(frames[n].frame, n % 3) for n in waiting), last=True)
    )
    assert recording.finish()
    track = lines(folder / "clip.jsonl")
    assert [line["frame"] for line in track] == [100 + number for number in range(FRAMES)]
    if not elsewhere:
        found = {n for n, line in enumerate(track) if line["tracks"] is not None}
        assert found == looked
        assert recording.looked_at == len(looked)
    for number, line in enumerate(track):
        assert line["tracks"] is None or len(line["tracks"]) == number % 3


def test_lines_do_not_wait_for_what_never_comes(tmp_path: Path) -> None:
    given, frames = encoded([START_NS + number * 500_000_000 for number in range(20)])
    recording = Recording(tmp_path / "clip.mp4")
    for number, frame in enumerate(frames):
        recording.add(part(format=given if number == 0 else None, frames=(frame,)))
        assert len(recording._pending) <= 11
    assert recording.finish()
    assert len(lines(tmp_path / "clip.jsonl")) == 20


def test_nothing_came(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "clip.mp4")
    recording.add(part(last=True))
    assert not recording.finish()
    recording.close()
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_stays_until_the_new_one_is_whole(film: Any, tmp_path: Path) -> None:
    given, frames = film
    (tmp_path / "clip.mp4").write_bytes(b"old")
    recording = Recording(tmp_path / "clip.mp4")
    recording.add(part(format=given, frames=tuple(frames)))
    assert (tmp_path / "clip.mp4").read_bytes() == b"old"
    recording.close()
    recording.close()
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
    again = Recording(tmp_path / "clip.mp4")
    again.add(part(format=given, frames=tuple(frames)))
    assert again.finish()
    assert len(decoded(tmp_path / "clip.mp4")) == FRAMES


@pytest.mark.parametrize("failing", ["fdatasync", "table"])
def test_a_disk_that_is_full_leaves_what_can_be_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    given, frames = encoded([START_NS + number * 250_000_000 for number in range(21)])
    recording = Recording(tmp_path / "clip.mp4")
    recording.add(part(format=given, frames=tuple(frames[:10])))  # two fragments of four

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if failing == "table":
        monkeypatch.setattr("tartlet_device.events.mp4.tail", full)
        with pytest.raises(OSError, match="space"):
            recording.finish()
    else:
        monkeypatch.setattr("tartlet_device.events.clip._sync_data", full)
        with pytest.raises(OSError, match="space"):
            recording.add(part(frames=tuple(frames[10:])))
        assert recording.finish()
    recording.close()
    pictures = decoded(tmp_path / "clip.mp4")
    assert 8 <= len(pictures) <= 13
    for number, (time_ms, picture) in enumerate(pictures):
        assert abs(time_ms - 250 * number) < 0.01
        assert np.abs(picture.mean(axis=(0, 1)) - colour_of(number)).max() < 12
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mp4", "clip.jsonl"}


def test_a_write_that_was_broken_off_leaves_what_can_be_played(
    film: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, frames = encoded([START_NS + number * 250_000_000 for number in range(21)])
    recording = Recording(tmp_path / "clip.mp4")
    recording.add(part(format=given, frames=tuple(frames[:14])))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tartlet_device.events.mp4.fragment", interrupt)
        with pytest.raises(KeyboardInterrupt):
            recording.add(part(frames=tuple(frames[14:])))
    assert recording.finish()
    assert len(decoded(tmp_path / "clip.mp4")) == 12


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda given, frames: part(frames=(frames[0],)), "before the format"),
        (lambda given, frames: part(format=given, frames=(frames[1],)), "key frame"),
        (lambda given, frames: part(format=given, frames=(frames[0], frames[0])), "follow"),
        (lambda given, frames: part(format=given, frames=(*frames[:3], frames[1])), "follow"),
    ],
)
def test_what_is_no_clip_is_refused(
    film: Any, tmp_path: Path, change: Callable[..., Recorded], says: str
) -> None:
    recording = Recording(tmp_path / "clip.mp4")
    with pytest.raises(errors.MessageMalformed, match=says):
        recording.add(change(*film))
    recording.close()
    assert list(tmp_path.iterdir()) == []
