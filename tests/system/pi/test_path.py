"""The way of a model onto a Pi and of pictures from it, and everything that interrupts it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest

from tartlet_shared import errors
from tests.hardware.real_pi import RealPi
from tests.system.pi import spots
from tests.system.pi.installed import add, main_process
from tests.system.pi.laptop import Laptop
from tests.system.virtual_pi import instance
from tests.system.virtual_pi.instance import VirtualPi
from tests.tiny_model import BundleMaker


def served(laptop: Laptop, *, within_s: float = 120) -> dict[str, Any]:
    """The device's status, as soon as its daemon answers and its camera works."""
    deadline = time.monotonic() + within_s
    while True:
        done = laptop.run("status", "--json")
        if done.returncode == 0:
            status: dict[str, Any] = laptop.ask("status")
            if not status["camera_error"]:
                return status
        assert time.monotonic() < deadline, done.stdout + done.stderr
        time.sleep(0.5)


def sees_the_scene(pi: VirtualPi | RealPi, laptop: Laptop) -> bool:
    """Whether the model finds what is before the camera, which for a real one nobody knows."""
    found = laptop.ask("predict", "--no-picture")["detections"]
    return isinstance(pi, RealPi) or spots.found(found)


def serving(laptop: Laptop) -> str:
    """Name of the model that serves."""
    return str(served(laptop)["model"]["name"])


def test_from_push_to_rollback(
    pi: VirtualPi | RealPi, laptop: Laptop, make_bundle: BundleMaker, tmp_path: Path
) -> None:
    first, second = make_bundle("first"), make_bundle("second")
    pushed = laptop.ask("push", first, "--confirm", 0)
    assert pushed["serves"]
    assert pushed["self_test"]["detections"] >= 1
    assert sees_the_scene(pi, laptop)

    photo = tmp_path / "photo.jpg"
    laptop.ask("capture", "--output", photo)
    picture = cv2.imread(str(photo))
    assert picture is not None
    if isinstance(pi, VirtualPi):
        assert picture.shape == (720, 1280, 3)
        assert picture[280, 400].mean() > 200 > 60 > picture[280, 900].mean()

    assert laptop.ask("push", second, "--confirm", 0)["serves"]
    assert serving(laptop) == "second"
    laptop.ask("rollback")
    assert serving(laptop) == "first"
    assert sees_the_scene(pi, laptop)


def test_only_what_a_trusted_key_signed_is_taken(
    pi: VirtualPi | RealPi, laptop: Laptop, make_bundle: BundleMaker
) -> None:
    laptop.ask("key", "new")
    first, second = make_bundle("signed"), make_bundle("unsigned")
    laptop.ask("push", first, "--sign", "--confirm", 0)
    laptop.ask("key", "trust", pi.device.name)
    stranger = Laptop(laptop.config_dir.with_name("stranger"))
    add(stranger, pi.device)
    refused = stranger.run("push", second, "--confirm", 0)
    assert refused.returncode == errors.BundleUntrusted.exit_code, refused.stderr
    assert serving(laptop) == "signed"
    laptop.ask("push", second, "--confirm", 0)  # signed on the way
    assert serving(laptop) == "unsigned"
    laptop.ask("key", "forget", pi.device.name, "--all")
    stranger.ask("push", first, "--confirm", 0)


def test_with_a_restricted_key(
    pi: VirtualPi | RealPi, laptop: Laptop, make_bundle: BundleMaker
) -> None:
    made = laptop.ask("device", "restrict", pi.device.name)
    assert "tartlet-device gate" in pi.run("cat ~/.ssh/authorized_keys").stdout
    laptop.ask("push", make_bundle("restricted"), "--confirm", 0)
    assert serving(laptop) == "restricted"
    assert sees_the_scene(pi, laptop)
    assert laptop.ask("device", "restrict", pi.device.name) == made
    pi.run("sed -i '/tartlet-device gate/d' ~/.ssh/authorized_keys")


@pytest.mark.virtual
@pytest.mark.parametrize("moment", [0.0, 1.5, 3.0])
def test_a_daemon_that_is_killed_while_a_model_is_pushed(
    pi: VirtualPi, laptop: Laptop, make_bundle: BundleMaker, moment: float
) -> None:
    old, new = make_bundle("old"), make_bundle("new")
    laptop.ask("push", old, "--confirm", 0)
    push = laptop.start("push", new, "--confirm", 0)
    time.sleep(moment)
    pi.run("sudo systemctl kill --signal=KILL tartlet")
    push.communicate(timeout=300)
    # An answer means that it is committed; without one, either is right, but one of them serves.
    assert serving(laptop) in ({"new"} if push.returncode == 0 else {"old", "new"})
    assert sees_the_scene(pi, laptop)
    # And nothing of it is in the way of the next push.
    assert laptop.ask("push", new, "--confirm", 0)["serves"]


@pytest.mark.virtual
def test_the_watchdog_restarts_a_daemon_that_hangs(
    pi: VirtualPi, laptop: Laptop, make_bundle: BundleMaker
) -> None:
    laptop.ask("push", make_bundle("watched"), "--confirm", 0)
    folder = "/run/systemd/system/tartlet.service.d"
    pi.run(
        f"sudo mkdir -p {folder}; printf '[Service]\\nWatchdogSec=4\\n' | sudo tee {folder}/t.conf"
    )
    pi.run("sudo systemctl daemon-reload; sudo systemctl restart tartlet")
    served(laptop)
    before = main_process(pi)
    pi.run(f"sudo kill -STOP {before}")
    assert served(laptop)["model"]["name"] == "watched"
    assert main_process(pi) != before
    assert (
        "watchdog"
        in pi.run(
            "systemctl show -p Result tartlet; sudo journalctl -u tartlet -n 50"
        ).stdout.lower()
    )
    pi.run(f"sudo rm -r {folder}; sudo systemctl daemon-reload; sudo systemctl restart tartlet")


def power_cycle(pi: VirtualPi) -> None:
    instance.cut_power(pi)
    instance.power_on(pi)


@pytest.mark.virtual
@pytest.mark.parametrize("interrupt", [instance.reboot, power_cycle])
def test_the_committed_model_serves_after(
    pi: VirtualPi,
    laptop: Laptop,
    make_bundle: BundleMaker,
    interrupt: Callable[[VirtualPi], None],
) -> None:
    laptop.ask("push", make_bundle("before"), "--confirm", 0)
    interrupt(pi)
    assert serving(laptop) == "before"
    assert sees_the_scene(pi, laptop)
