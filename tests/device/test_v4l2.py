from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from tartlet_device.camera import v4l2
from tartlet_device.camera.holder import busy_words, holders
from tartlet_device.camera.picamera import PiCamera, open_picamera
from tartlet_device.camera.v4l2 import V4l2Camera, open_v4l2, started
from tartlet_shared import errors


class FakeCapture:
    """Stands for cv2.VideoCapture."""

    def __init__(self, *, opens=True, frames=100, stamp_ms=None, picture=None) -> None:
        self.opens, self.frames, self.stamp_ms = opens, frames, stamp_ms
        self.picture = picture
        self.released = False

    def isOpened(self):  # noqa: N802
        return self.opens

    def grab(self):
        self.frames -= 1
        return self.frames >= 0

    def retrieve(self):
        return self.picture is not None, self.picture

    def get(self, property_id):
        assert property_id == cv2.CAP_PROP_POS_MSEC
        return time.monotonic() * 1e3 if self.stamp_ms is None else self.stamp_ms

    def set(self, property_id, value):
        return True

    def release(self):
        self.released = True


@pytest.fixture
def device(tmp_path) -> Path:
    path = tmp_path / "video0"
    path.touch()
    return path


def test_a_device_that_is_not_there_is_absent(tmp_path):
    with pytest.raises(errors.CameraAbsent) as caught:
        open_v4l2(tmp_path / "video0", width=None, height=None, rate=None)
    assert caught.value.where.endswith("video0")
    assert "plug it in" in caught.value.hint


def test_a_file_that_is_no_camera_is_absent(device):
    with pytest.raises(errors.CameraAbsent, match="no camera"):
        open_v4l2(device, width=640, height=480, rate=30)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOENT, errors.CameraAbsent),
        (errno.ENODEV, errors.CameraAbsent),
        (errno.ENXIO, errors.CameraAbsent),
        (errno.EBUSY, errors.CameraBusy),
        (errno.EACCES, errors.DeviceError),
    ],
)
def test_errors_of_opening(device, monkeypatch, number, kind):
    def fail(*_arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(v4l2.os, "open", fail)
    with pytest.raises(kind) as caught:
        v4l2.check_device(device)
    assert type(caught.value) is kind
    assert caught.value.hint


def test_a_camera_that_opens_and_gives_no_first_frame_is_busy(device):
    capture = FakeCapture(frames=0)
    with pytest.raises(errors.CameraBusy):
        started(device, capture)
    assert capture.released


def test_a_camera_that_opens_and_stays_silent_times_out(device):
    times = iter([0.0, 3.1])
    with pytest.raises(errors.CameraTimeout):
        started(device, FakeCapture(frames=0), clock=lambda: next(times))


def test_frames_are_counted_and_rgb(device):
    blue_first = np.zeros((4, 4, 3), np.uint8)
    blue_first[..., 0] = 200
    camera = started(device, FakeCapture(picture=blue_first))
    assert [camera.grab(1).number for _ in range(3)] == [1, 2, 3]
    assert camera.retrieve()[0, 0].tolist() == [0, 0, 200]


def test_the_drivers_time_stamp_is_used_where_it_makes_sense(device):
    now_ms = time.monotonic_ns() / 1e6
    camera = V4l2Camera(device, FakeCapture(stamp_ms=now_ms - 40))
    assert camera.grab(1).monotonic_ns == pytest.approx((now_ms - 40) * 1e6, abs=1e6)
    for nonsense in (0.0, now_ms + 1e6, -5.0):
        camera = V4l2Camera(device, FakeCapture(stamp_ms=nonsense))
        before = time.monotonic_ns()
        assert camera.grab(1).monotonic_ns >= before


def test_an_unplugged_camera_is_absent_and_a_silent_one_times_out(device):
    camera = V4l2Camera(device, FakeCapture(frames=0))
    with pytest.raises(errors.CameraTimeout):
        camera.grab(1)
    device.unlink()
    with pytest.raises(errors.CameraAbsent):
        camera.grab(1)


def test_a_frame_that_cannot_be_decoded_is_an_error(device):
    with pytest.raises(errors.DeviceError):
        V4l2Camera(device, FakeCapture()).retrieve()


# -- who holds it


def fake_process(proc: Path, number: int, name: str, *targets: Path) -> None:
    folder = proc / str(number) / "fd"
    folder.mkdir(parents=True)
    (folder.parent / "comm").write_text(name + "\n")
    for descriptor, target in enumerate(targets):
        (folder / str(descriptor)).symlink_to(target)


def test_the_holder_is_named(tmp_path, device):
    fake_process(tmp_path / "proc", 812, "motion", Path("/dev/null"), device)
    fake_process(tmp_path / "proc", 90, "cat", Path("/dev/null"))
    (tmp_path / "proc" / "self").mkdir()
    assert holders([device], proc=tmp_path / "proc") == ["motion (process 812)"]
    what, hint = busy_words([device], proc=tmp_path / "proc")
    assert what == "held by motion (process 812)"
    assert "motion" in hint


def test_a_holder_that_cannot_be_seen_can_still_be_found(tmp_path, device):
    (tmp_path / "proc" / "5").mkdir(parents=True)
    what, hint = busy_words([device], proc=tmp_path / "proc")
    assert what == "another process holds it"
    assert f"fuser -v {device}" in hint


def test_the_own_process_is_no_holder(device):
    with device.open("rb"):
        assert not holders([device])


# -- the part of picamera that can be tested without one


class FakeRequest:
    def __init__(self, log):
        self.log = log

    def make_array(self, name):
        assert name == "main"
        return np.full((2, 2, 3), 7, np.uint8)

    def get_metadata(self):
        return {"SensorTimestamp": time.clock_gettime_ns(time.CLOCK_BOOTTIME)}

    def release(self):
        self.log.append("released")


class FakePicamera:
    """The calls that are made of picamera2, as its manual has them."""

    def __init__(self, number=0, *, start_error=None, hangs=False):
        self.log = []
        self.start_error, self.hangs = start_error, hangs

    def create_video_configuration(self, main, controls, buffer_count):
        assert main["format"] == "BGR888"  # R, G, B in memory
        return {"main": main, "controls": controls, "buffer_count": buffer_count}

    def configure(self, configuration):
        self.log.append(configuration["main"]["size"])

    def start(self):
        if self.start_error is not None:
            raise self.start_error

    def capture_request(self, wait):
        if self.hangs:
            raise TimeoutError
        return FakeRequest(self.log)

    def close(self):
        self.log.append("closed")


class FakeLibrary:
    def __init__(self, picamera, attached=1):
        class Picamera2:
            def __new__(cls, _number):
                return picamera

            @staticmethod
            def global_camera_info():
                return [{"Num": number} for number in range(attached)]

        self.Picamera2 = Picamera2


@pytest.fixture
def picamera_library(monkeypatch):
    def install(picamera, **options):
        library = FakeLibrary(picamera, **options)
        monkeypatch.setattr("tartlet_device.camera.picamera._library", lambda: library)
        return picamera

    return install


def open_it():
    return open_picamera(0, width=1280, height=720, rate=30)


def test_picamera_frames_are_copied_and_their_buffers_released(picamera_library):
    picamera = picamera_library(FakePicamera())
    camera = open_it()
    before = time.monotonic_ns()
    info = camera.grab(1)
    assert before - 1e8 <= info.monotonic_ns <= time.monotonic_ns()
    assert camera.retrieve() is not camera.retrieve()
    assert picamera.log == [(1280, 720), "released"]
    camera.close()
    assert picamera.log[-1] == "closed"


def test_picamera_hanging_times_out(picamera_library):
    picamera_library(FakePicamera(hangs=True))
    with pytest.raises(errors.CameraTimeout):
        open_it().grab(1)


def test_picamera_busy_absent_and_broken_are_told_apart(picamera_library):
    busy = RuntimeError("Camera __init__ sequence did not complete.")
    picamera = picamera_library(FakePicamera(start_error=busy))
    with pytest.raises(errors.CameraBusy):
        open_it()
    assert picamera.log[-1] == "closed"
    picamera_library(FakePicamera(start_error=RuntimeError("Out of memory")))
    with pytest.raises(errors.DeviceError, match="Out of memory") as caught:
        open_it()
    assert type(caught.value) is errors.DeviceError
    picamera_library(FakePicamera(), attached=0)
    with pytest.raises(errors.CameraAbsent, match="0 are attached"):
        open_it()


def test_without_picamera2_the_camera_is_absent():
    with pytest.raises(errors.CameraAbsent, match="picamera2"):
        open_it()


def test_nothing_to_retrieve_before_the_first_grab():
    with pytest.raises(errors.DeviceError):
        PiCamera(FakePicamera()).retrieve()
