"""What only a real Pi can show."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2

from tests.hardware.real_pi import RealPi
from tests.system.pi.laptop import Laptop


def test_the_firmware_says_how_warm_it_is_and_whether_the_power_is_good(
    pi: RealPi, laptop: Laptop
) -> None:
    status = laptop.ask("status", pi.device.name)
    assert 10 < status["temperature_c"] < 100
    assert status["throttled"] is not None


def test_its_sensor_counts_frames_and_their_times(
    pi: RealPi, laptop: Laptop, tmp_path: Path
) -> None:
    photos = laptop.ask("capture", pi.device.name, "--count", "5", "--output", tmp_path / "photos")[
        "photos"
    ]
    times = [photo["frame"]["monotonic_ns"] for photo in photos]
    numbers = [photo["frame"]["number"] for photo in photos]
    assert numbers == list(range(numbers[0], numbers[0] + 5))
    assert all(1e6 < later - earlier < 1e9 for earlier, later in itertools.pairwise(times))
    picture = cv2.imread(str(photos[0]["file"]))
    assert picture is not None
    assert picture.std() > 1, "a picture without any detail"


def test_the_camera_s_memory_comes_back_when_the_daemon_restarts(pi: RealPi) -> None:
    def free_kib() -> int:
        return int(pi.run("awk '/CmaFree/ {print $2}' /proc/meminfo").stdout)

    pi.run("sudo systemctl restart tartlet; sleep 5")
    before = free_kib()
    for _ in range(5):
        pi.run("sudo systemctl restart tartlet; sleep 5")
    assert free_kib() > before - 4096
