"""What goes over one connection to a broker: events first, then what is kept, then what is seen."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import msgspec

from tartlet_device.outputs import payloads
from tartlet_device.outputs.mqtt_session import Session
from tartlet_device.outputs.mqtt_topics import Topics
from tartlet_device.outputs.queue_on_disk import QueueOnDisk
from tartlet_device.outputs.settings import MqttSettings
from tartlet_shared.observation import Observation

_AT_ONCE = 10  # events on their way to the broker
_STEP_S = 1.0


class Outgoing:
    """What is to be sent besides events: any thread gives it, one takes it.

    Attributes:
        delivered, dropped: events and observations sent; observations replaced by newer ones.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._latest: Observation | None = None
        self._hungry = False  # who sends may take an observation and found none
        self._retained: dict[str, bytes] = {}
        self.delivered = self.dropped = 0

    def observe(self, observation: Observation) -> None:
        """Replace the observation that waits."""
        with self._lock:
            self.dropped += self._latest is not None
            self._latest = observation
            hungry, self._hungry = self._hungry, False
        if hungry:
            self._wake()

    def retain(self, topic: str, payload: bytes) -> None:
        """Set what a topic shall keep."""
        with self._lock:
            self._retained[topic] = payload
        self._wake()

    def take_observation(self) -> Observation | None:
        """The newest observation; if there is none, the next one wakes who sends."""
        with self._lock:
            found, self._latest = self._latest, None
            self._hungry = found is None
            return found

    def retained(self) -> dict[str, bytes]:
        """What topics shall keep."""
        with self._lock:
            return dict(self._retained)


def send(
    session: Session,
    outgoing: Outgoing,
    queue: QueueOnDisk,
    settings: MqttSettings,
    topics: Topics,
    device: str,
    health: Callable[[], dict[str, object]],
    stopping: Callable[[], bool],
) -> None:
    """Send until ``stopping``.

    Raises:
        SessionEnded: the connection is gone.
        DeviceError: the queue cannot be read.
    """
    under_way: dict[int, int] = {}  # message id -> number in the queue
    sent_retained: dict[str, bytes] = {}
    last_number = 0
    next_observation = next_health = 0.0
    queue.open()  # what an earlier process left may wait in it
    session.publish(topics.state, b"online", qos=1, retain=True)
    while not stopping():
        room = _AT_ONCE - len(under_way)
        for entry in queue.first(after=last_number, limit=room) if room and len(queue) else ():
            mid = session.publish(topics.event, entry.content, qos=settings.event_qos)
            under_way[mid] = last_number = entry.number
        now = time.monotonic()
        if now >= next_health and not session.busy:
            next_health = now + settings.health_interval_s
            report = msgspec.json.encode({"device": device, **health()})
            session.publish(topics.health, report, qos=1, retain=True)
        for topic, payload in outgoing.retained().items():
            if sent_retained.get(topic) != payload and not session.busy:
                session.publish(topic, payload, qos=1, retain=True)
                sent_retained[topic] = payload
        if now >= next_observation and not session.busy:
            observation = outgoing.take_observation()
            if observation is not None:
                next_observation = now + settings.detections_interval_s
                content = payloads.encode(observation, device)
                session.publish(topics.detections, content, qos=settings.detections_qos)
                outgoing.delivered += 1
        wait = next_observation - time.monotonic()
        session.step(min(_STEP_S, wait) if wait > 0 else _STEP_S)
        for mid in session.take_acknowledged():
            number = under_way.pop(mid, None)
            if number is not None:
                queue.acknowledge(number)
                outgoing.delivered += 1
