"""What can be tested without picamera2; tests on a virtual Pi use the real one."""

from __future__ import annotations

import contextlib
import os
import time
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from tartlet_device.camera.picamera import open_picamera
from tartlet_device.config import PicameraSettings
from tartlet_shared import errors

MODEL = (320, 256)


class FakeRequest:
    def __init__(self, picamera):
        self.picamera = picamera

    def get_metadata(self):
        return {"SensorTimestamp": time.clock_gettime_ns(time.CLOCK_BOOTTIME)}

    def release(self):
        self.picamera.log.append("released")


class FakePicamera:
    """The calls that are made of picamera2; tests change the attributes. Rows end at 64 bytes."""

    sensor_resolution = (4608, 2592)
    attached: ClassVar[list[int]] = [
        1
    ]  # how many cameras there are, each time that the library looks
    busy = hangs = False
    start_error: Exception | None = None
    refuses: tuple[object, ...] = ()  # formats, and numbers of streams
    log: list[str]

    class _cm:  # noqa: N801
        @staticmethod
        def reset():
            FakePicamera.attached.append(FakePicamera.attached.pop(0))

    @staticmethod
    def global_camera_info():
        return [{}] * FakePicamera.attached[0]

    def __init__(self, index):
        self.notifyme_r, self.notifyme_w = os.pipe()
        os.close(self.notifyme_r)
        if self.busy:
            raise RuntimeError("Camera __init__ sequence did not complete.")
        os.close(self.notifyme_w)

    def create_video_configuration(self, **configuration):
        return configuration

    def configure(self, configuration):
        self.configuration = configuration
        streams = [configuration[name] for name in ("main", "lores") if configuration[name]]
        names = {stream["format"] for stream in streams} | {len(streams)}
        if names & set(self.refuses):
            raise RuntimeError("Invalid camera configuration")
        for stream in streams:
            width = stream["size"][0] * (3 if stream["format"] == "BGR888" else 1)
            stream["stride"] = -(-width // 64) * 64

    def camera_configuration(self):
        return self.configuration

    def start(self):
        if self.start_error is not None:
            raise self.start_error
        self.log.append("started")

    def capture_request(self, wait):
        if self.hangs:
            raise TimeoutError
        return FakeRequest(self)

    def cancel_all_and_flush(self):
        self.log.append("cancelled")

    def close(self):
        self.log.append("closed")


@contextlib.contextmanager
def mapped_array(request, name, *, reshape, write):
    """All bytes of a stream: 100 where the luma is, 128 in the chroma, 255 in the padding."""
    assert not reshape
    assert not write
    stream = request.picamera.configuration[name]
    (width, height), stride = stream["size"], stream["stride"]
    if stream["format"] == "BGR888":
        rows = np.full((height, stride), 255, np.uint8)
        rows[:, : width * 3] = 100
        yield SimpleNamespace(array=rows.reshape(-1))
        return
    luma = np.full((height, stride), 255, np.uint8)
    luma[:, :width] = 100
    half = stride // 2 if stream["format"] == "YUV420" else stride
    chroma = np.full((height // 2 * stride // half, half), 255, np.uint8)
    chroma[:, : width // 2 if stream["format"] == "YUV420" else width] = 128
    yield SimpleNamespace(array=np.concatenate([luma.reshape(-1), chroma.reshape(-1)]))


@pytest.fixture
def library(monkeypatch):
    """Install a picamera2 with these attributes; returns what is done to the camera."""

    def install(**attributes):
        log = []
        monkeypatch.setattr(FakePicamera, "attached", attributes.pop("attached", [1]))
        fake = SimpleNamespace(
            Picamera2=type("Picamera2", (FakePicamera,), {**attributes, "log": log}),
            MappedArray=mapped_array,
            ColorSpace=SimpleNamespace(Smpte170m=lambda: "smpte170m"),
        )
        monkeypatch.setattr("tartlet_device.camera.picamera_errors.library", lambda name: fake)
        return log

    return install


def opened(canvas=MODEL, **settings):
    return open_picamera(PicameraSettings(**settings), canvas)


@pytest.mark.parametrize("layout", ["yuv420", "nv12", "rgb"])
@pytest.mark.parametrize("width", [1280, 1282])
def test_padding_is_left_out(library, layout, width):
    library()
    camera = opened(format=layout, width=width)
    camera.grab(1)
    image = camera.retrieve(full=True)
    assert image.photo().shape == (720, width, 3)
    value = image.photo()[0, 0, 0]
    assert (image.photo() == value).all()
    assert (image.scaled((320, 180)) == value).all()


def test_buffers_go_back_at_once(library):
    log = library()
    camera = opened()
    camera.grab(1)
    camera.retrieve(full=False)
    assert log == ["started", "released"]
    camera.grab(1)
    camera.grab(1)  # the one before was wanted by nobody
    assert log == ["started", "released", "released"]
    camera.close()
    assert log[3:] == ["released", "closed"]


def test_the_small_stream_is_what_the_model_needs(library):
    library()
    camera = opened(canvas=(320, 256))
    camera.grab(1)
    image = camera.retrieve(full=False)
    assert image.full is None
    assert (image.size, image.small.size) == ((1280, 720), (640, 360))
    assert camera.fits((320, 256))
    assert not camera.fits((416, 416))


@pytest.mark.parametrize("canvas", [None, (640, 640)])
def test_without_a_model_or_with_a_large_one_there_is_no_small_stream(library, canvas):
    library()
    camera = opened(canvas=canvas)
    camera.grab(1)
    image = camera.retrieve(full=False)
    assert (image.full.size, image.small) == ((1280, 720), None)
    assert camera.fits(canvas)
    assert not camera.fits((320, 256))


@pytest.mark.parametrize(
    ("photo", "size", "shown"),
    [
        ("full", (4608, 2592), (1280, 720)),
        ((4056, 3040), (4056, 3040), (961, 720)),  # the shape of the sensor, not of the picture
        ((1920, 1080), (1920, 1080), (1280, 720)),
    ],
)
def test_photos_can_be_larger_than_what_predict_shows(library, photo, size, shown):
    library()
    camera = opened(photo=photo)
    camera.grab(1)
    image = camera.retrieve(full=True)
    assert image.photo().shape == (size[1], size[0], 3)
    assert image.size == shown
    assert image.rgb().shape == (shown[1], shown[0], 3)
    assert image.small.size[0] <= 640


@pytest.mark.parametrize(
    ("refused", "stream", "small"),
    [((), "YUV420", True), ((2,), "YUV420", False), (("YUV420",), "BGR888", False)],
)
def test_a_camera_that_refuses_is_asked_for_less(library, refused, stream, small):
    library(refuses=refused)
    camera = opened()
    camera.grab(1)
    image = camera.retrieve(full=True)
    assert camera._picamera.configuration["main"]["format"] == stream
    assert (image.small is not None) == small
    assert camera.fits(MODEL)  # else it would be opened again and again


def test_a_camera_that_refuses_everything_is_an_error(library):
    log = library(refuses=(1, 2))
    with pytest.raises(errors.DeviceError, match="Invalid camera configuration"):
        opened()
    assert log == ["closed"]


def test_a_frame_that_does_not_come_times_out_and_is_not_waited_for_any_more(library):
    log = library(hangs=True)
    camera = opened()
    with pytest.raises(errors.CameraTimeout):
        camera.grab(1)
    assert log[-1] == "cancelled"


def test_a_busy_camera_leaves_no_descriptor_open(library):
    library(busy=True)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(3):
        with pytest.raises(errors.CameraBusy):
            opened()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_camera_that_does_not_start_is_closed(library):
    log = library(start_error=RuntimeError("Out of memory"))
    with pytest.raises(errors.DeviceError, match="Out of memory") as caught:
        opened()
    assert type(caught.value) is errors.DeviceError
    assert log == ["closed"]


def test_an_absent_camera_is_looked_for_again(library):
    library(attached=[0, 1])
    opened().close()
    library(attached=[0])
    with pytest.raises(errors.CameraAbsent, match="0 are attached"):
        opened()


def test_without_picamera2_the_camera_is_absent():
    with pytest.raises(errors.CameraAbsent, match="picamera2"):
        opened()


def test_nothing_to_retrieve_before_the_first_grab(library):
    library()
    with pytest.raises(errors.DeviceError):
        opened().retrieve(full=True)
