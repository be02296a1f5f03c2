"""The Pi's camera through real libcamera and picamera2."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tartlet_host.remote.session import open_session
from tests.system.pi import camera_probe
from tests.system.pi.installed import main_process
from tests.system.pi.laptop import Laptop
from tests.system.virtual_pi import stage
from tests.system.virtual_pi.instance import VirtualPi
from tests.tiny_model import BundleMaker

pytestmark = pytest.mark.virtual

COLOURS = [
    *[(220, 40, 40), (40, 200, 40), (40, 60, 220), (220, 220, 40)],
    *[(40, 200, 200), (200, 40, 200), (128, 128, 128), (240, 240, 240)],
]
CONFIG = "/etc/tartlet/device.toml"
STUCK = "/run/virtual_camera_stuck"
AWAY = "/run/virtual_camera_away"
RIVAL = """
from picamera2 import Picamera2
import time
camera = Picamera2(0)
print("has the camera", flush=True)
time.sleep(1000)
"""


def wait_for(condition: Callable[[], Any], *, within_s: float = 120) -> Any:
    """What it returns, as soon as that is true."""
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.5)
    return found


@pytest.fixture(autouse=True)
def _serving(pi: VirtualPi, laptop: Laptop, make_bundle: BundleMaker) -> None:
    """A model serves, whichever test comes first."""
    if laptop.ask("status")["model"] is None:
        laptop.ask("push", make_bundle("serving"), "--confirm", 0)


@pytest.fixture
def patches(pi: VirtualPi, scene: Path, tmp_path: Path) -> Iterator[None]:
    """Eight colours before the camera, in two rows."""
    colours = np.array(COLOURS, np.uint8).reshape(camera_probe.ROWS, camera_probe.COLUMNS, 3)
    picture = cv2.resize(colours, (1920, 1080), interpolation=cv2.INTER_NEAREST)
    quality = [cv2.IMWRITE_JPEG_QUALITY, 98]
    assert cv2.imwrite(str(tmp_path / "patches.jpg"), picture[..., ::-1], quality)
    stage.show(pi.root, tmp_path)
    yield
    stage.show(pi.root, scene)


@pytest.fixture
def configure(pi: VirtualPi) -> Iterator[Callable[[str], None]]:
    """Restarts the daemon with lines in the [camera] section; afterwards as it was."""
    before = pi.run(f"cat {CONFIG}").stdout

    def write(lines: str) -> None:
        text = f'[camera]\nkind = "picamera"\n{lines}\n'
        pi.run(f"sudo tee {CONFIG}; sudo systemctl restart tartlet", stdin=text)

    yield write
    pi.run(f"sudo tee {CONFIG}; sudo systemctl restart tartlet", stdin=before)


@pytest.fixture
def stopped(pi: VirtualPi) -> Iterator[None]:
    """The camera is free."""
    pi.run("sudo systemctl stop tartlet")
    yield
    pi.run("sudo systemctl start tartlet")


def camera_error(laptop: Laptop) -> str:
    return str(laptop.ask("status")["camera_error"])


@pytest.fixture
def looked(pi: VirtualPi, patches: None, stopped: None) -> list[dict[str, Any]]:
    script = Path(camera_probe.__file__).read_text()
    found = json.loads(pi.run("/opt/tartlet/bin/python -", stdin=script).stdout)
    assert len(found) == 6
    return list(found)


def test_colours_sizes_and_times_in_every_format(looked: list[dict[str, Any]]) -> None:
    for each in looked:
        for seen in each["patches"]:
            assert np.abs(np.array(seen) - COLOURS).max() <= 4, each["format"]
        assert each["shown"] == [720, 1280, 3]
        assert each["photo"] in ([720, 1280, 3], [1080, 1920, 3])
        # The image processor makes the model's picture, except where somebody wants RGB.
        planar = each["format"] != "rgb"
        assert each["small"] == ([640, 360] if planar else None)
        assert each["small_only"] == planar
        # Against the letterbox of the picture as RGB, in levels of 255: the mean, and the most.
        assert np.all(each["difference_full"] <= np.array([0.5, 4]))
        assert np.all(each["difference_small"] <= np.array([1.0, 32]))
        # One number for each frame of the sensor, and none from the future.
        assert each["numbers"] == list(range(1, 6))
        steps = np.diff(each["taken_ns"])
        assert (np.abs(steps - 200e6) < 1e6).all(), steps
        assert min(each["ages_ns"]) >= 0
    assert [each["photo"][0] for each in looked] == [720, 1080] * 3


def test_full_photos_do_not_stop_the_stream(
    pi: VirtualPi,
    laptop: Laptop,
    make_bundle: BundleMaker,
    configure: Callable[[str], None],
) -> None:
    laptop.ask("push", make_bundle("photos"), "--confirm", 0)
    configure('photo = "full"\nrate = 10.0')
    wait_for(lambda: not camera_error(laptop))
    taken = []
    with open_session(pi.device) as session:
        for _ in range(3):
            boxes = session.client.predict(want_picture=False)
            (photo,) = session.client.capture()
            shown = session.client.predict(want_picture=True)
            assert (photo.width, photo.height) == (1920, 1080)
            assert (boxes.width, boxes.height) == (shown.width, shown.height) == (1280, 720)
            picture = cv2.imdecode(np.frombuffer(shown.jpeg, np.uint8), cv2.IMREAD_COLOR)
            assert picture is not None
            assert picture.shape == (720, 1280, 3)
            taken += [each.frame.monotonic_ns for each in (boxes, photo, shown) if each.frame]
    steps = np.diff(taken) / 100e6
    assert (steps > 0.5).all()
    # A stream that was stopped in between would not go on at the sensor's old beat.
    assert np.abs(steps - np.round(steps)).max() < 0.02, steps


def test_the_camera_is_opened_again_for_a_model_of_another_size(
    pi: VirtualPi, laptop: Laptop, make_bundle: BundleMaker
) -> None:
    laptop.ask("push", make_bundle("before"), "--confirm", 0)
    pi.run("sudo systemctl stop tartlet; sudo rm -f /var/lib/tartlet/serving.json")
    since = pi.run("date +%s; sudo systemctl start tartlet").stdout.strip()
    wait_for(lambda: not camera_error(laptop))  # without a model
    journal = f"sudo journalctl -u tartlet --since=@{since}"
    assert "opened again" not in pi.run(journal).stdout
    laptop.ask("push", make_bundle("after"), "--confirm", 0)
    assert laptop.ask("predict", "--no-picture")["frame"]
    wait_for(lambda: "opened again, to fit the model" in pi.run(journal).stdout)
    assert laptop.ask("predict", "--no-picture")["frame"]
    assert pi.run(journal).stdout.count("opened again") == 1


def test_a_busy_camera_names_who_has_it_and_is_taken_when_it_is_free(
    pi: VirtualPi, laptop: Laptop, stopped: None
) -> None:
    pi.run("sudo systemctl reset-failed rival; cat >rival.py", stdin=RIVAL, check=False)
    pi.run("sudo systemd-run --unit=rival --uid=pi python3 /home/pi/rival.py")
    wait_for(lambda: "has the camera" in pi.run("sudo journalctl -u rival").stdout)
    pid = pi.run("systemctl show --value -p MainPID rival").stdout.strip()
    name = pi.run(f"cat /proc/{pid}/comm").stdout.strip()
    pi.run("sudo systemctl start tartlet")
    error = wait_for(lambda: camera_error(laptop))
    assert f"held by {name} (process {pid})" in error
    failed = laptop.run("capture")
    assert "sudo systemctl stop rival.service" in failed.stderr
    pi.run("sudo systemctl kill --signal=KILL rival")
    wait_for(lambda: not camera_error(laptop))
    assert laptop.ask("predict", "--no-picture")["frame"]


def test_a_camera_that_comes_later_is_found(pi: VirtualPi, laptop: Laptop, stopped: None) -> None:
    pi.run(f"sudo touch {AWAY}; sudo systemctl start tartlet")
    assert "not there" in wait_for(lambda: camera_error(laptop))
    pi.run(f"sudo rm {AWAY}")
    wait_for(lambda: not camera_error(laptop))


def test_a_camera_that_gives_no_frame_is_opened_again(
    pi: VirtualPi, laptop: Laptop, configure: Callable[[str], None]
) -> None:
    configure("")
    wait_for(lambda: not camera_error(laptop))
    process = main_process(pi)
    pi.run(f"sudo touch {STUCK}")
    try:
        failed = laptop.run("predict", "--no-picture")
        assert failed.returncode != 0
        assert "no frame within" in failed.stderr
    finally:
        pi.run(f"sudo rm -f {STUCK}")
    wait_for(lambda: laptop.run("predict", "--no-picture").returncode == 0)
    assert main_process(pi) == process


def test_consecutive_photos_are_consecutive_frames(
    pi: VirtualPi, laptop: Laptop, configure: Callable[[str], None]
) -> None:
    configure("rate = 5.0")
    wait_for(lambda: not camera_error(laptop))
    with open_session(pi.device) as session:
        photos = list(session.client.capture(count=4))
    numbers = [photo.frame.number for photo in photos]
    assert numbers == list(range(numbers[0], numbers[0] + 4))
    times = [photo.frame.monotonic_ns for photo in photos]
    assert all(abs(b - a - 200e6) < 1e6 for a, b in itertools.pairwise(times))
