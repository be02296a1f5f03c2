"""Collecting the host keys on the way to a device, each confirmed before it is believed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tartlet_host.remote import ssh
from tartlet_host.remote.authenticate import Ask
from tartlet_host.remote.hostkey import HostKey
from tartlet_host.remote.target import Target
from tartlet_shared import errors


@dataclass(frozen=True)
class Shown:
    """A key that a server shows, to be confirmed.

    Attributes:
        address: ``host:port``.
        key: the one that it shows now.
        pinned: the one known so far, None for none.
        is_jump: whether it is only on the way.
    """

    address: str
    key: HostKey
    pinned: HostKey | None
    is_jump: bool


@dataclass(frozen=True)
class Pins:
    """Confirmed keys: the device's own, and by ``host:port`` those of the jumps to it."""

    host_key: HostKey
    jump_keys: Mapping[str, HostKey]


def collect(
    target: Target,
    confirm: Callable[[Shown], bool],
    *,
    pinned: HostKey | None = None,
    known_jumps: Mapping[str, HostKey] | None = None,
    ask: Ask | None = None,
) -> Pins:
    """Read the keys of every jump and of the device; each must be confirmed to go on.

    A key equal to the pinned one needs no word. Logging in happens at the jumps only, and only
    after their key was confirmed.

    Args:
        target: with its jumps.
        confirm: decides about a key that is new or has changed.
        pinned: the device's key so far.
        known_jumps: the jumps' keys so far.
        ask: for passwords at the jumps.

    Raises:
        HostKeyUnknown: a key was not confirmed; nothing is pinned.
        RemoteError: see `tartlet_host.remote.ssh.scan`.
    """
    known = dict(known_jumps or {})
    confirmed: dict[str, HostKey] = {}
    for number, jump in enumerate(target.jumps):
        hop = replace(
            jump,
            jumps=target.jumps[:number],
            proxy_command=target.jumps[0].proxy_command if number == 0 else "",
        )
        key = ssh.scan(hop, jump_keys=confirmed, ask=ask)
        _decide(Shown(hop.address, key, known.get(hop.address), is_jump=True), confirm)
        confirmed[hop.address] = key
    key = ssh.scan(target, jump_keys=confirmed, ask=ask)
    _decide(Shown(target.address, key, pinned, is_jump=False), confirm)
    return Pins(key, confirmed)


def _decide(shown: Shown, confirm: Callable[[Shown], bool]) -> None:
    if shown.pinned != shown.key and not confirm(shown):
        raise errors.HostKeyUnknown(
            f"its host key {shown.key.fingerprint} was not accepted; nothing was changed",
            where=shown.address,
        )
