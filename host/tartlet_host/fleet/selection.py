"""Which devices the user means: names, groups, tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tartlet_host.remote import inventory
from tartlet_host.remote.inventory import Device
from tartlet_shared import errors


def select(
    devices: Mapping[str, Device],
    *,
    names: Sequence[str] = (),
    groups: Sequence[str] = (),
    tags: Sequence[str] = (),
    everything: bool = False,
) -> list[tuple[str, ...]]:
    """The devices meant, in the order for a rollout: the names, then group after group.

    Args:
        devices: all that were added.
        names: devices of these names.
        groups: devices of these groups as well.
        tags: of the devices chosen so far only those with all of these tags; with neither names
            nor groups, of all devices.
        everything: every device.

    Returns:
        Names of devices, one tuple for the names and one for each group; a device may be in
        several; none is empty.

    Raises:
        DeviceUnknown: there is no such device, or no device is meant.
    """
    chosen: list[tuple[str, ...]] = []
    if names:
        chosen.append(tuple(inventory.find(devices, name).name for name in names))
    for group in groups:
        members = tuple(name for name, each in devices.items() if group in each.groups)
        if not members:
            raise errors.DeviceUnknown(
                f"no device is in that group (there are: {_words(groups_of(devices))})",
                where=repr(group),
                hint=f"tartlet device change NAME --group {group}",
            )
        chosen.append(members)
    if everything or (tags and not chosen):
        chosen.append(tuple(devices))
    wanted = set(tags)
    chosen = [tuple(name for name in each if wanted <= set(devices[name].tags)) for each in chosen]
    chosen = [each for each in chosen if each]
    if not chosen:
        known = f" (there are: {_words(tags_of(devices))})" if tags else ""
        what = (
            f"no device has the tag {' and '.join(tags)}{known}" if tags else "no device is meant"
        )
        raise errors.DeviceUnknown(what, hint="tartlet device list")
    return chosen


def groups_of(devices: Mapping[str, Device]) -> list[str]:
    """Every group that a device is in, sorted."""
    return sorted({group for each in devices.values() for group in each.groups})


def tags_of(devices: Mapping[str, Device]) -> list[str]:
    """Every tag that a device has, sorted."""
    return sorted({tag for each in devices.values() for tag in each.tags})


def _words(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
