"""The endurance run itself: start everything, take samples, stop, count."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.soak.processes import Usage, family
from benchmarks.soak.surroundings import Broker, Scraper, Told, Watching, free_port, receiver
from tartlet_device.config import DeviceConfig, ReplaySettings
from tartlet_device.continuous.settings import DetectionSettings
from tartlet_device.events.settings import EventSettings, StorageSettings, VideoSettings
from tartlet_device.outputs.settings import (
    JsonLinesSettings,
    MetricsSettings,
    MqttSettings,
    OutputsSettings,
    WebhookSettings,
)
from tartlet_device.tracking.settings import Rule, TrackingSettings
from tartlet_host.remote import rollout
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_host.remote.session import open_session
from tartlet_shared.bundle import Bundle
from tartlet_shared.client import Client
from tartlet_shared.health_messages import DeviceHealth

_SETTLE_S = 60.0
_SCRAPES_S = 5.0


@dataclass(frozen=True)
class Sample:
    """One look.

    Attributes:
        seconds: since the beginning.
        processes: the daemon and its children, by number.
        health: what the daemon says itself.
    """

    seconds: float
    processes: dict[int, Usage]
    health: DeviceHealth


@dataclass
class Soaked:
    """What an endurance run found.

    Attributes:
        samples: in order.
        last: how the device was once everything had been told.
        began: events that the device counted.
        mqtt, webhook: which events each was told of.
        seen: frames that the watcher was told of.
        scrapes: of the metrics.
        faults: what ended before its time, in words.
    """

    samples: list[Sample] = field(default_factory=list)
    last: DeviceHealth | None = None
    began: int = 0
    mqtt: Told = field(default_factory=Told)
    webhook: Told = field(default_factory=Told)
    seen: int = 0
    scrapes: int = 0
    faults: list[str] = field(default_factory=list)


def soak(
    bundle: Bundle,
    footage: Path,
    *,
    seconds: float,
    interval_s: float,
    say: Callable[[Sample], None] = lambda sample: None,
) -> Soaked:
    """Run the device for so long.

    Args:
        bundle: of the model.
        footage: a video in which objects come and go.
        seconds: without start and end.
        interval_s: between two samples.
        say: called with each.
    """
    found = Soaked()
    with tempfile.TemporaryDirectory(prefix="soak") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        broker = Broker(folder)
        broker.start()
        stack.callback(broker.stop)
        found.mqtt = broker.told
        address, found.webhook = stack.enter_context(receiver())
        metrics_port = free_port()
        settings = everything_on(folder, broker.port, address, metrics_port)
        camera = ReplaySettings(path=str(footage), rate=0)
        embedded = stack.enter_context(EmbeddedDevice(camera, settings=settings))
        session = stack.enter_context(open_session(embedded.device))
        plan = rollout.plan(bundle, *rollout.facts(session.client, bundle))
        rollout.apply(plan, session.client, session.connection)
        scraper, watching = Scraper(metrics_port, _SCRAPES_S), Watching(embedded.device)
        pid = embedded.daemon_pid
        assert pid is not None
        with _in_threads(scraper.run, watching.run):
            _take_samples(found, session.client, pid, seconds, interval_s, say)
        # Nothing new begins, and what was promised is told.
        embedded.reconfigure(everything_on(folder, broker.port, address, metrics_port, look=False))
        found.last = _settled(session.client, found)
        values = scraper.values()
        found.began = int(
            sum(value for name, value in values.items() if name.startswith("tartlet_events_total"))
        )
        found.seen, found.scrapes = watching.seen, scraper.scrapes
        if watching.fault:
            found.faults.append(f"who watched was cut off: {watching.fault}")
        if embedded.daemon_pid != pid:
            found.faults.append("the daemon was started again")
    return found


def everything_on(
    folder: Path, mqtt_port: int, webhook: str, metrics_port: int, *, look: bool = True
) -> DeviceConfig:
    """A configuration with every output, pictures and clips; limits so small that they are reached.

    Args:
        look: whether detection is on.
    """
    return DeviceConfig(
        detection=DetectionSettings(enabled=look),
        tracking=TrackingSettings(
            rules=(Rule(name="seen", frames=3, end_after_s=0.5, cooldown_s=0.5),)
        ),
        events=EventSettings(
            enabled=True,
            folder=str(folder / "events"),
            most=100,
            storage=StorageSettings(pictures_mb=2, clips_mb=4, keep_free_mb=50),
            video=VideoSettings(clips=True, before_s=1, after_s=1, longest_s=10),
        ),
        outputs=OutputsSettings(
            json_lines=JsonLinesSettings(folder=str(folder / "lines"), file_mb=0.5, total_mb=2),
            mqtt=MqttSettings(host="127.0.0.1", port=mqtt_port, health_interval_s=5, pictures=True),
            webhooks=(WebhookSettings(name="hook", url=webhook),),
            metrics=MetricsSettings(
                port=metrics_port, textfile=str(folder / "soak.prom"), textfile_interval_s=1
            ),
        ),
    )


def _take_samples(
    found: Soaked,
    client: Client,
    pid: int,
    seconds: float,
    interval_s: float,
    say: Callable[[Sample], None],
) -> None:
    began = time.monotonic()
    while (spent := time.monotonic() - began) < seconds:
        health = client.status().health
        assert health is not None
        sample = Sample(spent, family(pid), health)
        found.samples.append(sample)
        say(sample)
        time.sleep(max(0.0, began + len(found.samples) * interval_s - time.monotonic()))


def _settled(client: Client, found: Soaked) -> DeviceHealth:
    """Once detection has ended and all have been told of all, or the patience is over."""
    deadline = time.monotonic() + _SETTLE_S
    while True:
        health = client.status().health
        assert health is not None
        waiting = sum(each.queued for each in health.outputs)
        told = found.mqtt.keys
        over = sum(key.endswith("/began") for key in told) * 2 == len(told)
        same = told == found.webhook.keys
        done = health.detection is None and not waiting and over and same
        if done or time.monotonic() > deadline:
            return health
        time.sleep(0.2)


@contextlib.contextmanager
def _in_threads(*targets: Callable[[threading.Event], None]) -> Iterator[None]:
    stopping = threading.Event()
    threads = [threading.Thread(target=each, args=(stopping,), daemon=True) for each in targets]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join(30)
