"""Filming: what becomes of frames, and when it ends."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_device.camera.base import Frame
from tartlet_device.events.encoder import Encoder
from tartlet_device.events.packet import VideoFormat, VideoPacket
from tartlet_device.events.settings import VideoSettings
from tartlet_device.filming import WAITING_BYTES, Filming, Pace, Taken
from tartlet_device.image import Image, RgbPixels, Size
from tartlet_shared import errors
from tartlet_shared.message_base import FrameInfo

PERIOD_NS = 20_000_000
FORMAT = VideoFormat(64, 48, b"sps", b"pps")


class Camera:
    """Frames of a script: numbers, or errors; 50 a second by their own stamps, as fast as asked."""

    def __init__(self, script: Iterator[int | errors.TartletError], size: Size = (64, 48)) -> None:
        self._script = script
        self._start_ns = time.monotonic_ns() - 3600 * 10**9
        self.size = size
        self.wanted_full: list[bool] = []

    def next_frame(self, timeout_s: float, *, full: bool = True, fresh: bool = True) -> Frame:
        assert not fresh
        self.wanted_full.append(full)
        number = next(self._script)
        if isinstance(number, errors.TartletError):
            raise number
        info = FrameInfo(number=number, monotonic_ns=self._start_ns + number * PERIOD_NS)
        pixels = np.zeros((self.size[1], self.size[0], 3), np.uint8)
        return Frame(Image((64, 48), RgbPixels(pixels)), info)


class Encoding:
    """An encoder whose packets come ``late`` pictures later."""

    def __init__(self, size: Size, *, bytes_each: int = 10, late: int = 0) -> None:
        self.size = size
        self.closed = False
        self._bytes_each, self._late = bytes_each, late
        self._held: list[int] = []

    def encode(self, image: Image, monotonic_ns: int) -> list[VideoPacket]:
        self._held.append(monotonic_ns // 1000 * 1000)  # as microseconds
        if len(self._held) <= self._late:
            return []
        return [VideoPacket(bytes(self._bytes_each), self._held.pop(0), True, FORMAT)]

    def close(self) -> None:
        self.closed = True


def filming(camera: Camera, **options: object) -> Filming:
    values: dict[str, object] = {
        "seconds": 1.0,
        "full": False,
        "frame_timeout_s": 1.0,
        "encoder": lambda size, settings: Encoding(size),
    }
    rate = options.pop("rate", 50.0)
    settings = VideoSettings(rate=rate)  # type: ignore[arg-type]
    return Filming(camera, settings, **(values | options))  # type: ignore[arg-type]


def all_of(film: Filming) -> list[Taken]:
    found: list[Taken] = []
    with film:
        ended = False
        while not ended:
            taken, ended = film.take(5.0)
            found += taken
    return found


@pytest.mark.parametrize(
    ("numbers", "rate", "seconds", "kept", "dropped"),
    [
        # The first opens the encoder; a second has fifty.
        (itertools.count(1), 50.0, 0.1, [2, 3, 4, 5, 6], 0),
        # Every other one at half the rate, every fifth at a tenth of it.
        (itertools.count(1), 25.0, 0.1, [2, 4, 6], 0),
        (itertools.count(1), 10.0, 0.4, [2, 7, 12, 17], 0),
        # Three are missing, of which the rate wanted all, or every other one.
        (iter([1, 2, 3, 7, 8, 99]), 50.0, 0.2, [2, 3, 7, 8], 3),
        (iter([1, 2, 4, 8, 10, 99]), 25.0, 0.2, [2, 4, 8, 10], 1),
        # A camera slower than the rate drops nothing.
        (iter([1, 2, 3, 4, 99]), 60.0, 0.2, [2, 3, 4], 0),
        # Two thirds of its rate, on average.
        (itertools.count(1), 100 / 3, 0.24, [2, 4, 5, 7, 8, 10, 11, 13], 0),
    ],
)
def test_frames_at_the_rate_for_the_time(
    numbers: Iterator[int], rate: float, seconds: float, kept: list[int], dropped: int
) -> None:
    film = filming(Camera(numbers), rate=rate, seconds=seconds)
    taken = all_of(film)
    assert [each.info.number for each in taken] == kept
    assert all(abs(t.info.monotonic_ns - t.packet.monotonic_ns) < 1000 for t in taken)
    assert film.dropped == dropped


@given(camera=st.floats(1, 120), rate=st.floats(0.5, 60), jitter=st.floats(0, 0.05))
def test_the_pace_is_that_of_the_rate_or_of_the_camera(
    camera: float, rate: float, jitter: float
) -> None:
    pace, period_ns = Pace(rate), 1e9 / camera
    shifts = np.random.default_rng(0).uniform(-jitter, jitter, 400) * period_ns
    times = [round(number * period_ns + shift) for number, shift in enumerate(shifts)]
    wanted = sum(pace.wants(time_ns) for time_ns in times)
    seconds = (times[-1] - times[0]) / 1e9
    expected = min(len(times), rate * seconds)
    assert 0.9 * expected - 2 <= wanted <= 1.12 * expected + 2
    assert pace.wait_s(times[-1]) <= 1 / rate


def test_one_that_takes_long_to_encode_costs_none_behind_it(
    until: Callable[[Callable[[], object]], None],
) -> None:
    going = threading.Event()

    class Stalling(Encoding):
        def encode(self, image: Image, monotonic_ns: int) -> list[VideoPacket]:
            going.wait(20)
            return super().encode(image, monotonic_ns)

    film = filming(Camera(itertools.count(1)), seconds=0.2, encoder=lambda s, _: Stalling(s))
    with film:
        until(film._frames.full)
        going.set()
        found: list[Taken] = []
        ended = False
        while not ended:
            taken, ended = film.take(5.0)
            found += taken
    assert [each.info.number for each in found] == list(range(2, 12))
    assert film.dropped == 0


def test_packets_that_come_late_belong_to_their_own_frames() -> None:
    film = filming(
        Camera(itertools.count(1)),
        seconds=0.2,
        encoder=lambda size, settings: Encoding(size, late=3),
    )
    taken = all_of(film)
    assert [each.info.number for each in taken] == list(range(2, 9))  # three stay in the encoder
    assert all(abs(t.info.monotonic_ns - t.packet.monotonic_ns) < 1000 for t in taken)


@pytest.mark.parametrize(("full", "size"), [(False, (64, 48)), (True, (128, 96))])
def test_the_size_is_that_of_predictions_or_of_photos(full: bool, size: Size) -> None:
    opened: list[Size] = []

    def encoder(size: Size, settings: VideoSettings) -> Encoder:
        opened.append(size)
        return Encoding(size)

    camera = Camera(itertools.count(1), size=(129, 97))
    taken = all_of(filming(camera, full=full, seconds=0.1, encoder=encoder))
    assert opened == [size]
    assert {each.seen_size for each in taken} == {(64, 48)}
    assert all(camera.wanted_full)  # never the one that is as small as the model's


def test_a_slow_connection_leaves_frames_out_and_counts_them(
    until: Callable[[Callable[[], object]], None],
) -> None:
    going = threading.Event()

    def numbers() -> Iterator[int]:
        for number in itertools.count(1):
            if number == 12:
                going.wait(20)
            yield number

    large = WAITING_BYTES // 3
    film = filming(
        Camera(numbers()),
        seconds=0.3,
        encoder=lambda size, settings: Encoding(size, bytes_each=large),
    )
    with film:
        # Nobody takes them: after the fourth, those that wait are over the limit. A few were on
        # their way to the encoder then.
        until(lambda: film._last is not None and film._last.number == 11)
        until(lambda: film._frames.empty())
        first, ended = film.take(5.0)
        count = len(first)
        assert [each.info.number for each in first] == list(range(2, 2 + count))
        assert 4 <= count <= 9
        assert film.dropped == 10 - count
        assert not ended
        going.set()
        rest = []
        while not ended:
            taken, ended = film.take(5.0)
            rest += taken
    assert rest[0].info.number == 12
    assert film.dropped + len(first) + len(rest) == 15


def test_a_camera_that_fails_at_once_is_told() -> None:
    film = filming(Camera(iter([errors.CameraBusy("held")])))
    with film, pytest.raises(errors.CameraBusy):
        film.take(5.0)


def test_a_camera_that_comes_back_goes_on() -> None:
    script: list[int | errors.TartletError] = [1, 2, 3, errors.CameraTimeout("stuck")]
    taken = all_of(filming(Camera(iter([*script, *range(20, 26), 99])), seconds=1.0))
    assert [each.info.number for each in taken] == [2, 3, *range(20, 26)]


def test_one_that_does_not_ends_it_after_what_was_filmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tartlet_device.filming._GRACE_S", 0.2)
    script: Iterator[int | errors.TartletError] = itertools.chain(
        [1, 2, 3], (errors.CameraAbsent("unplugged") for _ in itertools.count())
    )
    found: list[int] = []
    with filming(Camera(script)) as film, pytest.raises(errors.CameraAbsent):  # noqa: PT012
        while True:
            found += [each.info.number for each in film.take(5.0)[0]]
    assert found == [2, 3]


@pytest.mark.parametrize("fault", [errors.DeviceError("no encoder"), RuntimeError("odd")])
def test_an_encoder_that_fails_is_told(fault: Exception) -> None:
    def fail(size: Size, settings: VideoSettings) -> Encoder:
        raise fault

    film = filming(Camera(itertools.count(1)), encoder=fail)
    with film, pytest.raises(errors.DeviceError):
        film.take(5.0)
    assert not any(thread.is_alive() for thread in film._threads)


def test_leaving_ends_the_thread_and_the_encoder() -> None:
    opened: list[Encoding] = []

    def encoder(size: Size, settings: VideoSettings) -> Encoder:
        opened.append(Encoding(size))
        return opened[0]

    film = filming(Camera(itertools.count(1)), seconds=3600.0, encoder=encoder)
    with film:
        film.take(5.0)
    assert not any(thread.is_alive() for thread in film._threads)
    assert opened[0].closed
