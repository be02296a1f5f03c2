"""A device with a real SSH server, and bundles of which each has something new."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pytest

from tartlet_device.config import ReplaySettings
from tartlet_host.remote import probe
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_host.remote.session import open_session
from tartlet_shared.bundle import Bundle

MakeBundle = Callable[..., Bundle]


@pytest.fixture(scope="session")
def footage_settings(tmp_path_factory: pytest.TempPathFactory) -> ReplaySettings:
    """A camera that sees bright spots."""
    folder = tmp_path_factory.mktemp("footage")
    spots = cv2.cvtColor(probe.spots_picture(), cv2.COLOR_RGB2BGR)
    assert cv2.imwrite(str(folder / "0.png"), spots)
    return ReplaySettings(path=str(folder), rate=0)


@pytest.fixture(scope="module")
def embedded(footage_settings: ReplaySettings) -> Iterator[EmbeddedDevice]:
    """One device for all tests of a module."""
    with EmbeddedDevice(footage_settings) as device:
        # It listens before its store is there; it answers after.
        with open_session(device.device) as session:
            session.client.status()
        yield device


@pytest.fixture(scope="module")
def make_bundle(tmp_path_factory: pytest.TempPathFactory) -> MakeBundle:
    """Makes bundles of about the size given; no two have the same large file."""
    numbers = itertools.count()

    def make(size: int = 400_000) -> Bundle:
        number = next(numbers)
        folder = tmp_path_factory.mktemp("bundles") / "bundle"
        return probe.write_bundle(folder, name=f"b{number}", filler_bytes=size + number)

    return make


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys, the agent and the SSH configuration of whoever runs the tests stay out of it."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
