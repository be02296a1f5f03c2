"""Where a device is and how to log in: from what a person types to every hop spelled out."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from tartlet_host.remote import sshconfig
from tartlet_host.remote.sshconfig import HostOptions
from tartlet_shared import errors

DEFAULT_PORT = 22
_MAX_HOPS = 8
# Both may end up in the shell line of a ProxyCommand.
_HOST = re.compile(r"[A-Za-z0-9_.%:-]+")
_USER = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.+-]*")


class Lookup(Protocol):
    """Reads the OpenSSH configuration; `tartlet_host.remote.sshconfig.lookup` does."""

    def __call__(self, host: str, *, user: str = "", port: int = 0) -> HostOptions:
        """The options for a host; user and port are what was typed, and win."""


@dataclass(frozen=True)
class Address:
    """What a person typed; user and port are empty where they typed none."""

    host: str
    user: str = ""
    port: int = 0

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port else ""
        return f"{user}{host}{port}"


@dataclass(frozen=True)
class Target:
    """One SSH server.

    Attributes:
        host, port, user: where and as whom.
        identity_files: private keys to try.
        identities_only: try no others.
        jumps: SSH servers on the way, the first one first; they have no jumps of their own.
        proxy_command: reaches the first hop instead of a TCP connection.
    """

    host: str
    port: int
    user: str
    identity_files: tuple[Path, ...] = ()
    identities_only: bool = False
    jumps: tuple[Target, ...] = ()
    proxy_command: str = ""

    @property
    def address(self) -> str:
        """``host:port``, by which a hop's key is pinned; IPv6 in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.user}@{self.address}"


def parse(text: str) -> Address:
    """Read ``host``, ``user@host``, ``user@host:port``, ``user@[::1]:port`` or ``ssh://...``.

    Raises:
        UsageError: it is none of these.
    """
    rest = text.strip()
    if rest.lower().startswith("ssh://"):
        rest = rest[len("ssh://") :].rstrip("/")
    user, at, rest = rest.rpartition("@")
    if at and not _USER.fullmatch(user):
        raise _not_an_address(text, "the user name before '@' is empty or has odd characters")
    if rest.startswith("["):
        host, bracket, port = rest[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise _not_an_address(text, "a '[' needs its ']', then nothing or ':' and the port")
        return Address(_host(text, host), user, _port(text, port[1:]) if port else 0)
    if rest.count(":") > 1:  # an IPv6 address, where no port can be told from the rest
        return Address(_host(text, rest), user)
    host, colon, port = rest.partition(":")
    return Address(_host(text, host), user, _port(text, port) if colon else 0)


def resolve(
    address: Address,
    *,
    identity: Path | None = None,
    lookup: Lookup = sshconfig.lookup,
) -> Target:
    """Fill in what the OpenSSH configuration knows; what was typed wins.

    Args:
        address: what was typed; its host may be an alias.
        identity: a private key to try first.
        lookup: reads the OpenSSH configuration.

    Raises:
        ConfigError: the configuration cannot be read, or its jumps run in a circle.
    """
    target = _resolve(address, lookup, 0)
    if identity is not None:
        target = replace(target, identity_files=(identity, *target.identity_files))
    return target


def _resolve(address: Address, lookup: Lookup, depth: int) -> Target:
    if depth > _MAX_HOPS:
        raise errors.ConfigError(
            f"more than {_MAX_HOPS} jumps to reach {address.host}",
            where="~/.ssh/config",
            hint="does a ProxyJump lead back to itself?",
        )
    options = lookup(address.host, user=address.user, port=address.port)
    jumps: tuple[Target, ...] = ()
    if options.proxy_jump:
        hops = [parse(hop) for hop in options.proxy_jump.split(",")]
        # Only the first hop's own jumps count: each later one is reached through the one before.
        first = _resolve(hops[0], lookup, depth + 1)
        later = [replace(_resolve(hop, lookup, depth + 1), jumps=()) for hop in hops[1:]]
        jumps = (*first.jumps, replace(first, jumps=()), *later)
    return Target(
        host=options.hostname,
        port=address.port or options.port or DEFAULT_PORT,
        user=address.user or options.user or sshconfig.local_user(),
        identity_files=options.identity_files,
        identities_only=options.identities_only,
        jumps=jumps,
        proxy_command="" if jumps else options.proxy_command,
    )


def _host(text: str, host: str) -> str:
    # A name that starts with '-' would be an option to a ProxyCommand.
    if not _HOST.fullmatch(host) or host.startswith("-"):
        raise _not_an_address(text, "the host name is empty or has odd characters")
    return host


def _port(text: str, port: str) -> int:
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise _not_an_address(text, f"the port is {port!r}, not a number from 1 to 65535")
    return int(port)


def _not_an_address(text: str, why: str) -> errors.UsageError:
    return errors.UsageError(
        f"not an address: {why}", where=repr(text), hint="write pi@raspberrypi.local or pi@host:22"
    )
