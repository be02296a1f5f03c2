"""``tartlet device restrict``: a key for a device that is good for tartlet and nothing else."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from tartlet_host.commands.options import asking, device_names, json_option, print_json, say

if TYPE_CHECKING:
    from tartlet_host.remote.inventory import Device
    from tartlet_host.remote.ssh import Connection


@click.command()
@click.argument("name", shell_complete=device_names)
@json_option
def restrict(name: str, as_json: bool) -> None:
    """Reach the device NAME with a key that is good for tartlet alone from now on.

    A new key without a passphrase is made on this computer and let in on the device. Whoever gets
    hold of it can do there what tartlet does, such as push a model and see what the camera sees,
    but has no shell, no other files and no way on into the network. Your own login stays as it
    is; `tartlet device setup` goes on using it, since installing needs a shell.

    \b
    Examples:
      tartlet device restrict pi
      tartlet device setup pi@raspberrypi.local --restrict     install, then the same
    \b
    JSON: {device, key, fingerprint}
    """
    from tartlet_host.remote import inventory, restricted_key
    from tartlet_host.remote.hostkey import HostKey
    from tartlet_host.remote.session import open_session

    devices = inventory.load(inventory.default_path())
    device = restricted(inventory.find(devices, name))
    with open_session(device, ask=None):
        pass
    key = restricted_key.path_of(device.name)
    public = HostKey.parse(restricted_key.make(device.name))
    if as_json:
        print_json({"device": device.name, "key": str(key), "fingerprint": public.fingerprint})
        return
    click.echo(f"{device.name} is reached with {key}, {public.fingerprint}")
    say(f"next: tartlet status {device.name}")


def restricted(device: Device) -> Device:
    """The device, after its key was made, let in there and written down."""
    from tartlet_host.remote import inventory, restricted_key

    public = restricted_key.make(device.name)
    with connected(device) as connection:
        restricted_key.install(connection, public)
    after = dataclasses.replace(device, restricted=True)
    path = inventory.default_path()
    inventory.save(path, {**inventory.load(path), device.name: after})
    return after


@contextlib.contextmanager
def connected(device: Device) -> Iterator[Connection]:
    """A connection with a shell, by a login of the user's own."""
    from tartlet_host.remote import session, ssh
    from tartlet_host.remote.hostkey import HostKey

    with ssh.connect(
        session.target_of(dataclasses.replace(device, restricted=False)),
        HostKey.parse(device.host_key),
        name=device.name,
        jump_keys=session.jump_keys_of(device),
        ask=asking(),
    ) as connection:
        yield connection
