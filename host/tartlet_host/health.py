"""A device's health in words: what to show of it, and what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tartlet_shared import throttling

if TYPE_CHECKING:
    from tartlet_shared.confirmation_messages import Standing
    from tartlet_shared.health_messages import (
        DetectionStatus,
        DeviceHealth,
        OutputHealth,
        PowerAndHeat,
        StageHealth,
    )


def power_problems(power: PowerAndHeat) -> tuple[str, ...]:
    """What slows the board down now, in words."""
    hot = power.temperature_c is not None and power.temperature_c >= throttling.HOT_C
    heat = (f"{power.temperature_c:.0f} °C",) if hot else ()
    return (*throttling.now(power.throttled or ()), *heat)


def standing_words(standing: Standing) -> str:
    """How far the model is trusted, in a line."""
    if standing.confirmed:
        return "confirmed"
    healthy = f"healthy for {standing.healthy_s:.0f} of {standing.period_s:.0f} s"
    parts = [f"on probation, {healthy}"]
    if standing.starts:
        parts.append(f"{standing.starts} starts of the daemon since")
    if standing.fault:
        parts.append(f"began again: {standing.fault}")
    return "; ".join(parts)


def given_up_words(standing: Standing) -> str:
    """What the device left by itself, in a line; empty where it did not."""
    return f"{standing.given_up[:12]}: {standing.why}" if standing.given_up else ""


def detection_words(detection: DetectionStatus | None) -> str:
    """How continuous detection goes, in a line."""
    if detection is None:
        return "off"
    if detection.fault:
        return f"stands still: {detection.fault}"
    parts = [f"{detection.rate:.1f} frames/s, {detection.frames} looked at"]
    if detection.still:
        parts.append(f"{detection.still} still ones left out")
    return ", ".join(parts)


def latency_words(p50_ms: float | None, p95_ms: float | None) -> str:
    """Median and 95th percentile, in a line."""
    if p50_ms is None or p95_ms is None:
        return "unknown"
    return f"{p50_ms:.1f} ms, 95 % within {p95_ms:.1f} ms"


def stage_words(stage: StageHealth) -> str:
    """A queue, in a line."""
    return f"{stage.waiting} of {stage.most} waiting, {stage.dropped} left out"


def output_words(output: OutputHealth) -> str:
    """An output, in a line."""
    states = {True: "connected, ", False: "not connected, ", None: ""}
    parts = [f"{states[output.connected]}{output.delivered} told, {output.queued} waiting"]
    dropped = output.dropped_events + output.dropped_observations
    if dropped:
        parts.append(f"{dropped} left out ({output.dropped_events} events)")
    if output.last_error:
        parts.append(output.last_error)
    return ", ".join(parts)


def event_words(health: DeviceHealth) -> str:
    """The keeping of events, in a line."""
    events = health.events
    if events is None:
        return "not kept"
    faults = [f"{part}: {why}" for part, why in events.faults.items()]
    lost = [f"{events.lost} lost"] if events.lost else []
    return "; ".join([*lost, *faults]) or "kept"
