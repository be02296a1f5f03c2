"""A key of this computer that is good for tartlet on one device, and for nothing else there.

What such a key may do is decided by `tartlet_device.gate`, which sshd runs for it.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from tartlet_host.files import sync_folder, write_atomically
from tartlet_host.remote import inventory, shell
from tartlet_host.remote.ssh import Connection
from tartlet_shared import errors

GATE = "/usr/local/bin/tartlet-device gate"
"""The command in ``authorized_keys``."""
# The key's line comes on standard input; an older one of the same key gives way to it. Written
# aside and renamed: who loses this file has locked himself out.
_INSTALL = """
set -eu
umask 077
read -r line
key=$(printf '%s\\n' "$line" | sed 's/.* \\(ssh-ed25519 [^ ]*\\).*/\\1/')
mkdir -p ~/.ssh
touch ~/.ssh/authorized_keys
new=$(mktemp ~/.ssh/authorized_keys.XXXXXXXX)
trap 'rm -f "$new"' EXIT
grep -vF "$key" ~/.ssh/authorized_keys >"$new" || true
if [ -s "$new" ] && [ -n "$(tail -c 1 "$new")" ]; then echo >>"$new"; fi
printf '%s\\n' "$line" >>"$new"
chmod 600 "$new"
sync "$new" 2>/dev/null || sync
mv -f "$new" ~/.ssh/authorized_keys
"""


def path_of(device: str) -> Path:
    """Where the key for a device lies."""
    return inventory.config_dir() / "ssh" / device


def make(device: str) -> str:
    """Make a key for a device, unless there is one.

    Returns:
        The public half, as it stands in ``authorized_keys``.

    Raises:
        ConfigError: it cannot be written, or read.
    """
    path = path_of(device)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _write(path)
        return path.with_name(path.name + ".pub").read_text().strip()
    except OSError as error:
        raise errors.ConfigError(
            f"the key cannot be kept: {error.strerror}", where=str(path)
        ) from error


def line(public: str, command: str = GATE) -> str:
    """What to write into ``authorized_keys`` on the device."""
    kind, key = public.split()[:2]
    return f'restrict,command="{command}" {kind} {key} tartlet:{_name()}'


def install(connection: Connection, public: str, command: str = GATE) -> None:
    """Let the key in, on an open connection that has a shell.

    Raises:
        DeviceError: it could not be written there; what was there stays.
        ConnectionLost: the connection ended.
    """
    done = shell.run(connection, _INSTALL, stdin=line(public, command).encode() + b"\n")
    if done.code != 0:
        raise errors.DeviceError(
            f"the key cannot be installed: {done.lines[-1] if done.lines else 'no reason given'}",
            where=f"{connection.target.address}: ~/.ssh/authorized_keys",
            hint="may your user write there?",
        )


def _write(path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    secret = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    write_atomically(path.with_name(path.name + ".pub"), public + b"\n")
    aside = path.with_name(path.name + ".new")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(secret)
        stream.flush()
        os.fsync(descriptor)
    aside.replace(path)
    sync_folder(path.parent)


def _name() -> str:
    host = socket.gethostname() or "computer"
    return "".join(each if each.isalnum() or each in "-._" else "-" for each in host)[:64]
