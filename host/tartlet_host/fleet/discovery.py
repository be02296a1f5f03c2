"""Finds addresses of machines that may be devices, by multicast DNS; believes none of them.

What arrives is a stranger's: it is cut, counted and stripped of what a terminal would act on, and
used for nothing but a list for a person. See RFC 6762 and 6763.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tartlet_host.remote.inventory import Device
from tartlet_shared import errors

if TYPE_CHECKING:
    from zeroconf import ServiceStateChange, Zeroconf

SERVICES = (
    "_ssh._tcp.local.",
    "_sftp-ssh._tcp.local.",
    "_workstation._tcp.local.",
)
"""What machines with an SSH server announce."""
USUAL_HOSTS = ("raspberrypi",)
"""A Raspberry Pi announces no service of its own accord, but answers to its name."""
MOST = 256  # announcements looked at; a network that has more is not to be listed this way
_LONGEST = 63  # characters of a name, as in DNS
_SSH_PORT = 22
_ASK_MS = 1000


@dataclass(frozen=True)
class Found:
    """A machine that answered.

    Attributes:
        host: its name, as it says.
        addresses: as it says, IPv4 first.
        port: of its SSH server, 0 where it did not say.
        announces: services, as ``ssh``.
    """

    host: str
    addresses: tuple[str, ...]
    port: int
    announces: tuple[str, ...]


def discover(
    seconds: float,
    *,
    hosts: Sequence[str] = USUAL_HOSTS,
    interfaces: Sequence[str] | None = None,
) -> list[Found]:
    """Listen for announcements and ask for names.

    Args:
        seconds: how long to listen.
        hosts: names to ask for, with or without ``.local``.
        interfaces: addresses of this machine to use; None for all.

    Returns:
        Machines by name, at most `MOST`.

    Raises:
        Unreachable: this machine has no network to ask on.
    """
    from zeroconf import InterfaceChoice, ServiceBrowser, Zeroconf

    names: dict[tuple[str, str], None] = {}

    def noted(
        zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        if len(names) < MOST:
            names[service_type, name] = None

    try:
        network = Zeroconf(
            interfaces=InterfaceChoice.All if interfaces is None else list(interfaces)
        )
    except OSError as error:
        raise errors.Unreachable(
            f"cannot ask on this network: {error}",
            where="multicast DNS",
            hint="is another program holding UDP port 5353 for itself?",
        ) from error
    with network:
        ends = time.monotonic() + seconds
        browser = ServiceBrowser(network, list(SERVICES), handlers=[noted])
        found = [_asked(network, host) for host in hosts[:MOST]]
        time.sleep(max(ends - time.monotonic(), 0))
        browser.cancel()
        found += [_announced(network, *each) for each in list(names)]
    return merged([each for each in found if each is not None])


def merged(found: Iterable[Found]) -> list[Found]:
    """One entry for each host, sorted by its name."""
    together: dict[str, Found] = {}
    for each in found:
        before = together.get(each.host)
        if before is not None:
            each = Found(
                host=each.host,
                addresses=tuple(dict.fromkeys((*before.addresses, *each.addresses))),
                port=before.port or each.port,
                announces=tuple(sorted({*before.announces, *each.announces})),
            )
        together[each.host] = each
    return [together[host] for host in sorted(together)]


def known(found: Found, devices: Iterable[Device]) -> str | None:
    """The device that was added with one of these addresses; a proposal, no proof."""
    for device in devices:
        same_port = (device.port or _SSH_PORT) == (found.port or _SSH_PORT)
        if same_port and device.address in (found.host, *found.addresses):
            return device.name
    return None


def plain(text: str) -> str:
    """What can be shown on a terminal: printable ASCII, cut."""
    return "".join(each for each in text if each.isascii() and each.isprintable())[:_LONGEST]


def _asked(network: Zeroconf, host: str) -> Found | None:
    from zeroconf import AddressResolver  # type: ignore[attr-defined]  # left out of its __all__

    name = f"{host.removesuffix('.').removesuffix('.local')}.local."
    resolver = AddressResolver(name)
    if not resolver.request(network, _ASK_MS):
        return None
    return Found(plain(name[:-1]), tuple(resolver.parsed_addresses()), 0, ())


def _announced(network: Zeroconf, service: str, name: str) -> Found | None:
    import zeroconf

    try:
        info = network.get_service_info(service, name, timeout=_ASK_MS)
    except zeroconf.Error:  # a name that is none
        return None
    if info is None or not info.server:
        return None
    host = plain(info.server.removesuffix("."))
    addresses = tuple(plain(each) for each in info.parsed_scoped_addresses())
    if not host or not addresses:
        return None
    is_ssh = "ssh" in service
    return Found(
        host=host,
        addresses=addresses,
        port=(info.port or 0) if is_ssh else 0,
        announces=(service.removeprefix("_").partition(".")[0],),
    )
