from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from tartlet_device.camera import v4l2
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
    assert camera.retrieve(full=True).photo()[0, 0].tolist() == [0, 0, 200]


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
        V4l2Camera(device, FakeCapture()).retrieve(full=True)
