"""The whole daemon at work while its disk or its broker is not."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.footage import write_raw
from benchmarks.soak.surroundings import receiver
from tartlet_device.config import DeviceConfig, ReplaySettings
from tartlet_device.events.settings import EventSettings, StorageSettings
from tartlet_device.outputs.settings import (
    JsonLinesSettings,
    MqttSettings,
    OutputsSettings,
    WebhookSettings,
)
from tartlet_device.tracking.settings import Rule, TrackingSettings
from tartlet_host.remote import rollout
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_host.remote.session import open_session
from tartlet_shared import bundle as bundles
from tartlet_shared import errors
from tartlet_shared.health_messages import DeviceHealth
from tartlet_shared.observation import EventBegan
from tests.tiny_model import bright_picture

pytestmark = pytest.mark.system

_TRACKING = TrackingSettings(rules=(Rule(name="spot", frames=2, end_after_s=0.1, cooldown_s=0.0),))


class Running:
    """An embedded device, and somebody who watches: so it looks, and no event goes by unseen."""

    def __init__(self, embedded: EmbeddedDevice, settings: DeviceConfig) -> None:
        self.embedded, self._settings = embedded, settings
        self.began: list[str] = []
        self._watching = threading.Thread(target=self._watch, daemon=True)
        self._watching.start()

    def health(self) -> DeviceHealth:
        with open_session(self.embedded.device) as session:
            return session.client.status().health

    def logged(self) -> list[str]:
        """Events in the log, in order."""
        log = sqlite3.connect(Path(self._settings.events.folder) / "events.db")
        try:
            return [row[0] for row in log.execute("SELECT event_id FROM events ORDER BY sequence")]
        finally:
            log.close()

    def watched_to_the_end(self) -> None:
        self.embedded.stop_daemon()
        self._watching.join(20)
        assert not self._watching.is_alive()

    def _watch(self) -> None:
        try:
            with open_session(self.embedded.device) as session:
                for watched in session.client.watch():
                    self.began += [
                        event.event_id for event in watched.events if isinstance(event, EventBegan)
                    ]
        except errors.TartletError:
            return  # the daemon was stopped


@pytest.fixture
def start(tmp_path, make_bundle) -> Iterator[Callable[..., Running]]:
    """Start a device that sees something come and go; it keeps events in ``disk``."""
    frames = [bright_picture((32, 32, 64, 64)) for _ in range(20)]
    frames += [bright_picture() for _ in range(20)]
    video = write_raw(tmp_path / "spots.avi", frames)
    made: list[EmbeddedDevice] = []

    def start(disk: Path, outputs: OutputsSettings) -> Running:
        events = EventSettings(
            enabled=True, folder=str(disk / "events"), storage=StorageSettings(keep_free_mb=1)
        )
        settings = DeviceConfig(
            tracking=_TRACKING,
            events=events,
            outputs=outputs,
        )
        camera = ReplaySettings(path=str(video), rate=60)
        embedded = EmbeddedDevice(camera, store=disk / "store", threads=1, settings=settings)
        embedded.__enter__()
        made.append(embedded)
        bundle = bundles.open_bundle(make_bundle())
        with open_session(embedded.device) as session:
            plan = rollout.plan(bundle, *rollout.facts(session.client, bundle))
            rollout.apply(plan, session.client, session.connection)
        return Running(embedded, settings)

    yield start
    for embedded in made:
        embedded.__exit__(None, None, None)


def mounted(folder: Path, *options: str) -> None:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a disk")
    folder.mkdir(exist_ok=True)
    made = subprocess.run(
        ["mount", *options, str(folder)], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {made.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk of 8 MB."""
    folder = tmp_path / "disk"
    mounted(folder, "-t", "tmpfs", "-o", "size=8m", "tmpfs")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def card(tmp_path) -> Iterator[Path]:
    """A card with the file system of a Pi's."""
    image, folder = tmp_path / "card.img", tmp_path / "disk"
    program = shutil.which("mkfs.ext4", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("mkfs.ext4 is not installed")
    with image.open("wb") as stream:
        stream.truncate(32 << 20)
    subprocess.run([program, "-q", "-F", str(image)], check=True)
    mounted(folder, "-o", "loop", str(image))
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def outputs_of(disk: Path, url: str) -> OutputsSettings:
    return OutputsSettings(
        json_lines=JsonLinesSettings(folder=str(disk / "lines"), file_mb=0.5, total_mb=1),
        webhooks=(WebhookSettings(name="hook", url=url),),
    )


def faults(health: DeviceHealth) -> set[str]:
    """What says that it does not work."""
    of_outputs = {each.name for each in health.outputs if each.last_error}
    return set(health.events.faults) | of_outputs


def test_a_full_card_stops_nothing_and_what_waited_is_kept_and_told(small_disk, start, until):
    with receiver() as (url, told):
        device = start(small_disk, outputs_of(small_disk, url))
        until(lambda: len(told.keys) >= 4)
        filler = small_disk / "somebody-elses"
        with filler.open("wb", buffering=0) as stream:
            try:
                while True:
                    stream.write(bytes(1 << 14))
            except OSError:
                pass
        until(lambda: {"event log", "recordings"} <= faults(device.health()))
        frames, before = device.health().detection.frames, len(device.began)
        until(lambda: device.health().detection.frames >= frames + 60)
        until(lambda: len(device.began) >= before + 2)
        filler.unlink()
        until(lambda: not faults(device.health()))
        after = len(told.keys)
        until(lambda: len(told.keys) >= after + 4)
        device.watched_to_the_end()
    began = [key.split("/")[0] for key in told.keys if key.endswith("/began")]
    logged = device.logged()  # one may have begun after the watching ended
    assert told.repeated == 0
    assert began == logged[: len(began)]
    assert device.began == logged[: len(device.began)]


def test_a_card_that_stops_writing_is_told_and_the_device_sees_on(card, start, until):
    with receiver() as (url, told):
        device = start(card, outputs_of(card, url))
        until(lambda: len(told.keys) >= 4)
        assert not device.health().read_only
        # What the kernel does after an error of the card.
        subprocess.run(["mount", "-o", "remount,abort", str(card)], check=True)
        until(lambda: device.health().read_only)
        until(lambda: {"event log", "recordings", "json-lines"} <= faults(device.health()))
        frames = device.health().detection.frames
        until(lambda: device.health().detection.frames >= frames + 60)
        with open_session(device.embedded.device) as session:
            assert session.client.predict().model
        assert device.embedded.daemon_pid is not None


class Deaf:
    """Where a broker was: it closes every connection, and counts them."""

    def __init__(self, port: int) -> None:
        self.attempts = 0
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self._socket.listen()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(20)

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.attempts += 1
            connection.close()


def test_after_an_hour_without_a_broker_each_event_is_told_once_and_in_order(
    tmp_path, make_broker, listen, start, until
):
    broker = make_broker().start()
    listener = listen(broker.port)  # its session outlives the broker's absence
    mqtt = MqttSettings(
        host="127.0.0.1",
        port=broker.port,
        device="pi",
        detections=False,
        retry_first_s=0.01,
        retry_longest_s=0.02,
    )
    disk = tmp_path / "disk"
    disk.mkdir()
    device = start(disk, OutputsSettings(mqtt=mqtt))
    until(lambda: listener.of("tartlet/pi/event"))
    broker.stop()
    deaf = Deaf(broker.port)
    before = len(device.began)
    # As many attempts as there are in an hour with the waits of the defaults.
    until(lambda: deaf.attempts >= 65)
    until(lambda: len(device.began) >= before + 5)
    assert device.health().outputs[0].connected is False
    assert device.health().outputs[0].queued >= 5
    deaf.close()
    broker.start()
    until(lambda: device.health().outputs[0].connected)
    until(lambda: device.health().outputs[0].queued == 0)
    device.watched_to_the_end()

    def told() -> list[str]:
        return [json.loads(each)["id"] for each in listener.of("tartlet/pi/event")]

    # The listener comes back to the broker a second later than the device.
    until(lambda: sum(key.endswith("/began") for key in told()) >= before + 5)
    keys = told()
    began = [key.split("/")[0] for key in keys if key.endswith("/began")]
    assert len(keys) == len(set(keys))
    logged = device.logged()  # one may have begun after the watching ended
    assert began == logged[: len(began)]
    assert device.began == logged[: len(device.began)]
