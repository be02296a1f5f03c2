"""``tartlet status``: how a device is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tartlet_host.commands.options import (
    device_argument,
    duration,
    json_option,
    print_json,
    session,
    size,
)

if TYPE_CHECKING:
    from tartlet_shared.messages import Status


@click.command()
@device_argument
@json_option
def command(device: str | None, as_json: bool) -> None:
    """Show how DEVICE is: its model, camera, power, memory and disk.

    \b
    Examples:
      tartlet status
      tartlet status pi --json
    \b
    JSON: {device, address, software, machine, python, model: {digest, name, runtime, labels} or
           null, model_error, previous, camera, camera_error, runtimes: {name: version}, uptime_s,
           resident_bytes, free_bytes, temperature_c, throttled: [word] or null,
           clock_synchronized}
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
    for title, value in _rows(status):
        click.echo(f"  {title:<12} {value}")


def _rows(status: Status) -> list[tuple[str, str]]:
    model = status.model
    serving = "none yet; `tartlet push` brings one"
    if model is not None:
        labels = ", ".join(model.labels)
        serving = f"{model.name} ({model.digest[:12]}, {model.runtime}): {labels}"
    if status.model_error:
        serving = f"{serving}; the committed one does not serve: {status.model_error}"
    camera = f"{status.camera}, {status.camera_error or 'works'}"
    temperature = "unknown" if status.temperature_c is None else f"{status.temperature_c:.0f} °C"
    power = "unknown" if status.throttled is None else ", ".join(status.throttled) or "good"
    return [
        ("model", serving),
        ("previous", "none" if status.previous is None else status.previous[:12]),
        ("camera", camera),
        ("runtimes", ", ".join(status.runtimes.values()) or "none"),
        ("machine", f"{status.machine}, Python {status.python}, tartlet {status.software}"),
        ("temperature", temperature),
        ("power", power),
        ("memory", f"{size(status.resident_bytes)} used by tartlet"),
        ("disk", f"{size(status.free_bytes)} free"),
        ("clock", "synchronized" if status.clock_synchronized else "not synchronized"),
        ("running for", duration(status.uptime_s)),
    ]
