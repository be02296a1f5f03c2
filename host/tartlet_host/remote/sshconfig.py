"""The user's OpenSSH client configuration, as far as tartlet follows it."""

from __future__ import annotations

import getpass
import glob
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tartlet_shared import errors

_INCLUDE_DEPTH = 16  # the limit of OpenSSH


@dataclass(frozen=True)
class HostOptions:
    """What the configuration says about one host; empty where it says nothing.

    Attributes:
        hostname: where to connect to.
        port: 0 for not given.
        identity_files: private keys, home folder expanded.
        identities_only: leave out what the agent holds beyond ``identity_files``.
        proxy_jump: as written: a comma-separated list, the first hop first.
        proxy_command: a shell command whose stdin and stdout are the connection.
    """

    hostname: str
    user: str = ""
    port: int = 0
    identity_files: tuple[Path, ...] = ()
    identities_only: bool = False
    proxy_jump: str = ""
    proxy_command: str = ""


def config_files() -> tuple[Path, ...]:
    """The user's file and the system's; the first that sets an option wins."""
    return (Path.home() / ".ssh" / "config", Path("/etc/ssh/ssh_config"))


def lookup(
    host: str, *, user: str = "", port: int = 0, files: tuple[Path, ...] | None = None
) -> HostOptions:
    """The options for ``host``, which may be an alias.

    Args:
        host: as the user wrote it.
        user, port: as the user wrote them; they win, in a ProxyCommand too.
        files: read instead of `config_files`; missing ones are skipped.

    Raises:
        ConfigError: a file cannot be read or parsed.
    """
    lines: list[str] = []
    for path in config_files() if files is None else files:
        if path.is_file():
            lines += _lines(path, 0)
            lines.append("Host *")
    if not lines:
        return HostOptions(host, user, port)
    typed = ([f"User {user}"] if user else []) + ([f"Port {port}"] if port else [])

    import paramiko  # heavy

    parsed = paramiko.SSHConfig()
    try:
        parsed.parse([*typed, *lines])
        found = parsed.lookup(host)
        port = int(found.get("port", "0"))
    except (paramiko.ConfigParseError, paramiko.CouldNotCanonicalize, ValueError) as error:
        raise errors.ConfigError(str(error), where="~/.ssh/config") from error
    # The one option with several values: paramiko makes a list of it, its type stubs do not.
    identities: Iterable[str] = found.get("identityfile", ())
    # paramiko gives None for a ProxyCommand of "none".
    proxy_jump, proxy_command = found.get("proxyjump") or "", found.get("proxycommand") or ""
    return HostOptions(
        hostname=found.get("hostname", host),
        user=found.get("user", ""),
        port=port,
        identity_files=tuple(Path(name).expanduser() for name in identities if name != "none"),
        identities_only=found.get("identitiesonly", "no").lower() == "yes",
        proxy_jump="" if proxy_jump.lower() == "none" else proxy_jump,
        proxy_command="" if proxy_command.lower() == "none" else proxy_command,
    )


def local_user() -> str:
    """Who is logged in here, OpenSSH's default for who to log in as there."""
    try:
        return getpass.getuser()
    except (OSError, KeyError) as error:  # no entry in the password database
        raise errors.UsageError(
            "no user name is given and yours is not known", hint="write USER@HOST"
        ) from error


def _lines(path: Path, depth: int) -> list[str]:
    """The file's lines, `Include` replaced by what it includes (paramiko does not know it)."""
    if depth > _INCLUDE_DEPTH:
        raise errors.ConfigError("too many nested Include lines", where=str(path))
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise errors.ConfigError(f"cannot be read: {error}", where=str(path)) from error
    lines: list[str] = []
    block = "Host *"
    for line in text.splitlines():
        words = re.split(r"[\s=]+", line.strip(), maxsplit=1)
        keyword = words[0].lower()
        if keyword in ("host", "match"):
            block = line
        if keyword != "include" or len(words) < 2:
            lines.append(line)
            continue
        for pattern in words[1].replace('"', "").split():
            anchored = Path.home() / ".ssh" / Path(pattern).expanduser()
            for included in sorted(glob.glob(str(anchored))):  # noqa: PTH207 - absolute pattern
                lines += _lines(Path(included), depth + 1)
        lines.append(block)  # what follows belongs to the block of the including file again
    return lines
