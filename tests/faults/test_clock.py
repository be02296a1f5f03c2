"""A Pi has no clock of its own: the time of day jumps by years while it is up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tartlet_device.config import ReplaySettings
from tartlet_host.remote import pushing
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_host.remote.rollout import Terms
from tartlet_host.remote.session import open_session
from tests.faults.conftest import MakeBundle

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed"),
]


class Clock:
    """The time of day of a device's daemon, as libfaketime reads it from a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.set("+0")

    def set(self, offset: str) -> None:
        """Relative to the true one: ``+10y``, ``-2d``."""
        aside = self.path.with_suffix(".new")
        aside.write_text(offset + "\n")
        aside.replace(self.path)


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock(tmp_path / "faketimerc")
    monkeypatch.setenv("LD_PRELOAD", str(LIBRARY))
    monkeypatch.setenv("FAKETIME_TIMESTAMP_FILE", str(made.path))
    monkeypatch.setenv("FAKETIME_NO_CACHE", "1")
    monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    return made


@pytest.fixture
def jumping(
    clock: Clock, footage_settings: ReplaySettings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EmbeddedDevice]:
    """A device under that clock; the laptop has the true one."""
    with EmbeddedDevice(footage_settings, threads=1) as device:
        for name in [each for each in os.environ if each.startswith(("LD_PRE", "FAKETIME"))]:
            monkeypatch.delenv(name)
        yield device


@pytest.mark.parametrize("jumps", [("+10y", "+0"), ("-10y", "+10y"), ("+2d", "-2d", "+30y")])
def test_a_push_and_its_probation_do_not_mind(
    jumps: tuple[str, ...], jumping: EmbeddedDevice, clock: Clock, make_bundle: MakeBundle
) -> None:
    first, second = make_bundle(), make_bundle()
    with open_session(jumping.device) as session:
        pushing.push_once(session, first, Terms())
        assert abs(session.client.status().uptime_s) < 600
        left = list(jumps)

        def jump(*_: object) -> None:
            if left:
                clock.set(left.pop(0))

        period_s = 3.0
        _, report = pushing.push_once(
            session, second, Terms(confirm_s=period_s), stage=jump, progress=jump
        )
        assert left == []
        assert report.serves
        assert report.confirmed
        status = session.client.status()
        assert status.model is not None
        assert status.model.digest == second.digest
        assert status.previous == first.digest
        assert session.client.predict().detections


def test_what_was_begun_before_a_jump_is_gone_on_with_or_sent_again(
    jumping: EmbeddedDevice, clock: Clock, make_bundle: MakeBundle
) -> None:
    bundle = make_bundle()
    incoming = jumping.store / "incoming"
    largest = max(bundle.manifest.files, key=lambda each: each.size)
    with open_session(jumping.device) as session:
        session.client.status()  # it is up now
    part = incoming / f"{largest.sha256}.laptop-1.part"
    part.write_bytes((bundle.folder / largest.name).read_bytes()[:1000])
    for offset in ("+10y", "-10y", "+0"):
        clock.set(offset)
        with open_session(jumping.device) as session:
            session.client.offer((bundle.folder / "manifest.json").read_bytes())
    with open_session(jumping.device) as session:
        _, report = pushing.push_once(session, bundle, Terms())
    assert report.serves
