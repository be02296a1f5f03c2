"""A Pi on which tartlet was installed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from tartlet_host.remote.hostkey import HostKey
from tartlet_host.remote.inventory import Device
from tests.hardware.real_pi import RealPi
from tests.system.pi.laptop import Laptop
from tests.system.virtual_pi import image
from tests.system.virtual_pi.instance import VirtualPi

CACHE = image.default_cache()
"""Asked for before a test changes the home."""


@dataclass(frozen=True)
class Installed:
    """What a virtual Pi is started from, to have tartlet on it.

    Attributes:
        layers: of its file system.
        scene: folder of the pictures that its camera sees; None for one without a camera.
        seconds: that the installation took.
    """

    layers: tuple[Path, ...]
    scene: Path | None
    seconds: float


def add(laptop: Laptop, device: Device) -> None:
    """`tartlet device add`, as one who compared the fingerprint."""
    identity = ("--identity", device.identity) if device.identity else ()
    done = laptop.run(
        *("device", "add", device.name, str(device.typed)),
        *("--fingerprint", HostKey.parse(device.host_key).fingerprint, *identity),
    )
    assert done.returncode == 0, done.stderr


def wait_for_daemon(pi: VirtualPi | RealPi) -> None:
    """Until the daemon says that it is ready."""
    deadline = time.monotonic() + 120
    while pi.run("systemctl is-active tartlet", check=False).stdout.strip() != "active":
        assert time.monotonic() < deadline, pi.run(
            "systemctl status tartlet; sudo journalctl -u tartlet -n 40", check=False
        ).stdout
        time.sleep(0.5)


def main_process(pi: VirtualPi | RealPi) -> str:
    """The number of the daemon's process."""
    return pi.run("systemctl show --value -p MainPID tartlet").stdout.strip()
