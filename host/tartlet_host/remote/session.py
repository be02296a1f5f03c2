"""From a device's name to an open conversation with it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tartlet_host.remote import inventory, restricted_key, ssh
from tartlet_host.remote.authenticate import Ask
from tartlet_host.remote.hostkey import HostKey
from tartlet_host.remote.inventory import Device
from tartlet_host.remote.ssh import Connection
from tartlet_host.remote.sshconfig import lookup
from tartlet_host.remote.target import Lookup, Target, parse, resolve
from tartlet_shared.client import Client
from tartlet_shared.messages import Hello


@dataclass(frozen=True)
class Session:
    """An open conversation.

    Attributes:
        device: whom with.
        connection: the SSH connection below, for files and byte counts.
        client: to ask with.
        greeting: what the device said first.
    """

    device: Device
    connection: Connection
    client: Client
    greeting: Hello


@contextlib.contextmanager
def open_session(
    device: Device,
    *,
    ask: Ask | None = None,
    timeout_s: float = ssh.CONNECT_TIMEOUT_S,
    read_config: Lookup = lookup,
) -> Iterator[Session]:
    """Connect to a device and greet its daemon; everything is closed at the end.

    Args:
        device: from `find_device` or built by hand.
        ask: asks the person for a password or passphrase; None where nobody can answer.
        timeout_s: for the TCP connection.
        read_config: reads the OpenSSH configuration.

    Raises:
        RemoteError: see `tartlet_host.remote.ssh.connect`; also DaemonNotRunning.
        VersionMismatch: the device speaks another version of the protocol.
    """
    with ssh.connect(
        target_of(device, read_config),
        HostKey.parse(device.host_key) if device.host_key else None,
        name=device.name,
        jump_keys=jump_keys_of(device),
        ask=ask,
        timeout_s=timeout_s,
    ) as connection:
        client = Client(connection.open_stream(device.socket, device.bridge), where=device.name)
        with contextlib.closing(client):
            yield Session(device, connection, client, client.hello())


def find_device(text: str | None, path: Path | None = None) -> Device:
    """The device that the user means: a name, an address of a known one, or nothing.

    An address that was never added gives a device without a key, which connecting refuses with
    the key's fingerprint and what to do.

    Raises:
        DeviceUnknown, UsageError, ConfigError: see `tartlet_host.remote.inventory`.
    """
    devices = inventory.load(path or inventory.default_path())
    if text is None or text in devices:
        return inventory.find(devices, text)
    typed = parse(text)
    for device in devices.values():
        same_user = typed.user in ("", device.user)
        if typed.host == device.address and same_user and typed.port in (0, device.port):
            return device
    if typed.user or typed.port or "." in typed.host or ":" in typed.host:
        return Device(name=text, address=typed.host, user=typed.user, port=typed.port, host_key="")
    return inventory.find(devices, text)  # raises: there is none


def target_of(device: Device, read_config: Lookup = lookup) -> Target:
    """Where to connect to, as the OpenSSH configuration says today."""
    identity = Path(device.identity).expanduser() if device.identity else None
    if device.restricted:
        identity = restricted_key.path_of(device.name)
    return resolve(device.typed, identity=identity, lookup=read_config)


def jump_keys_of(device: Device) -> dict[str, HostKey]:
    """The pinned keys of the servers on the way, by ``host:port``."""
    return {address: HostKey.parse(text) for address, text in device.jump_keys.items()}
