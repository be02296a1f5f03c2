from __future__ import annotations

import queue
import threading
import time

import numpy as np
import pytest

from tartlet_device.camera import orders
from tartlet_device.camera.orders import BUFFERED_FRAMES
from tartlet_device.camera.owner import CameraOwner
from tartlet_device.image import Image
from tartlet_shared import errors
from tartlet_shared.messages import FrameInfo

FAST = (0.0,)


class FakeCamera:
    """Gives the frames that the test puts in; an error put in is raised."""

    def __init__(self, *, live: bool = True, on_demand: bool = False) -> None:
        self.live, self.on_demand = live, on_demand
        self.script: queue.Queue[object] = queue.Queue()
        self.number = 0
        self.grabbed = 0
        self.closed = False
        self.retrieved_full: list[bool] = []

    def give(self, count: int = 1, *, taken_ns: int | None = None, skip: int = 0) -> None:
        for _ in range(count):
            self.number += 1 + skip
            self.script.put((self.number, taken_ns))

    def fail(self, error: Exception) -> None:
        self.script.put(error)

    def grab(self, timeout_s: float) -> FrameInfo:
        try:
            item = self.script.get(timeout=timeout_s)
        except queue.Empty:
            raise errors.CameraTimeout("no frame", where="fake") from None
        if isinstance(item, Exception):
            raise item
        number, taken_ns = item
        self.grabbed += 1
        self.image = np.full((2, 2, 3), number % 256, np.uint8)
        return FrameInfo(number=number, monotonic_ns=taken_ns or time.monotonic_ns())

    def retrieve(self, *, full: bool) -> Image:
        self.retrieved_full.append(full)
        return Image.of(self.image.copy())

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def own():
    """Start an owner around cameras, or errors, that are opened one after the other."""
    owners, opened = [], []

    def own(*openings, also=(), **options) -> CameraOwner:
        left = list(openings)
        opened.extend((*openings, *also))

        def open_camera():
            opening = left.pop(0) if len(left) > 1 else left[0]
            return opening() if callable(opening) else opening

        owner = CameraOwner(open_camera, back_off_s=FAST, **options)
        owners.append(owner)
        owner.start()
        return owner

    yield own
    for owner in owners:
        owner._stopping = True
    for camera in opened:
        if isinstance(camera, FakeCamera):
            camera.fail(errors.DeviceError("the test is over"))  # ends a grab that waits
    for owner in owners:
        owner.stop()


def in_thread(function):
    """Run ``function`` beside; returns a queue with its result or its error."""
    results: queue.Queue[object] = queue.Queue()

    def run():
        try:
            results.put(function())
        except errors.TartletError as error:
            results.put(error)

    threading.Thread(target=run, daemon=True).start()
    return results


def ordered(owner, until):
    """Wait until a caller's order has reached the owner."""
    until(lambda: owner._orders)


def test_a_frame_is_taken_after_the_request(own, until):
    camera = FakeCamera()
    owner = own(camera)
    camera.give(3)
    until(lambda: camera.grabbed == 3)
    result = in_thread(owner.next_frame)
    ordered(owner, until)
    camera.give(1, taken_ns=1)  # was in the driver's queue, taken long before the request
    camera.give(1)
    frame = result.get(timeout=5)
    assert frame.info.number == 5
    assert frame.image.photo()[0, 0, 0] == 5


def test_consecutive_frames_have_no_gap(own, until):
    camera = FakeCamera()
    owner = own(camera)
    result = in_thread(lambda: [frame.info.number for frame in owner.frames(5)])
    ordered(owner, until)
    camera.give(7)
    assert result.get(timeout=5) == [1, 2, 3, 4, 5]


def test_several_callers_share_frames_that_none_can_change(own, until):
    camera = FakeCamera()
    owner = own(camera)
    results = [in_thread(owner.next_frame) for _ in range(3)]
    until(lambda: len(owner._orders) == 3)
    camera.give(1)
    frames = [result.get(timeout=5) for result in results]
    assert [frame.info.number for frame in frames] == [1, 1, 1]
    with pytest.raises(ValueError):
        frames[0].image.photo()[0] = 0


def test_the_whole_picture_is_fetched_only_if_somebody_wants_it(own, until):
    camera = FakeCamera()
    owner = own(camera)
    results = [in_thread(lambda: owner.next_frame(full=False)) for _ in range(2)]
    until(lambda: len(owner._orders) == 2)
    camera.give(1)
    assert len({id(result.get(timeout=5)) for result in results}) == 2
    results = [in_thread(lambda full=full: owner.next_frame(full=full)) for full in (True, False)]
    until(lambda: len(owner._orders) == 2)
    camera.give(1)
    for result in results:
        result.get(timeout=5)
    assert camera.retrieved_full == [False, True]


@pytest.mark.parametrize("on_demand", [True, False])
def test_a_camera_that_no_longer_fits_is_opened_again_when_nobody_waits(own, until, on_demand):
    first, second = FakeCamera(on_demand=on_demand), FakeCamera(on_demand=on_demand)
    wanted = [first]
    owner = own(first, second, fits=lambda camera: camera is wanted[0])
    result = in_thread(lambda: [frame.info.number for frame in owner.frames(3)])
    ordered(owner, until)
    first.give(1)
    wanted[0] = second
    first.give(2)
    assert result.get(timeout=5) == [1, 2, 3]
    if not on_demand:
        first.give(1)  # ends the grab that waits
    until(lambda: first.closed)
    result = in_thread(owner.next_frame)
    ordered(owner, until)
    second.give(1)
    assert result.get(timeout=5).info.number == 1
    assert owner.fault is None
    assert not second.closed


def test_a_camera_that_gives_nothing_times_out(own):
    owner = own(FakeCamera())
    with pytest.raises(errors.CameraTimeout, match=r"0\.1 s"):
        owner.next_frame(timeout_s=0.05)


@pytest.mark.parametrize(
    "fault",
    [
        errors.CameraAbsent("there is none", where="/dev/video0", hint="plug it in"),
        errors.CameraBusy("held by motion (process 812)", where="/dev/video0", hint="stop it"),
    ],
)
def test_a_camera_that_does_not_open_is_an_error_at_once_and_comes_back(own, until, fault):
    camera = FakeCamera()
    gate = threading.Event()

    def fail_until_open():
        if not gate.is_set():
            raise fault
        return camera

    owner = own(fail_until_open, also=[camera])
    until(lambda: owner.fault)
    with pytest.raises(type(fault)) as caught:
        owner.next_frame()
    assert (caught.value.what, caught.value.hint) == (fault.what, fault.hint)
    gate.set()
    camera.give(1)
    until(lambda: owner.fault is None)
    result = in_thread(owner.next_frame)
    ordered(owner, until)
    camera.give(1)
    assert result.get(timeout=5).info.number == 2


@pytest.mark.parametrize(
    "fault", [errors.DeviceError("unplugged"), RuntimeError("a driver's own"), OSError(5, "EIO")]
)
def test_a_fault_reaches_those_who_wait_and_the_camera_is_opened_again(own, until, fault):
    broken, good = FakeCamera(), FakeCamera()
    owner = own(broken, good)
    result = in_thread(owner.next_frame)
    ordered(owner, until)
    broken.fail(fault)
    error = result.get(timeout=5)
    assert isinstance(error, errors.DeviceError)
    until(lambda: broken.closed)
    good.give(1)
    until(lambda: owner.fault is None)
    assert owner.alive(5)


def test_a_camera_that_hangs_is_opened_again(own, until):
    hanging, good = FakeCamera(), FakeCamera()
    own(hanging, good, frame_timeout_s=0.01)
    until(lambda: hanging.closed)
    good.give(1)
    until(lambda: good.grabbed == 1)


def test_the_back_off_grows_to_its_last_value():
    waits = []
    enough = threading.Event()

    def fail():
        raise errors.CameraAbsent("none")

    class Recording(CameraOwner):
        def _wait(self, seconds):
            waits.append(seconds)
            if len(waits) == 5:
                enough.set()
                self._stopping = True

    owner = Recording(fail, back_off_s=(1.0, 2.0, 4.0))
    owner.start()
    assert enough.wait(5)
    owner.stop()
    assert waits == [1.0, 2.0, 4.0, 4.0, 4.0]


def test_footage_waits_for_a_slow_caller(own, until):
    camera = FakeCamera(live=False)
    owner = own(camera)
    frames = owner.frames(3 * BUFFERED_FRAMES)
    camera.give(3 * BUFFERED_FRAMES)
    until(lambda: camera.grabbed == BUFFERED_FRAMES + 1)
    assert [frame.info.number for frame in frames] == list(range(1, 3 * BUFFERED_FRAMES + 1))


def test_a_live_camera_gives_up_on_a_slow_caller_and_says_so(own, until):
    camera = FakeCamera(live=True)
    owner = own(camera)
    frames = owner.frames(100)
    camera.give(BUFFERED_FRAMES + 5)
    until(lambda: camera.grabbed == BUFFERED_FRAMES + 5)
    with pytest.raises(errors.DeviceError, match="too slow"):
        list(frames)
    result = in_thread(owner.next_frame)
    ordered(owner, until)
    camera.give(1)
    assert result.get(timeout=5).info.number == BUFFERED_FRAMES + 6


def test_fewer_large_frames_wait_for_a_slow_caller(own, until, monkeypatch):
    camera = FakeCamera(live=True)
    owner = own(camera)
    monkeypatch.setattr(orders, "BUFFERED_BYTES", 3 * 2 * 2 * 3)
    frames = owner.frames(100)
    camera.give(4)
    until(lambda: not owner._orders)  # given up
    with pytest.raises(errors.DeviceError, match="3 frames are waiting"):
        list(frames)


def test_lost_frames_of_a_live_camera_are_an_error(own, until):
    camera = FakeCamera(live=True)
    owner = own(camera)
    result = in_thread(lambda: list(owner.frames(4)))
    ordered(owner, until)
    camera.give(2)
    camera.give(1, skip=2)
    error = result.get(timeout=5)
    assert isinstance(error, errors.DeviceError)
    assert error.what.startswith("2 frames before frame 5")


@pytest.mark.parametrize("started", [False, True])
def test_a_caller_who_leaves_does_not_hold_footage_up(own, until, started):
    camera = FakeCamera(live=False)
    owner = own(camera)
    frames = owner.frames(100)
    camera.give(BUFFERED_FRAMES + 2)
    if started:
        next(frames)
    frames.close()
    until(lambda: not owner._orders)
    result = in_thread(owner.next_frame)
    camera.give(5)
    assert result.get(timeout=5).info.number > BUFFERED_FRAMES


def test_an_on_demand_camera_is_grabbed_only_when_somebody_asks(own, until):
    camera = FakeCamera(live=False, on_demand=True)
    owner = own(camera)
    camera.give(10)
    assert owner.next_frame().info.number == 1
    assert [frame.info.number for frame in owner.frames(2)] == [2, 3]
    assert camera.grabbed == 3


def test_stopping_tells_those_who_wait_and_closes_the_camera(own, until):
    camera = FakeCamera(on_demand=True)
    owner = own(camera, frame_timeout_s=0.01)
    until(lambda: owner.alive(5))
    owner.stop()
    assert camera.closed
    assert not owner.alive(5)
    with pytest.raises(errors.DeviceError, match="stopping"):
        owner.next_frame()


def test_a_thread_that_hangs_is_not_alive(own, until):
    camera = FakeCamera()
    owner = own(camera, frame_timeout_s=0.5)
    until(lambda: owner.alive(5))
    until(lambda: not owner.alive(0.01))
