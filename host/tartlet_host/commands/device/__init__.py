"""``tartlet device``: which devices there are, by which key each is known, what runs on them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tartlet_host.commands.device.change import change, with_words
from tartlet_host.commands.device.discover import discover
from tartlet_host.commands.device.keys import (
    add_device,
    confirming,
    fingerprint_option,
    identity_option,
    pinned,
    refusing,
    yes_option,
)
from tartlet_host.commands.device.restrict import restrict
from tartlet_host.commands.device.setup import setup
from tartlet_host.commands.fleet_options import group_names, tag_names
from tartlet_host.commands.options import asking, json_option, print_json, say
from tartlet_shared import errors

if TYPE_CHECKING:
    from tartlet_host.remote.inventory import Device
    from tartlet_host.remote.pinning import Pins


@click.group()
def command() -> None:
    """Set up, find, add, list, change, restrict, remove and trust devices.

    A device is known by its SSH host key, pinned when it is added. A device that shows another key
    later is refused until you say `tartlet device trust NAME --replace`.

    \b
    Example:
      tartlet device setup pi@raspberrypi.local
      tartlet status
    """


command.add_command(setup)
command.add_command(change)
command.add_command(discover)
command.add_command(restrict)


@command.command()
@click.argument("name")
@click.argument("target")
@fingerprint_option
@yes_option
@identity_option
@click.option("--socket", help="Where the daemon listens, if not at the usual place.")
@click.option("--group", "groups", multiple=True, shell_complete=group_names, help="Put it there.")
@click.option("--tag", "tags", multiple=True, shell_complete=tag_names, help="Give it this tag.")
@json_option
def add(
    name: str,
    target: str,
    fingerprint: str | None,
    yes: bool,
    identity: Path | None,
    socket: str | None,
    groups: tuple[str, ...],
    tags: tuple[str, ...],
    as_json: bool,
) -> None:
    """Add the device at TARGET and call it NAME.

    TARGET is pi@raspberrypi.local, pi@192.168.1.7:2222, ssh://pi@host:22 or a Host of your
    ~/.ssh/config, whose HostName, User, Port, IdentityFile, ProxyJump and ProxyCommand hold.
    The device's key is shown; compare it with what this prints on the device:

    \b
      ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub
    \b
    Examples:
      tartlet device add pi pi@raspberrypi.local
      tartlet device add bed1 pi@bed1.local --group garden --tag zero2
      tartlet device add shed shed-pi --fingerprint SHA256:uNiVztksCsDhcc0u9e8BgrJXVGDt...
    \b
    JSON: {name, address, fingerprint, jumps: {address: fingerprint}, reachable, problem}
    """
    from tartlet_host.remote import inventory
    from tartlet_host.remote.target import parse

    typed = parse(target)
    device = inventory.Device(
        name=name,
        address=typed.host,
        user=typed.user,
        port=typed.port,
        host_key="",
        identity=str(identity.resolve()) if identity else "",
        socket=socket or inventory.DEFAULT_SOCKET,
    )
    device = with_words(device, groups, tags)
    device, pins = add_device(device, fingerprint, yes)
    _report(device, pins, as_json)


@command.command(name="list")
@json_option
def list_devices(as_json: bool) -> None:
    """List the devices that were added.

    \b
    JSON: [{name, address, user, port, fingerprint, groups, tags}]
    """
    from tartlet_host.remote import inventory
    from tartlet_host.remote.hostkey import HostKey

    devices = inventory.load(inventory.default_path()).values()
    prints = {each.name: HostKey.parse(each.host_key).fingerprint for each in devices}
    if as_json:
        print_json(
            [
                {
                    "name": each.name,
                    "address": each.address,
                    "user": each.user,
                    "port": each.port,
                    "fingerprint": prints[each.name],
                    "groups": list(each.groups),
                    "tags": list(each.tags),
                }
                for each in devices
            ]
        )
        return
    for each in devices:
        words = [*each.groups, *(f"#{tag}" for tag in each.tags)]
        line = f"{each.name:<16} {each.typed!s:<32} {prints[each.name]}  {' '.join(words)}"
        click.echo(line.rstrip())
    if not devices:
        say("no device was added yet: tartlet device add pi pi@raspberrypi.local")


@command.command()
@click.argument("name")
@json_option
def remove(name: str, as_json: bool) -> None:
    """Forget the device NAME. On the device itself nothing is changed.

    \b
    JSON: {removed}
    """
    from tartlet_host.remote import inventory

    path = inventory.default_path()
    devices = inventory.load(path)
    inventory.find(devices, name)
    inventory.save(path, {other: each for other, each in devices.items() if other != name})
    if as_json:
        print_json({"removed": name})
    else:
        click.echo(f"{name} is forgotten")


@command.command()
@click.argument("name")
@fingerprint_option
@yes_option
@click.option("--replace", is_flag=True, help="Accept another key than the one known so far.")
@json_option
def trust(name: str, fingerprint: str | None, yes: bool, replace: bool, as_json: bool) -> None:
    """Look at the host key that the device NAME shows now; with --replace, accept a new one.

    For a device that was set up anew. If you did not do that, do not accept: somebody may be
    listening in.

    \b
    Examples:
      tartlet device trust pi              is it the one that is known?
      tartlet device trust pi --replace
    \b
    JSON: {name, address, fingerprint, jumps: {address: fingerprint}, reachable, problem}
    """
    from tartlet_host.remote import inventory, pinning, session
    from tartlet_host.remote.hostkey import HostKey

    path = inventory.default_path()
    devices = inventory.load(path)
    device = inventory.find(devices, name)
    pins = pinning.collect(
        session.target_of(device),
        confirming(fingerprint, yes) if replace else refusing(name),
        pinned=HostKey.parse(device.host_key),
        known_jumps=session.jump_keys_of(device),
        ask=asking(),
    )
    device = pinned(device, pins)
    inventory.save(path, {**devices, name: device})
    _report(device, pins, as_json)


def _report(device: Device, pins: Pins, as_json: bool) -> None:
    """Say what was pinned and whether the daemon answers; that it does not is no failure here."""
    from tartlet_host.remote.session import open_session

    problem: errors.TartletError | None = None
    try:
        with open_session(device, ask=asking()):
            pass
    except errors.TartletError as error:
        problem = error
    if as_json:
        print_json(
            {
                "name": device.name,
                "address": str(device.typed),
                "fingerprint": pins.host_key.fingerprint,
                "jumps": {address: key.fingerprint for address, key in pins.jump_keys.items()},
                "reachable": problem is None,
                "problem": "" if problem is None else str(problem),
            }
        )
        return
    click.echo(f"{device.name} is known by {pins.host_key.fingerprint}")
    if problem is None:
        say(f"its daemon answers. next: tartlet status {device.name}")
        return
    say(f"but it cannot be used yet: {problem}")
    if problem.hint:
        say(f"  what to do: {problem.hint}")
