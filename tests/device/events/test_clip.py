from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tartlet_device.events import encoder as encoders
from tartlet_device.events import mp4_recovery
from tartlet_device.events.clip import ClipWriter
from tartlet_device.events.packet import VideoFormat, VideoPacket, units
from tartlet_device.events.settings import VideoSettings
from tartlet_device.image import Image, RgbPixels, YuvPixels
from tartlet_shared import errors
from tartlet_shared.messages import FrameInfo
from tartlet_shared.observation import Observation, Track

pytest.importorskip("av", reason="PyAV, the extra `video`, is not installed")

WIDTH, HEIGHT = 96, 64
SECOND = 10**9


def rgb(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A grey picture whose level tells its number."""
    return np.full((height, width, 3), 40 + 8 * (number % 24), np.uint8)


def number_in(bgr: np.ndarray) -> int:
    return round((float(bgr.mean()) - 40) / 8)


def image(number: int, layout: str = "rgb") -> Image:
    pixels = rgb(number)
    if layout == "rgb":
        return Image.of(pixels)
    planes = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2YUV_I420), np.uint8)
    if layout == "NV12":
        chroma = planes[HEIGHT:].reshape(2, -1).T.reshape(HEIGHT // 2, WIDTH)
        planes = np.ascontiguousarray(np.concatenate([planes[:HEIGHT], chroma]))
    return Image((WIDTH, HEIGHT), YuvPixels(planes, layout))


def encoded(times_ns: list[int], layout: str = "rgb") -> list[VideoPacket]:
    opened = encoders.open_encoder((WIDTH, HEIGHT), VideoSettings(encoder="software"))
    packets = []
    for number, time_ns in enumerate(times_ns):
        packets += opened.encode(image(number, layout), time_ns)
    opened.close()
    return packets


@pytest.fixture(scope="module")
def packets() -> list[VideoPacket]:
    """Four seconds, from a time that is not zero, five pictures a second."""
    return encoded([7 * SECOND + number * SECOND // 5 for number in range(20)])


def write(folder: Path, packets: list[VideoPacket], *, finish: bool = True) -> Path:
    path = folder / "clip.mp4"
    writer = ClipWriter(path, folder / "clip.jsonl", packets[0])
    for packet in packets[1:]:
        writer.add(packet)
    writer.finish() if finish else writer.close()
    return path


def played(path: Path) -> tuple[list[int], list[float]]:
    """Which pictures a player shows, and when, milliseconds."""
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    numbers, times = [], []
    while True:
        done, picture = video.read()
        if not done:
            break
        numbers.append(number_in(picture))
        times.append(video.get(cv2.CAP_PROP_POS_MSEC))
    video.release()
    return numbers, times


def test_each_picture_gives_its_packet_at_once_and_there_is_a_key_frame_each_second(packets):
    assert [packet.monotonic_ns for packet in packets] == [
        7 * SECOND + number * SECOND // 5 for number in range(20)
    ]
    assert [number for number, packet in enumerate(packets) if packet.key] == [0, 5, 10, 15]


@pytest.mark.parametrize("layout", ["rgb", "YUV420", "NV12"])
def test_a_clip_plays_back_whatever_the_camera_gives(tmp_path, layout):
    packets = encoded([number * SECOND // 5 for number in range(8)], layout)
    assert played(write(tmp_path, packets))[0] == list(range(8))


def test_colours_survive(tmp_path):
    opened = encoders.open_encoder((WIDTH, HEIGHT), VideoSettings(encoder="software"))
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[:, :32], picture[:, 32:64], picture[:, 64:] = (
        (200, 30, 30),
        (30, 200, 30),
        (30, 30, 200),
    )
    packets = opened.encode(Image.of(picture), 0) + opened.encode(Image.of(picture), SECOND // 5)
    path = write(tmp_path, packets)
    done, bgr = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG).read()
    assert done
    for column in (16, 48, 80):
        assert np.abs(bgr[32, column, ::-1].astype(int) - picture[32, column]).max() <= 12


@given(gaps=st.lists(st.integers(1, 2000), min_size=1, max_size=15))
@settings(max_examples=15)
def test_times_are_those_of_the_frames(tmp_path_factory, gaps):
    times_ms = [0]
    for gap in gaps:
        times_ms.append(times_ms[-1] + gap)
    packets = encoded([5 * SECOND + time * 10**6 for time in times_ms])
    numbers, played_ms = played(write(tmp_path_factory.mktemp("clip"), packets))
    assert numbers == list(range(len(times_ms)))
    assert played_ms == pytest.approx(times_ms, abs=0.02)


def test_a_finished_clip_has_one_table_and_tells_its_duration(tmp_path, packets):
    path = write(tmp_path, packets)
    with path.open("rb") as stream:
        kinds = [kind for kind, _ in mp4_recovery._boxes(stream)]
    assert kinds == [b"ftyp", b"mdat", b"moov"]
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 20
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(5)
    video.set(cv2.CAP_PROP_POS_FRAMES, 12)
    assert number_in(video.read()[1]) == 12
    video.release()


def test_a_clip_that_was_not_finished_plays_up_to_its_last_fragment(tmp_path, packets):
    path = write(tmp_path, packets, finish=False)
    assert played(path)[0] == list(range(15))  # three seconds; the fourth was not complete
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    video.set(cv2.CAP_PROP_POS_FRAMES, 7)
    assert number_in(video.read()[1]) == 7
    video.release()


def test_cut_anywhere_a_clip_plays_up_to_the_last_whole_fragment(tmp_path, packets):
    whole = write(tmp_path, packets, finish=False).read_bytes()
    finished = tmp_path / "finished"
    finished.mkdir()
    total = len(write(finished, packets).read_bytes())
    path = tmp_path / "cut.mp4"
    shown = []
    for length in [*range(0, len(whole), max(1, len(whole) // 60)), len(whole)]:
        path.write_bytes(whole[:length])
        playable = mp4_recovery.recover(path)
        numbers = played(path)[0] if playable else []
        assert numbers == list(range(len(numbers)))
        assert len(numbers) in (0, 5, 10, 15)
        assert playable == bool(numbers)
        with path.open("rb") as stream:
            assert [kind for kind, _ in mp4_recovery._boxes(stream)][-1:] in ([], [b"mdat"])
        shown.append(len(numbers))
    assert shown == sorted(shown)
    assert shown[-1] == 15
    assert len(whole) < total


def test_between_the_table_and_its_use_nothing_is_lost(tmp_path, packets, monkeypatch):
    """Killed after the table of the whole was written and before the first header was."""
    path = tmp_path / "clip.mp4"
    writer = ClipWriter(path, tmp_path / "clip.jsonl", packets[0])
    for packet in packets[1:]:
        writer.add(packet)

    def killed(_: int) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr("tartlet_device.events.mp4.media_header", killed)
    with pytest.raises(KeyboardInterrupt):
        writer.finish()
    writer.close()
    assert played(path)[0] == list(range(20))
    assert mp4_recovery.recover(path)
    assert played(path)[0] == list(range(20))


def test_a_finished_clip_is_left_as_it_is(tmp_path, packets):
    path = write(tmp_path, packets)
    before = path.read_bytes()
    assert mp4_recovery.recover(path)
    assert path.read_bytes() == before


@given(content=st.binary(max_size=200))
def test_anything_may_lie_where_a_clip_should(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "clip.mp4"
    path.write_bytes(content)
    if not mp4_recovery.recover(path):
        assert path.stat().st_size == 0


def test_what_was_seen_lies_beside_it(tmp_path, packets):
    writer = ClipWriter(tmp_path / "clip.mp4", tmp_path / "clip.jsonl", packets[0])
    track = Track(
        track_id=3, label="cat", score=0.5, xyxy=(1, 2, 3, 4), frames=9, since_ns=1, zones=("yard",)
    )
    for number, time_ns in enumerate((6 * SECOND, 7 * SECOND, 8 * SECOND)):
        writer.note(
            Observation(
                frame=FrameInfo(number=number, monotonic_ns=time_ns),
                time_s=1.0,
                clock_synchronized=True,
                width=WIDTH,
                height=HEIGHT,
                tracks=(track,) * number,
            )
        )
    writer.finish()
    lines = [json.loads(line) for line in (tmp_path / "clip.jsonl").read_text().splitlines()]
    # What was before the clip is left out.
    assert [(line["time_ms"], line["frame"], len(line["tracks"])) for line in lines] == [
        (0.0, 1, 1),
        (1000.0, 2, 2),
    ]
    assert lines[0]["tracks"][0]["label"] == "cat"


def test_a_clip_does_not_go_on_with_what_does_not_follow(tmp_path, packets):
    with pytest.raises(ValueError, match="key"):
        ClipWriter(tmp_path / "a.mp4", tmp_path / "a.jsonl", packets[1])
    assert list(tmp_path.iterdir()) == []
    writer = ClipWriter(tmp_path / "a.mp4", tmp_path / "a.jsonl", packets[0])
    writer.add(packets[1])
    other = VideoFormat(32, 32, b"\x67abc", b"\x68")
    for wrong in (
        packets[1],
        packets[0],
        VideoPacket(b"x", packets[1].monotonic_ns + 11 * SECOND, True, packets[0].format),
        VideoPacket(b"x", packets[1].monotonic_ns + 1, True, other),
    ):
        assert not writer.takes(wrong)
        with pytest.raises(ValueError, match="follow"):
            writer.add(wrong)
    writer.close()


def test_pictures_that_are_not_later_are_left_out():
    opened = encoders.open_encoder((WIDTH, HEIGHT), VideoSettings(encoder="software"))
    assert len(opened.encode(image(0), 5 * SECOND)) == 1
    assert opened.encode(image(1), 5 * SECOND) == []
    assert opened.encode(image(1), 4 * SECOND) == []
    assert len(opened.encode(image(1), 6 * SECOND)) == 1


def test_an_odd_size_loses_its_last_row_and_column():
    opened = encoders.open_encoder((33, 17), VideoSettings(encoder="software"))
    assert opened.size == (32, 16)
    pixels = RgbPixels(rgb(1, 33, 17))
    (packet,) = opened.encode(Image((33, 17), pixels), 0)
    assert (packet.format.width, packet.format.height) == (32, 16)


def test_a_missing_encoder_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(errors.DeviceError) as caught:
        encoders.open_encoder((WIDTH, HEIGHT), VideoSettings())
    assert "python3-av" in caught.value.hint


@pytest.mark.skipif(Path("/dev/video11").exists(), reason="this machine may have the encoder")
def test_an_encoder_of_the_hardware_that_is_not_there_is_an_error_or_replaced(
    tmp_path, monkeypatch, caplog
):
    opened = None
    with pytest.raises(errors.DeviceError, match="h264_v4l2m2m"):
        opened = encoders.open_encoder((WIDTH, HEIGHT), VideoSettings(encoder="hardware"))
    monkeypatch.setattr(encoders, "HARDWARE", tmp_path)  # something is there, which does not work
    opened = encoders.open_encoder((WIDTH, HEIGHT), VideoSettings())
    assert len(opened.encode(image(0), 0)) == 1
    assert "instead" in caplog.text


@given(parts=st.lists(st.binary(min_size=1, max_size=8), max_size=6), long=st.booleans())
def test_units_are_found_in_a_byte_stream(parts, long):
    # A unit has no start code in it and does not end with zero; encoders see to both.
    parts = [b"\x65" + part.replace(b"\0", b"\1") for part in parts]
    start = b"\0\0\0\1" if long else b"\0\0\1"
    assert list(units(b"".join(start + part for part in parts))) == parts


WRITER = """
import sys
from pathlib import Path
from tests.device.events.test_clip import SECOND, encoded
from tartlet_device.events.clip import ClipWriter
folder = Path(sys.argv[1])
packets = encoded([number * SECOND // 5 for number in range(24)])
writer = ClipWriter(folder / "clip.mp4", folder / "clip.jsonl", packets[0])
for number, packet in enumerate(packets[1:], 1):
    writer.add(packet)
    print(number, flush=True)
    sys.stdin.readline()
writer.finish()
"""


@pytest.mark.parametrize("after", [1, 5, 6, 14, 23])
def test_a_kill_leaves_a_clip_that_plays(tmp_path, after):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([".", *sys.path])},
    )
    with process:
        for number in range(1, after + 1):
            assert int(process.stdout.readline()) == number
            if number < after:
                process.stdin.write("\n")
                process.stdin.flush()
        process.send_signal(signal.SIGKILL)
    path = tmp_path / "clip.mp4"
    # A second is five pictures; the one that was added last has started a new fragment or not.
    whole = after // 5 * 5
    assert mp4_recovery.recover(path) == (whole > 0)
    assert played(path)[0] == list(range(whole)) if whole else path.stat().st_size == 0
