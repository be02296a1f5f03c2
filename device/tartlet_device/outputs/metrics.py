"""Figures for Prometheus, counted as items pass, and read from the system when somebody asks.

Needs prometheus-client (the extra ``metrics``).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from tartlet_device.outputs.publisher import Item
from tartlet_shared import throttling
from tartlet_shared.health_messages import (
    DetectionStatus,
    DeviceHealth,
    EventsHealth,
    OutputHealth,
    ProcessHealth,
    StageHealth,
)
from tartlet_shared.observation import EventBegan, Observation

MOST_LABELS = 200
"""Classes or rules with a time series of their own; more are counted as "other"."""
_RATE_S = 10.0
_MOST_STAMPS = 2000
_LATENCY_S = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0)


class Counts:
    """Counts what passes; `publish` takes no longer than a few additions."""

    def __init__(
        self,
        health: Callable[[], DeviceHealth],
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._clock_ns = clock_ns
        self._lock = threading.Lock()
        self._stamps: deque[int] = deque(maxlen=_MOST_STAMPS)
        self._known: dict[str, set[str]] = {}
        self._now: dict[str, int] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        registry = self._registry
        self._frames = Counter("tartlet_frames", "Frames that were analysed", registry=registry)
        self._latency = Histogram(
            "tartlet_latency_seconds",
            "From taking a frame to its result",
            buckets=_LATENCY_S,
            registry=registry,
        )
        self._detections = Counter(
            "tartlet_detections",
            "Objects seen, once for each frame they are in",
            ["label"],
            registry=registry,
        )
        self._events = Counter(
            "tartlet_events", "Events that began", ["rule", "label"], registry=registry
        )
        registry.register(_AtScrape(self, health))

    def publish(self, item: Item) -> None:
        """Count an item."""
        if isinstance(item, Observation):
            now_ns = self._clock_ns()
            counted: dict[str, int] = {}
            with self._lock:
                self._stamps.append(now_ns)
                for track in item.tracks:
                    label = self._bounded("label", track.label)
                    counted[label] = counted.get(label, 0) + 1
                self._now = dict.fromkeys(self._now, 0) | counted
            self._frames.inc()
            self._latency.observe(max(0.0, (now_ns - item.frame.monotonic_ns) / 1e9))
            for label, number in counted.items():
                self._detections.labels(label).inc(number)
        elif isinstance(item, EventBegan):
            with self._lock:
                rule = self._bounded("rule", item.rule)
                label = self._bounded("label", item.label)
            self._events.labels(rule, label).inc()

    def exposition(self) -> bytes:
        """All figures in Prometheus's text format, version 0.0.4."""
        return generate_latest(self._registry)

    def frames_per_second(self) -> float:
        """Over the last ten seconds."""
        now_ns = self._clock_ns()
        with self._lock:
            recent = [stamp for stamp in self._stamps if now_ns - stamp <= _RATE_S * 1e9]
        return len(recent) / _RATE_S

    def seen_now(self) -> dict[str, int]:
        """Objects of each class in the last frame; 0 for classes that were seen before."""
        with self._lock:
            return dict(self._now)

    def _bounded(self, kind: str, text: str) -> str:
        known = self._known.setdefault(kind, set())
        if text in known:
            return text
        if len(known) >= MOST_LABELS:
            return "other"
        known.add(text)
        return text


class _AtScrape:
    """Figures that are read when somebody asks."""

    def __init__(self, counts: Counts, health: Callable[[], DeviceHealth]) -> None:
        self._counts, self._health = counts, health

    def collect(self) -> Iterable[Metric]:
        """Called by prometheus-client."""
        counts, health = self._counts, self._health()
        yield _gauge("frames_per_second", "Over ten seconds", counts.frames_per_second())
        yield _table("seen_now", "Objects in the last frame", "label", counts.seen_now())
        yield from _of_camera(health)
        yield from _of_stages(health.stages)
        yield from _of_detection(health.detection)
        yield from _of_events(health.events)
        yield from _of_outputs(health.outputs)
        yield from _of_device(health)


def _of_camera(health: DeviceHealth) -> Iterable[Metric]:
    yield _gauge("camera_fault", "1 while the camera does not deliver", bool(health.camera_fault))
    yield _total("camera_frames", "Frames that the camera gave", health.camera_frames)
    yield _total(
        "camera_restarts", "Attempts to open the camera after a fault", health.camera_restarts
    )


def _of_stages(stages: tuple[StageHealth, ...]) -> Iterable[Metric]:
    waiting = {each.name: each.waiting for each in stages}
    dropped = {each.name: each.dropped for each in stages}
    yield _table("queue_items", "Items that wait in the loop", "queue", waiting)
    yield _totals("dropped", "Items left out, the next stage was busy", "stage", dropped)


def _of_detection(detection: DetectionStatus | None) -> Iterable[Metric]:
    if detection is None:
        return
    percentiles = {"0.5": detection.inference_p50_ms, "0.95": detection.inference_p95_ms}
    known = {quantile: ms / 1e3 for quantile, ms in percentiles.items() if ms is not None}
    yield _table("inference_seconds", "The model alone, last frames", "quantile", known)


def _of_events(events: EventsHealth | None) -> Iterable[Metric]:
    if events is not None:
        yield _total("events_lost", "Events that the disk did not take", events.lost)
        faults = dict.fromkeys(events.faults, 1)
        yield _table("events_fault", "1 for each part that does not work", "part", faults)


def _of_outputs(healths: tuple[OutputHealth, ...]) -> Iterable[Metric]:
    yield _table(
        "output_queue_items",
        "Items that wait to be told",
        "output",
        {each.name: each.queued for each in healths},
    )
    yield _totals(
        "output_delivered", "Items told", "output", {each.name: each.delivered for each in healths}
    )
    yield _totals(
        "output_dropped_events",
        "Events that were not told",
        "output",
        {each.name: each.dropped_events for each in healths},
    )
    yield _totals(
        "output_dropped_observations",
        "Observations that were not told",
        "output",
        {each.name: each.dropped_observations for each in healths},
    )
    yield _table(
        "output_fault",
        "1 while an output has an error",
        "output",
        {each.name: int(bool(each.last_error)) for each in healths},
    )


def _of_device(figures: DeviceHealth) -> Iterable[Metric]:
    yield _gauge("uptime_seconds", "Since the daemon started", figures.uptime_s)
    yield _gauge("resident_bytes", "The daemon's memory", figures.resident_bytes)
    yield _gauge(
        "clock_synchronized", "1 if the wall clock can be trusted", figures.clock_synchronized
    )
    yield _table(
        "child_resident_bytes",
        "Memory of the processes that the daemon started",
        "process",
        _by_name(figures.children),
    )
    yield _gauge("read_only", "1 if the disk takes nothing", figures.read_only)
    if figures.cma_free_bytes is not None:
        yield _gauge("cma_free_bytes", "Contiguous memory for cameras", figures.cma_free_bytes)
    if figures.free_bytes is not None:
        yield _gauge("free_bytes", "Free on the disk with the store", figures.free_bytes)
    if figures.temperature_c is not None:
        yield _gauge("temperature_celsius", "Of the processor", figures.temperature_c)
    if figures.throttled is not None:
        flags = {**dict.fromkeys(throttling.WORDS, 0), **dict.fromkeys(figures.throttled, 1)}
        yield _table("throttled", "Raspberry Pi firmware: power and heat", "flag", flags)


def _by_name(processes: tuple[ProcessHealth, ...]) -> dict[str, int]:
    """Those of the same name together: a number of a process is worth nothing after its end."""
    found: dict[str, int] = {}
    for each in processes:
        found[each.name] = found.get(each.name, 0) + each.resident_bytes
    return found


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"tartlet_{name}", help_text, value=float(value))


def _table(name: str, help_text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"tartlet_{name}", help_text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _total(name: str, help_text: str, value: float) -> Metric:
    return CounterMetricFamily(f"tartlet_{name}", help_text, value=value)


def _totals(name: str, help_text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(f"tartlet_{name}", help_text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
