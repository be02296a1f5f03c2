"""A card that fails is mounted read-only: what serves goes on, what is pushed is refused."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tartlet_device.config import ReplaySettings
from tartlet_host.remote import pushing
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_host.remote.rollout import Terms
from tartlet_host.remote.session import open_session
from tartlet_shared import errors
from tests.faults.conftest import MakeBundle

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount"),
]
Remount = Callable[[str], None]


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    place = tmp_path / "card"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)])
    if made.returncode != 0:
        pytest.skip("mounting is not allowed here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("restarted", [False, True])
def test_the_model_serves_on_and_a_push_says_why_it_cannot(
    restarted: bool, card: Path, footage_settings: ReplaySettings, make_bundle: MakeBundle
) -> None:
    first, second, third = make_bundle(), make_bundle(), make_bundle()
    device = EmbeddedDevice(footage_settings, store=card / "store", threads=1)
    with device as embedded:
        with open_session(embedded.device) as session:
            pushing.push_once(session, first, Terms())
            pushing.push_once(session, second, Terms(activate=False))
        _remount(card, "ro")
        if restarted:
            embedded.restart_daemon()
        with open_session(embedded.device) as session:
            for bundle in (second, third):
                with pytest.raises(errors.DeviceError, match="cannot be written"):
                    pushing.push_once(session, bundle, Terms())
            with pytest.raises(errors.TartletError):
                session.client.rollback()
            found = session.client.predict()
            assert found.model == first.digest
            assert found.detections
        _remount(card, "rw")
        with open_session(embedded.device) as session:
            _, report = pushing.push_once(session, third, Terms())
            assert report.serves


def _remount(card: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", str(card)], check=True)
