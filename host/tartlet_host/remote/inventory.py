"""The devices that the user added, each with its pinned host key: ``devices.toml``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from tartlet_host.files import write_atomically
from tartlet_host.remote.hostkey import HostKey
from tartlet_host.remote.target import Address
from tartlet_shared import errors

CONFIG_DIR_VARIABLE = "TARTLET_CONFIG_DIR"
DEFAULT_SOCKET = "/run/tartlet/device.sock"
DEFAULT_BRIDGE = "tartlet-device bridge"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True)
class Device:
    """One device.

    Attributes:
        name: what the user calls it.
        address: a host or an alias of the OpenSSH configuration.
        user, port: empty or 0 where the OpenSSH configuration decides.
        host_key: ``<kind> <base64>``, the only key that the device may show.
        jump_keys: the same for the SSH servers on the way, by ``host:port``.
        identity: a private key to log in with, beside the usual ones.
        socket: where the daemon listens on the device.
        bridge: the command that reaches it where the SSH server forwards no sockets.
    """

    name: str
    address: str
    host_key: str
    user: str = ""
    port: int = 0
    jump_keys: Mapping[str, str] = field(default_factory=dict)
    identity: str = ""
    socket: str = DEFAULT_SOCKET
    bridge: str = DEFAULT_BRIDGE

    @property
    def typed(self) -> Address:
        """The address as it was typed when the device was added."""
        return Address(self.address, self.user, self.port)


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    address: str
    host_key: str
    user: str = ""
    port: int = 0
    identity: str = ""
    socket: str = DEFAULT_SOCKET
    bridge: str = DEFAULT_BRIDGE
    jump_keys: dict[str, str] = {}


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    devices: dict[str, _Entry] = {}


def config_dir() -> Path:
    """Where tartlet keeps what it knows: ``$TARTLET_CONFIG_DIR``, else the platform's place."""
    override = os.environ.get(CONFIG_DIR_VARIABLE)
    if override:
        return Path(override)
    import platformdirs  # only needed here

    return Path(platformdirs.user_config_dir("tartlet", appauthor=False))


def default_path() -> Path:
    """The inventory's file."""
    return config_dir() / "devices.toml"


def load(path: Path) -> dict[str, Device]:
    """Every device by name; none where there is no file.

    Raises:
        ConfigError: the file cannot be read, or a device in it is not complete.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise errors.ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from error
    try:
        parsed = msgspec.toml.decode(content, type=_File)
        devices = {name: _device(name, entry) for name, entry in parsed.devices.items()}
    except (msgspec.DecodeError, UnicodeDecodeError, errors.ConfigError) as error:
        raise errors.ConfigError(
            f"is damaged: {error}",
            where=str(path),
            hint="mend the line, or move the file away and add your devices again",
        ) from error
    return devices


def save(path: Path, devices: Mapping[str, Device]) -> None:
    """Write the inventory: the old file or the new one survives a crash, never half of it.

    Raises:
        ConfigError: the file cannot be written.
    """
    entries = {name: _entry(device) for name, device in devices.items()}
    text = b"# Written by `tartlet device`.\n" + msgspec.toml.encode(_File(entries))
    try:
        write_atomically(path, text)
    except OSError as error:
        raise errors.ConfigError(f"cannot be written: {error.strerror}", where=str(path)) from error


def check_name(name: str) -> None:
    """Refuse a name that could be mistaken for an address or an option.

    Raises:
        UsageError: it has other characters than letters, digits, ``._-``.
    """
    if not _NAME.fullmatch(name):
        raise errors.UsageError(
            "a device's name has letters, digits and . _ - only", where=repr(name)
        )


def find(devices: Mapping[str, Device], name: str | None) -> Device:
    """The device called ``name``; without a name the only one there is.

    Raises:
        DeviceUnknown: there is none of that name, or none at all.
        UsageError: no name is given and there are several.
    """
    if name is not None:
        if name in devices:
            return devices[name]
        known = ", ".join(devices) or "none"
        raise errors.DeviceUnknown(
            f"no device of that name was added (known: {known})",
            where=repr(name),
            hint=f"tartlet device add {name} pi@HOST",
        )
    if len(devices) == 1:
        return next(iter(devices.values()))
    if not devices:
        raise errors.DeviceUnknown(
            "no device was added yet", hint="tartlet device add pi pi@raspberrypi.local"
        )
    raise errors.UsageError(
        f"which device? There are {len(devices)}: {', '.join(devices)}",
        hint="write its name after the command",
    )


def _device(name: str, entry: _Entry) -> Device:
    for key in (entry.host_key, *entry.jump_keys.values()):
        HostKey.parse(key)
    return Device(name=name, **msgspec.structs.asdict(entry))


def _entry(device: Device) -> _Entry:
    fields = {name: getattr(device, name) for name in _Entry.__struct_fields__}
    return _Entry(**{**fields, "jump_keys": dict(device.jump_keys)})
