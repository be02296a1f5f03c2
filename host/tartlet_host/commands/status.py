"""``tartlet status``: how a device is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tartlet_host import health as words
from tartlet_host.commands.options import (
    device_argument,
    duration,
    json_option,
    print_json,
    session,
    size,
)

if TYPE_CHECKING:
    from tartlet_shared.messages import DeviceHealth, Status


@click.command()
@device_argument
@json_option
def command(device: str | None, as_json: bool) -> None:
    """Show how DEVICE is: its model, camera, detection, power, memory, disk and outputs.

    What is left out of a queue is no fault by itself: a camera gives more frames than the model
    manages.

    \b
    Examples:
      tartlet status
      tartlet status pi --json
    \b
    JSON: {device, address, software, machine, python, model: {digest, name, runtime, labels} or
           null, standing: {digest, confirmed, healthy_s, period_s, starts, fault, given_up,
           why} or null, model_error, config_error, previous, camera, camera_error,
           runtimes: {name: version}, uptime_s, resident_bytes, free_bytes, temperature_c,
           throttled: [word] or null, clock_synchronized, detection: {...} or null,
           health: {uptime_s, temperature_c, throttled, clock_synchronized, resident_bytes,
           children: [{name, pid, resident_bytes}], cma_free_bytes, cma_total_bytes, free_bytes,
           read_only, camera_frames, camera_restarts, camera_fault, detection, stages: [{name,
           waiting, most, dropped}], events: {lost, faults} or null, outputs: [{name, queued,
           delivered, dropped_observations, dropped_events, connected, last_error}],
           outputs_fault}}
    """
    with session(device) as opened:
        status = opened.client.status()
        name, address = opened.device.name, str(opened.connection.target)
    if as_json:
        import msgspec

        fields = msgspec.to_builtins(status)
        del fields["type"], fields["request_id"]
        print_json({"device": name, "address": address, **fields})
        return
    click.echo(f"{name} ({address})")
    for heading, rows in _groups(status):
        click.echo(heading)
        for title, value in rows:
            click.echo(f"  {title:<12} {value}")


def _groups(status: Status) -> list[tuple[str, list[tuple[str, str]]]]:
    """Headings, and what stands below them."""
    health = status.health
    groups = [("model", _model_rows(status)), ("camera", _camera_rows(status))]
    if health is not None:
        groups += [("detection", _detection_rows(health)), ("events", _event_rows(health))]
    return [*groups, ("machine", _machine_rows(status))]


def _model_rows(status: Status) -> list[tuple[str, str]]:
    model = status.model
    serving = "none yet; `tartlet push` brings one"
    if model is not None:
        labels = ", ".join(model.labels)
        serving = f"{model.name} ({model.digest[:12]}, {model.runtime}): {labels}"
    broken = [("not serving", status.model_error)] if status.model_error else []
    standing = status.standing
    trust = [] if standing is None else [("trust", words.standing_words(standing))]
    if standing is not None and standing.given_up:
        trust.append(("rolled back", words.given_up_words(standing)))
    return [
        ("serving", serving),
        *broken,
        *trust,
        ("previous", "none" if status.previous is None else status.previous[:12]),
        ("runtimes", ", ".join(status.runtimes.values()) or "none"),
    ]


def _camera_rows(status: Status) -> list[tuple[str, str]]:
    rows = [("camera", f"{status.camera}, {status.camera_error or 'works'}")]
    health = status.health
    if health is not None:
        rows.append(
            ("frames", f"{health.camera_frames}, opened again {health.camera_restarts} times")
        )
        if health.cma_free_bytes is not None and health.cma_total_bytes is not None:
            free, total = size(health.cma_free_bytes), size(health.cma_total_bytes)
            rows.append(("CMA", f"{free} of {total} contiguous memory free"))
    return rows


def _detection_rows(health: DeviceHealth) -> list[tuple[str, str]]:
    detection = health.detection
    rows = [("loop", words.detection_words(detection))]
    if detection is not None:
        latency = words.latency_words(detection.latency_p50_ms, detection.latency_p95_ms)
        inference = words.latency_words(detection.inference_p50_ms, detection.inference_p95_ms)
        rows += [("to boxes", latency), ("inference", inference)]
    queues = [
        (f"-> {stage.name}", words.stage_words(stage))
        for stage in health.stages
        if stage.most or stage.dropped  # nobody watches
    ]
    return [*rows, *queues]


def _event_rows(health: DeviceHealth) -> list[tuple[str, str]]:
    fault = [("outputs", health.outputs_fault)] if health.outputs_fault else []
    outputs = [(output.name, words.output_words(output)) for output in health.outputs]
    return [("log", words.event_words(health)), *fault, *outputs]


def _machine_rows(status: Status) -> list[tuple[str, str]]:
    temperature = "unknown" if status.temperature_c is None else f"{status.temperature_c:.0f} °C"
    power = "unknown" if status.throttled is None else ", ".join(status.throttled) or "good"
    memory = f"{size(status.resident_bytes)} used by tartlet"
    disk = f"{size(status.free_bytes)} free"
    health = status.health
    if health is not None and health.children:
        others = sum(each.resident_bytes for each in health.children)
        memory += f", {size(others)} by {len(health.children)} processes that it started"
    if health is not None and health.read_only:
        disk += ", but read-only"
    wrong = [("configuration", status.config_error)] if status.config_error else []
    return [
        ("machine", f"{status.machine}, Python {status.python}, tartlet {status.software}"),
        *wrong,
        ("temperature", temperature),
        ("power", power),
        ("memory", memory),
        ("disk", disk),
        ("clock", "synchronized" if status.clock_synchronized else "not synchronized"),
        ("running for", duration(status.uptime_s)),
    ]
