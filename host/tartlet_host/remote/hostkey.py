"""SSH host keys as values: parsed, compared, and shown as OpenSSH shows them."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from tartlet_shared import errors


@dataclass(frozen=True)
class HostKey:
    """A server's public key.

    Attributes:
        kind: algorithm name, such as ``ssh-ed25519``.
        blob: the public key in SSH wire format (RFC 4253, section 6.6).
    """

    kind: str
    blob: bytes

    @classmethod
    def parse(cls, text: str) -> HostKey:
        """Read ``<kind> <base64>``, as in a known_hosts line without the host.

        Raises:
            ConfigError: it is not a public key.
        """
        kind, _, encoded = text.strip().partition(" ")
        try:
            blob = base64.b64decode(encoded.split(" ")[0], validate=True)
        except binascii.Error as error:
            raise errors.ConfigError(f"{text!r} is not a public key: {error}") from error
        # The blob repeats its kind: a length of 4 bytes and the name.
        if not kind or blob[4 : 4 + len(kind)] != kind.encode():
            raise errors.ConfigError(f"{text!r} is not a public key")
        return cls(kind, blob)

    def __str__(self) -> str:
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"

    @property
    def fingerprint(self) -> str:
        """``SHA256:...``, as ``ssh-keygen -l`` prints it."""
        digest = hashlib.sha256(self.blob).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Signature algorithms that a server with this key can use (RFC 8332 for RSA)."""
        return ("rsa-sha2-512", "rsa-sha2-256") if self.kind == "ssh-rsa" else (self.kind,)


def check(pinned: HostKey | None, seen: HostKey, *, where: str, name: str) -> None:
    """Compare the key that a server shows with the pinned one.

    Args:
        pinned: None where the device was never added.
        seen: what the server shows; it has proved by its signature that it owns it.
        where: the server's address, for the message.
        name: the device's name, or what stands for it in a command line.

    Raises:
        HostKeyUnknown: nothing is pinned.
        HostKeyChanged: the keys differ.
    """
    if pinned is None:
        raise errors.HostKeyUnknown(
            f"its host key ({seen.kind} {seen.fingerprint}) is not known yet",
            where=where,
            hint=f"compare the fingerprint and pin it: tartlet device add NAME {name}",
        )
    if pinned != seen:
        raise errors.HostKeyChanged(
            f"shows another host key than the pinned one: pinned {pinned.kind} "
            f"{pinned.fingerprint}, shown {seen.kind} {seen.fingerprint}",
            where=where,
            hint="if you set up the device anew, accept the new key with "
            f"`tartlet device trust {name} --replace`; if not, somebody may be listening in",
        )
