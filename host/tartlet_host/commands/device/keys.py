"""How a device is known: options for its keys, and how a person confirms the one it shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tartlet_host.commands.options import asking, say
from tartlet_shared import errors

if TYPE_CHECKING:
    from tartlet_host.remote.inventory import Device
    from tartlet_host.remote.pinning import Pins, Shown

fingerprint_option = click.option(
    "--fingerprint",
    metavar="SHA256:...",
    help="Accept exactly this key, without asking.",
)
yes_option = click.option(
    "--yes", is_flag=True, help="Accept whatever key it shows, without asking."
)

identity_option = click.option(
    "--identity",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Private key to log in with, beside the usual ones.",
)


def confirming(fingerprint: str | None, yes: bool) -> Callable[[Shown], bool]:
    """How a key is decided about: by the fingerprint given, by --yes, else by asking."""

    def confirm(shown: Shown) -> bool:
        kind = "the jump" if shown.is_jump else "the device"
        say(f"{kind} {shown.address} shows the host key")
        say(f"  {shown.key.kind} {shown.key.fingerprint}")
        if shown.pinned is not None:
            say(f"instead of the pinned\n  {shown.pinned.kind} {shown.pinned.fingerprint}")
        if fingerprint is not None and not shown.is_jump:
            if shown.key.fingerprint == fingerprint:
                return True
            raise errors.HostKeyChanged(
                f"shows {shown.key.fingerprint}, not {fingerprint}; nothing was changed",
                where=shown.address,
                hint="is it the right device? Somebody may be listening in",
            )
        if yes:
            return True
        if asking() is None:
            raise errors.HostKeyUnknown(
                "its host key must be confirmed, and nobody is here to be asked",
                where=shown.address,
                hint=f"after comparing it: --fingerprint {shown.key.fingerprint}"
                if not shown.is_jump
                else "run it in a terminal, or give --yes",
            )
        say("On the device, `ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub` prints the same.")
        return bool(click.confirm("Is it the same?", err=True))

    return confirm


def refusing(name: str) -> Callable[[Shown], bool]:
    """Look at keys, and accept none that is new or has changed."""

    def refuse(shown: Shown) -> bool:
        known = "not known" if shown.pinned is None else f"known is {shown.pinned.fingerprint}"
        raise errors.HostKeyChanged(
            f"shows the {shown.key.kind} host key {shown.key.fingerprint}; {known}",
            where=shown.address,
            hint=f"if you set it up anew: tartlet device trust {name} --replace; if not, somebody "
            "may be listening in",
        )

    return refuse


def pinned(device: Device, pins: Pins) -> Device:
    """The device with the keys that were confirmed."""
    return dataclasses.replace(
        device,
        host_key=str(pins.host_key),
        jump_keys={address: str(key) for address, key in pins.jump_keys.items()},
    )


def add_device(device: Device, fingerprint: str | None, yes: bool) -> tuple[Device, Pins]:
    """Have the keys of a new device confirmed, and remember it.

    Args:
        device: without a key.
        fingerprint, yes: see `confirming`.

    Raises:
        UsageError: its name is taken, or is none.
        HostKeyUnknown, HostKeyChanged: its key was not confirmed; nothing is remembered.
        RemoteError: it cannot be reached.
    """
    from tartlet_host.remote import inventory, pinning, session

    inventory.check_name(device.name)
    path = inventory.default_path()
    devices = inventory.load(path)
    if device.name in devices:
        raise errors.UsageError(
            "a device of that name was added before",
            where=repr(device.name),
            hint=f"tartlet device trust {device.name} --replace accepts a new key; "
            f"tartlet device remove {device.name} forgets it",
        )
    known_jumps = {
        address: key
        for each in devices.values()
        for address, key in session.jump_keys_of(each).items()
    }
    pins = pinning.collect(
        session.target_of(device),
        confirming(fingerprint, yes),
        known_jumps=known_jumps,
        ask=asking(),
    )
    device = pinned(device, pins)
    inventory.save(path, {**devices, device.name: device})
    return device, pins
