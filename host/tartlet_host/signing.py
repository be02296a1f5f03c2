"""The keys that this computer signs bundles with: ``keys/`` beside the list of devices.

Each is a pair: ``NAME.key``, an Ed25519 private key as PKCS #8, readable by its owner only and
encrypted where a passphrase was given; and ``NAME.pub``, a line for people and other computers.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tartlet_host.files import sync_folder, write_atomically
from tartlet_shared import errors, signature
from tartlet_shared.signature import PublicKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KIND = "tartlet-ed25519"
DEFAULT_NAME = "default"
_NAME = re.compile(signature.KEY_NAME)

AskPassphrase = Callable[[str], str]


@dataclass(frozen=True)
class SigningKey:
    """A key pair on this computer.

    Attributes:
        path: of the private key.
        public: the other half.
    """

    path: Path
    public: PublicKey

    @property
    def encrypted(self) -> bool:
        """Whether a passphrase is needed."""
        return b"ENCRYPTED" in _read(self.path)

    def sign(self, content: bytes, purpose: bytes, ask: AskPassphrase | None = None) -> bytes:
        """The record of a signature; see `tartlet_shared.signature.sign`.

        Args:
            content: what is signed.
            purpose: what for.
            ask: asks a person for the passphrase; None where nobody can answer.

        Raises:
            ConfigError: the key cannot be used, or the passphrase is wrong.
        """
        record = signature.sign(content, purpose, self._private(ask))
        if signature.decode(record).key != self.public.id:
            raise errors.ConfigError(
                "the private key is not that of the .pub file beside it", where=str(self.path)
            )
        return record

    def _private(self, ask: AskPassphrase | None) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        _refuse_readable(self.path)
        passphrase = None
        if self.encrypted:
            if ask is None:
                raise errors.ConfigError(
                    "the key has a passphrase, and nobody is here to type it",
                    where=str(self.path),
                    hint="run the command in a terminal",
                )
            passphrase = ask(f"Passphrase of the key {self.public.name}").encode()
        try:
            private = load_pem_private_key(_read(self.path), passphrase)
        except (ValueError, TypeError) as error:
            raise errors.ConfigError(
                "the passphrase is wrong" if passphrase is not None else "is no private key",
                where=str(self.path),
                hint="" if passphrase is not None else "make another with `tartlet key new`",
            ) from error
        if not isinstance(private, Ed25519PrivateKey):
            raise errors.ConfigError("is no Ed25519 key", where=str(self.path))
        return private


def create(folder: Path, name: str, passphrase: str = "") -> SigningKey:
    """Make a key pair; what is there is never replaced.

    Args:
        folder: where keys are.
        name: for people.
        passphrase: empty for none.

    Raises:
        UsageError: the name is no name, or taken.
        ConfigError: it cannot be written.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if not _NAME.fullmatch(name):
        raise errors.UsageError(
            "a key's name has letters, digits and . _ @ - only", where=repr(name)
        )
    private = Ed25519PrivateKey.generate()
    content = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase.encode())
        if passphrase
        else serialization.NoEncryption(),
    )
    public = PublicKey(name=name, public=private.public_key().public_bytes_raw().hex())
    path = folder / f"{name}.key"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(descriptor)
        sync_folder(folder)
        write_atomically(path.with_suffix(".pub"), public_line(public) + "\n")
    except FileExistsError as error:
        raise errors.UsageError(
            "there is a key of that name already",
            where=str(path),
            hint="give it another name: tartlet key new NAME",
        ) from error
    except OSError as error:
        raise errors.ConfigError(f"cannot be written: {error.strerror}", where=str(path)) from error
    return SigningKey(path, public)


def load_all(folder: Path) -> dict[str, SigningKey]:
    """Every key pair by its name; none where there is no folder.

    Raises:
        ConfigError: a .pub file is damaged.
    """
    found = (
        SigningKey(path, read_public(_read(path.with_suffix(".pub")).decode(), str(path)))
        for path in sorted(folder.glob("*.key"))
    )
    return {each.path.stem: each for each in found}


def find(keys: dict[str, SigningKey], name: str | None) -> SigningKey:
    """The key called ``name``, or of an id that starts so; without a name the only one there is.

    Raises:
        UsageError: there is none, or there are several.
    """
    if not keys:
        raise errors.UsageError("there is no key on this computer", hint="tartlet key new")
    if name is None:
        fitting = list(keys.values())
    elif name in keys:
        fitting = [keys[name]]
    else:
        fitting = [each for each in keys.values() if each.public.id.startswith(name)]
    if len(fitting) == 1:
        return fitting[0]
    known = ", ".join(keys)
    raise errors.UsageError(
        f"no key is called {name!r}: there is {known}"
        if not fitting
        else f"which key? There are {known}",
        hint="say which one with --key",
    )


def public_line(key: PublicKey) -> str:
    """A public key as one line: kind, 32 bytes in hex, name."""
    return f"{KIND} {key.public} {key.name}"


def read_public(text: str, where: str) -> PublicKey:
    """Read what `public_line` wrote.

    Raises:
        ConfigError: it is no such line.
    """
    words = text.split()
    try:
        if len(words) != 3 or words[0] != KIND:
            raise ValueError(f"expected `{KIND} HEX NAME`")
        return msgspec.convert({"name": words[2], "public": words[1]}, PublicKey)
    except ValueError as error:
        raise errors.ConfigError(
            f"is no public key: {error}", where=where, hint="`tartlet key show` prints one"
        ) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise errors.ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from error


def _refuse_readable(path: Path) -> None:
    """A private key that others may read is nobody's own; Windows has no such bits."""
    if os.name == "nt":
        return
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise errors.ConfigError(
            "others may read this private key", where=str(path), hint=f"chmod 600 {path}"
        )
