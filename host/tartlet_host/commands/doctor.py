"""``tartlet doctor``: what is wrong here and on the devices, and what to do."""

from __future__ import annotations

import dataclasses

import click

from tartlet_host.commands.options import asking, device_argument, json_option, print_json

_MARKS = {"ok": "ok     ", "warning": "WARNING", "failed": "FAILED "}


@click.command()
@device_argument
@click.option("--laptop", is_flag=True, help="Check this laptop only.")
@json_option
@click.pass_context
def command(context: click.Context, device: str | None, laptop: bool, as_json: bool) -> None:
    """Check this laptop and your devices, and say what to mend.

    Without DEVICE every device that was added is checked: its version from here, and by its own
    `tartlet-device doctor` over SSH its service, camera, model, disk, power, clock, events and
    outputs. The camera takes a photo and the model sees its golden pictures again. The exit code
    is 1 if a check failed.

    \b
    Examples:
      tartlet doctor
      tartlet doctor pi
    \b
    JSON: [{subject, name, state: ok|warning|failed, what, hint}]
    """
    from tartlet_host import doctor
    from tartlet_host.remote import inventory, session
    from tartlet_shared import errors

    checks = doctor.examine_laptop()
    try:
        if device is not None:
            devices = [session.find_device(device)]
        else:
            devices = [] if laptop else list(inventory.load(inventory.default_path()).values())
    except errors.ConfigError:
        devices = []  # the laptop's checks say so already
    for each in devices:
        checks += doctor.examine_device(each, asking())
    if as_json:
        print_json([dataclasses.asdict(check) for check in checks])
    else:
        subject = ""
        for check in checks:
            if check.subject != subject:
                subject = check.subject
                click.echo(subject)
            click.echo(f"  {_MARKS[check.state]} {check.name}: {check.what}")
            if check.hint:
                click.echo(f"          what to do: {check.hint}")
    if any(check.state == "failed" for check in checks):
        context.exit(1)
