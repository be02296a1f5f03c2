"""The devices that the user added, each with its pinned host key: ``devices.toml``.

A group's table holds what its devices have in common; what stands at a device goes before it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

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
        restricted: log in with the key of `tartlet_host.remote.restricted_key` instead.
        groups: those that it belongs to, in the user's order.
        tags: further words to choose it by.
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
    restricted: bool = False
    groups: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    @property
    def typed(self) -> Address:
        """The address as it was typed when the device was added."""
        return Address(self.address, self.user, self.port)


class _Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the devices of a group have in common; unset where the group says nothing of it."""

    user: str | msgspec.UnsetType = msgspec.UNSET
    port: int | msgspec.UnsetType = msgspec.UNSET
    identity: str | msgspec.UnsetType = msgspec.UNSET
    socket: str | msgspec.UnsetType = msgspec.UNSET
    bridge: str | msgspec.UnsetType = msgspec.UNSET


_SHARED = _Group.__struct_fields__


class _Entry(_Group, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    address: str
    host_key: str
    restricted: bool = False
    groups: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    jump_keys: dict[str, str] = {}


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    devices: dict[str, _Entry] = {}
    groups: dict[str, _Group] = {}


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
    return _parse(path)[0]


def save(path: Path, devices: Mapping[str, Device]) -> None:
    """Write the inventory: the old file or the new one survives a crash, never half of it.

    What the file says of groups stays; a device is written without what its groups say.

    Raises:
        ConfigError: the file cannot be written, or the present one is damaged.
    """
    groups = _parse(path)[1]
    entries = {name: _entry(device, groups) for name, device in devices.items()}
    text = b"# Written by `tartlet device`.\n" + msgspec.toml.encode(_File(entries, groups))
    try:
        write_atomically(path, text)
    except OSError as error:
        raise errors.ConfigError(f"cannot be written: {error.strerror}", where=str(path)) from error


def check_name(name: str, kind: str = "a device's name") -> None:
    """Refuse a name that could be mistaken for an address or an option.

    Raises:
        UsageError: it has other characters than letters, digits, ``._-``.
    """
    if not _NAME.fullmatch(name):
        raise errors.UsageError(f"{kind} has letters, digits and . _ - only", where=repr(name))


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


def _parse(path: Path) -> tuple[dict[str, Device], dict[str, _Group]]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}, {}
    except OSError as error:
        raise errors.ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from error
    try:
        parsed = msgspec.toml.decode(content, type=_File)
        devices = {
            name: _device(name, entry, parsed.groups) for name, entry in parsed.devices.items()
        }
    except (msgspec.DecodeError, UnicodeDecodeError, errors.ConfigError) as error:
        raise errors.ConfigError(
            f"is damaged: {error}",
            where=str(path),
            hint="mend the line, or move the file away and add your devices again",
        ) from error
    return devices, parsed.groups


def _device(name: str, entry: _Entry, groups: Mapping[str, _Group]) -> Device:
    for key in (entry.host_key, *entry.jump_keys.values()):
        HostKey.parse(key)
    own = {each: value for each, value in _said(entry).items() if value is not msgspec.UNSET}
    settings = {**_inherited(name, entry.groups, groups, overridden=own), **own}
    return Device(
        name=name,
        address=entry.address,
        host_key=entry.host_key,
        jump_keys=entry.jump_keys,
        restricted=entry.restricted,
        groups=entry.groups,
        tags=entry.tags,
        **settings,
    )


def _entry(device: Device, groups: Mapping[str, _Group]) -> _Entry:
    own = {each: getattr(device, each) for each in _SHARED}
    usual = {**_USUAL, **_inherited(device.name, device.groups, groups, overridden=own)}
    # A setting on which the groups disagree must stay at the device.
    unsettled = _disagreeing(device.groups, groups)
    return _Entry(
        address=device.address,
        host_key=device.host_key,
        restricted=device.restricted,
        groups=device.groups,
        tags=device.tags,
        jump_keys=dict(device.jump_keys),
        **{each: value for each, value in own.items() if value != usual[each] or each in unsettled},
    )


def _inherited(
    name: str,
    belongs: tuple[str, ...],
    groups: Mapping[str, _Group],
    *,
    overridden: Mapping[str, Any],
) -> dict[str, Any]:
    """What the groups of a device say; they must agree where the device itself says nothing."""
    unsettled = _disagreeing(belongs, groups) - set(overridden)
    if unsettled:
        raise errors.ConfigError(
            f"the groups of {name!r} disagree about its {', '.join(sorted(unsettled))}; "
            "write it at the device"
        )
    found: dict[str, Any] = {}
    for group in belongs:
        said = _said(groups[group]) if group in groups else {}
        found.update({each: value for each, value in said.items() if value is not msgspec.UNSET})
    return found


def _disagreeing(belongs: tuple[str, ...], groups: Mapping[str, _Group]) -> set[str]:
    tables = [_said(groups[group]) for group in belongs if group in groups]
    values = {
        each: {table[each] for table in tables if table[each] is not msgspec.UNSET}
        for each in _SHARED
    }
    return {each for each, different in values.items() if len(different) > 1}


def _said(table: _Group) -> dict[str, Any]:
    return {each: getattr(table, each) for each in _SHARED}


_USUAL = {each.name: each.default for each in fields(Device) if each.name in _SHARED}
