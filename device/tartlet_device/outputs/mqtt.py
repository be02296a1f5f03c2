"""An MQTT broker is told: events from the queue on disk, observations and health as they are.

Two threads: one writes events to disk as they come, the other talks to the broker. So an event is
on disk at once, even while a connection attempt hangs.
"""

from __future__ import annotations

import os
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from tartlet_device import machine
from tartlet_device.outputs import credentials, home_assistant, retry
from tartlet_device.outputs.keeping import Keeper
from tartlet_device.outputs.mqtt_sending import Outgoing, send
from tartlet_device.outputs.mqtt_session import Session, SessionEnded, Waker
from tartlet_device.outputs.mqtt_topics import Announced, Topics
from tartlet_device.outputs.publisher import Conveyor, Fault, Item, OutputHealth
from tartlet_device.outputs.queue_on_disk import QueueOnDisk
from tartlet_device.outputs.settings import MqttSettings
from tartlet_shared import errors
from tartlet_shared.health_messages import DeviceHealth
from tartlet_shared.observation import EventBegan, Observation

NAME = "mqtt"
_STEADY_S = 10.0  # a connection that held for so long was a good one
_OPEN_EVENTS = 1000
_LARGEST_PICTURE = 4 << 20


class Mqtt:
    """The output."""

    def __init__(
        self,
        settings: MqttSettings,
        *,
        device: str,
        queue: Path,
        figures: Callable[[], DeviceHealth],
        announced: Announced | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        """Read the secrets and start.

        Args:
            device: name in topics; ``settings.device`` goes first.
            queue: file for events that wait.
            figures: called every ``settings.health_interval_s``.
            announced: what Home Assistant is told about; see `announce`.
            environment: where systemd says where credentials are.

        Raises:
            ConfigError: a secret or certificate cannot be used.
        """
        self._settings = settings
        self._device = settings.device or device
        self._topics = Topics(f"{settings.prefix}/{self._device}")
        self._figures = figures
        self._password = (
            None
            if settings.password is None
            else credentials.read(settings.password, "outputs.mqtt.password", environment)
        )
        self._tls = _tls_context(settings, environment)
        self._queue = QueueOnDisk(
            queue, max_entries=settings.queue_entries, max_bytes=int(settings.queue_mb * 1e6)
        )
        self._waker = Waker()
        self._outgoing = Outgoing(self._waker.wake)
        self._lock = threading.Lock()
        self._open_events: dict[str, str] = {}
        self._announced = Announced()
        self._removed: frozenset[str] = frozenset()
        self._connected = False
        self._fault = Fault(NAME)
        self._stopping = threading.Event()
        self.announce(announced or Announced())
        self._conveyor = Conveyor(
            f"{NAME}-queue", Keeper(self._queue, self._device, self._waker.wake)
        )
        self._thread = threading.Thread(target=self._run, name=NAME, daemon=True)
        self._thread.start()

    def publish(self, item: Item) -> None:
        """Take an item; never waits."""
        if isinstance(item, Observation):
            if self._settings.detections:
                self._outgoing.observe(item)
            return
        self._conveyor.mailbox.put(item)
        with self._lock:
            if not isinstance(item, EventBegan):
                rule = self._open_events.pop(item.event_id, None)
            elif len(self._open_events) < _OPEN_EVENTS:
                rule = self._open_events[item.event_id] = item.rule
            else:
                rule = None
            if rule is not None:
                self._retain_rule(rule)

    def publish_picture(self, jpeg: bytes) -> None:
        """Show the picture of an event, if ``settings.pictures``; only the last one is kept."""
        if self._settings.pictures and len(jpeg) <= _LARGEST_PICTURE:
            self._outgoing.retain(self._topics.picture, jpeg)

    def announce(self, announced: Announced) -> None:
        """Say what the device can tell about, at the start and when model or rules change."""
        home = self._settings.home_assistant
        with self._lock:
            for rule in set(self._announced.rules) | set(announced.rules):
                self._retain_rule(rule)
            if home is not None:
                before = home_assistant.components(
                    self._settings, self._topics, self._device, self._announced
                )
                self._removed |= before.keys()
                told = home_assistant.discovery(
                    self._settings,
                    self._topics,
                    self._device,
                    announced,
                    self._removed if self._announced != Announced() else frozenset(),
                    machine.description(),
                )
                self._outgoing.retain(home_assistant.discovery_topic(home, self._device), told)
            self._announced = announced

    def health(self) -> OutputHealth:
        """How it is."""
        mailbox = self._conveyor.mailbox
        return OutputHealth(
            name=NAME,
            queued=len(mailbox) + len(self._queue),
            delivered=self._outgoing.delivered,
            dropped_observations=self._outgoing.dropped,
            dropped_events=mailbox.dropped_events + self._queue.dropped,
            connected=self._connected,
            last_error=self._fault.text or self._conveyor.fault.text,
        )

    def stop(self, timeout_s: float = 5.0) -> None:
        """Write down what waits, tell the broker that the device goes, end the threads."""
        deadline = time.monotonic() + timeout_s
        self._conveyor.stop(timeout_s / 2)
        self._stopping.set()
        self._waker.wake()
        self._thread.join(max(0.0, deadline - time.monotonic()))
        self._queue.close()
        if not self._thread.is_alive():
            self._waker.close()

    def _retain_rule(self, rule: str) -> None:
        on = rule in self._open_events.values()
        self._outgoing.retain(self._topics.rule(rule), b"ON" if on else b"OFF")

    # -- in the thread

    def _told_health(self) -> dict[str, object]:
        return dict(msgspec.to_builtins(self._figures()))

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            session = Session(
                self._settings,
                f"tartlet-{self._device}",
                self._topics.state,
                self._password,
                self._tls,
                self._waker,
            )
            began: float | None = None
            try:
                session.open()
                began = time.monotonic()
                self._connected = True
                self._fault.clear()
                send(
                    session,
                    self._outgoing,
                    self._queue,
                    self._settings,
                    self._topics,
                    self._device,
                    self._told_health,
                    self._stopping.is_set,
                )
                session.publish(self._topics.state, b"offline", qos=1, retain=True)
                session.flush(1.0)
            except (SessionEnded, errors.TartletError) as error:
                self._fault.set(f"{self._settings.host}: {error}")
            finally:
                self._connected = False
                session.close()
            steady = began is not None and time.monotonic() - began >= _STEADY_S
            failures = 1 if steady else failures + 1
            settings = self._settings
            self._stopping.wait(
                retry.back_off_s(failures, settings.retry_first_s, settings.retry_longest_s)
            )


class _ClosingSocket(ssl.SSLSocket):
    """Closes itself when the other side is not trusted; paho leaves that to the garbage."""

    def do_handshake(self, block: bool = False) -> None:
        """As the standard library does it."""
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def _tls_context(settings: MqttSettings, environment: Mapping[str, str]) -> ssl.SSLContext | None:
    tls = settings.tls
    if tls is None:
        return None
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
        context.sslsocket_class = _ClosingSocket
    except (OSError, ssl.SSLError) as error:
        raise errors.ConfigError(
            f"{tls.ca_file} cannot be used: {error}", where="outputs.mqtt.tls.ca_file"
        ) from error
    if tls.certificate_file is not None and tls.key is not None:
        key = credentials.path_of(tls.key, "outputs.mqtt.tls.key", environment)
        try:
            context.load_cert_chain(tls.certificate_file, key)
        except (OSError, ssl.SSLError) as error:
            raise errors.ConfigError(
                f"{tls.certificate_file} and its key cannot be used: {error}",
                where="outputs.mqtt.tls.certificate_file",
            ) from error
    return context
