from __future__ import annotations

import cv2
import numpy as np
import pytest

from tartlet_device.camera.replay import Clock, ReplayCamera
from tartlet_shared import errors


class FakeTime:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000
        self.clock = Clock(lambda: self.now_ns, self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)


@pytest.fixture
def video(tmp_path, kit):
    """Eight frames at 10 frames per second; frame n is of brightness 25 n."""
    path = tmp_path / "video.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for number in range(1, 9):
        writer.write(np.full((48, 64, 3), 25 * number, np.uint8))
    writer.release()
    return path


def numbers(camera, count):
    return [camera.grab(1).number for _ in range(count)]


def test_a_video_plays_in_order_and_starts_over(video):
    camera = ReplayCamera(video, rate=0)
    assert numbers(camera, 10) == [1, 2, 3, 4, 5, 6, 7, 8, 1, 2]
    camera.close()


def test_the_number_is_that_of_the_frame_in_the_footage(video):
    camera = ReplayCamera(video, rate=0, first=3, last=5)
    for number in (3, 4, 5, 3, 4):
        assert camera.grab(1).number == number
        assert abs(int(camera.retrieve(full=True).photo().mean()) - 25 * number) <= 2
    camera.close()


def test_a_folder_plays_in_natural_order(tmp_path, kit):
    for number in (10, 2, 1):
        cv2.imwrite(str(tmp_path / f"p{number}.png"), kit.picture() + number)
    (tmp_path / "notes.txt").write_text("no photo")
    camera = ReplayCamera(tmp_path, rate=0)
    seen = []
    for _ in range(4):
        camera.grab(1)
        seen.append(int(camera.retrieve(full=True).photo()[0, 0, 0]) - 20)
    assert seen == [1, 2, 10, 1]


def test_pictures_are_rgb_and_copies(footage, tmp_path):
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 2] = 255  # OpenCV writes blue, green, red
    cv2.imwrite(str(tmp_path / "red.png"), red)
    for path in (tmp_path / "red.png",):
        folder = tmp_path / "one"
        folder.mkdir()
        path.rename(folder / path.name)
    camera = ReplayCamera(folder, rate=0)
    camera.grab(1)
    assert camera.retrieve(full=True).photo()[0, 0].tolist() == [255, 0, 0]


def test_frames_come_at_the_rate_of_the_footage(video):
    time = FakeTime()
    camera = ReplayCamera(video, clock=time.clock)
    stamps = [camera.grab(1).monotonic_ns for _ in range(9)]
    assert np.diff(stamps).tolist() == [100_000_000] * 8
    assert not camera.on_demand
    camera.close()


def test_a_given_rate_overrides_that_of_the_footage(video, footage):
    for path in (video, footage):
        camera = ReplayCamera(path, rate=25, clock=FakeTime().clock)
        stamps = [camera.grab(1).monotonic_ns for _ in range(5)]
        assert np.diff(stamps).tolist() == [40_000_000] * 4
        camera.close()


def test_time_spent_elsewhere_counts_and_a_long_pause_is_not_caught_up(video):
    time = FakeTime()
    camera = ReplayCamera(video, clock=time.clock)
    first = camera.grab(1).monotonic_ns
    time.sleep(0.06)
    assert camera.grab(1).monotonic_ns - first == 100_000_000
    time.sleep(3.0)
    late = camera.grab(1).monotonic_ns
    assert camera.grab(1).monotonic_ns - late == 100_000_000
    camera.close()


def test_at_rate_zero_nothing_is_waited_for(video):
    time = FakeTime()
    camera = ReplayCamera(video, rate=0, clock=time.clock)
    assert camera.on_demand
    assert {camera.grab(1).monotonic_ns for _ in range(20)} == {1_000_000_000}
    camera.close()


def test_a_damaged_photo_is_left_out_and_said_so(footage, caplog):
    (footage / "photo_2.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    camera = ReplayCamera(footage, rate=0)
    assert numbers(camera, 5) == [1, 3, 4, 5, 1]
    assert "photo_2.png" in caplog.text


def test_a_truncated_video_plays_what_is_there(video):
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    try:
        camera = ReplayCamera(video, rate=0)
    except errors.FootageUnreadable:
        return  # not even a rate can be read: fine as well
    assert set(numbers(camera, 12)) <= set(range(1, 9))
    camera.close()


@pytest.mark.parametrize(
    "case", ["missing", "empty folder", "no video", "no such frame", "all damaged"]
)
def test_unusable_footage_says_where(tmp_path, video, case):
    path, first = tmp_path / "footage", 1
    if case == "empty folder":
        path.mkdir()
    elif case == "no video":
        path.write_bytes(b"text" * 100)
    elif case == "no such frame":
        path, first = video, 9
    elif case == "all damaged":
        path.mkdir()
        (path / "a.png").write_bytes(b"nothing")
    with pytest.raises(errors.FootageUnreadable) as caught:
        ReplayCamera(path, rate=0, first=first)
    assert caught.value.where == str(path)
    assert caught.value.hint


def test_footage_that_vanishes_while_it_plays_is_an_error_not_a_loop(footage):
    camera = ReplayCamera(footage, rate=0, last=2)
    numbers(camera, 2)
    for photo in footage.iterdir():
        photo.unlink()
    with pytest.raises(errors.FootageUnreadable):
        camera.grab(1)
