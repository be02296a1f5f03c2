"""docs/health.md and docs/outputs.md name every figure."""

from __future__ import annotations

import re
from pathlib import Path

from tartlet_device.outputs.metrics import Counts
from tartlet_shared.health_messages import (
    DetectionStatus,
    DeviceHealth,
    EventsHealth,
    OutputHealth,
    ProcessHealth,
    StageHealth,
)

HEALTH = Path("docs/health.md").read_text()
OUTPUTS = Path("docs/outputs.md").read_text()


def test_every_figure_is_named() -> None:
    missing = [name for name in DeviceHealth.__struct_fields__ if f"`{name}`" not in HEALTH]
    assert missing == []


def test_every_series_is_named() -> None:
    figures = DeviceHealth(
        temperature_c=1.0,
        throttled=(),
        uptime_s=1,
        clock_synchronized=True,
        resident_bytes=1,
        children=(ProcessHealth(name="camera", pid=1, resident_bytes=1),),
        cma_free_bytes=1,
        cma_total_bytes=1,
        free_bytes=1,
        detection=DetectionStatus(
            frames=1, still=0, rate=1, latency_p50_ms=1, latency_p95_ms=1, inference_p50_ms=1
        ),
        stages=(StageHealth(name="inference", waiting=0, most=1, dropped=0),),
        events=EventsHealth(faults={"video": "x"}),
        outputs=(OutputHealth(name="mqtt", queued=0, delivered=0),),
    )
    text = Counts(lambda: figures).exposition().decode()
    series = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
    assert len(series) > 25
    named = set(re.findall(r"`(tartlet_\w+)", OUTPUTS))
    created = {name for name in series if name.endswith("_created")}
    assert series - created - named == set()
