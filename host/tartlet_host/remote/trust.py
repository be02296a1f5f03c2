"""Changing whose bundles a device takes; and the signature that a push sends."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tartlet_host.signing import AskPassphrase, SigningKey
from tartlet_shared import canonical, errors, signature
from tartlet_shared.client import Client
from tartlet_shared.push_messages import Have
from tartlet_shared.signature import MOST_KEYS, PublicKey, TrustedKeys


def with_key(before: TrustedKeys, added: PublicKey) -> TrustedKeys:
    """The list with another key.

    Raises:
        UsageError: the device trusts it already, or trusts as many as it can.
    """
    if before.find(added.id) is not None:
        raise errors.UsageError(f"the device trusts {added.name} {added.id[:12]} already")
    if len(before.keys) == MOST_KEYS:
        raise errors.UsageError(
            f"the device trusts {MOST_KEYS} keys, which is the most",
            hint="take one away first with `tartlet key forget`",
        )
    return TrustedKeys(device=before.device, version=before.version + 1, keys=(*before.keys, added))


def without_key(before: TrustedKeys, name: str) -> TrustedKeys:
    """The list without the key called ``name``, or of an id that starts so.

    Raises:
        UsageError: there is none or there are several; or it is the last, without which any bundle
            would be taken.
    """
    fitting = [key for key in before.keys if key.name == name or key.id.startswith(name)]
    if len(fitting) != 1:
        known = ", ".join(f"{key.name} {key.id[:12]}" for key in before.keys) or "none"
        raise errors.UsageError(
            f"{'no key' if not fitting else 'more than one key'} that the device trusts is called "
            f"{name!r}; it trusts {known}"
        )
    left = tuple(key for key in before.keys if key is not fitting[0])
    if not left:
        raise errors.UsageError(
            f"{name} is the last key: without it the device takes any bundle",
            hint="if you want that: tartlet key forget DEVICE --all",
        )
    return TrustedKeys(device=before.device, version=before.version + 1, keys=left)


def without_keys(before: TrustedKeys) -> TrustedKeys:
    """The empty list: any bundle is taken.

    Raises:
        UsageError: it is empty.
    """
    if not before.keys:
        raise errors.UsageError("the device trusts no key: it takes any bundle already")
    return TrustedKeys(device=before.device, version=before.version + 1, keys=())


def change(
    client: Client,
    before: TrustedKeys,
    after: TrustedKeys,
    keys: Mapping[str, SigningKey],
    ask: AskPassphrase | None,
) -> TrustedKeys:
    """Sign a list with one of our keys that the device trusts, and send it.

    Args:
        client: an open conversation.
        before: what the device said.
        after: made of it by one of the functions above.
        keys: ours.
        ask: for a passphrase.

    Raises:
        UsageError: none of our keys may sign it.
        BundleUntrusted: the device refuses, and says why.
    """
    may = before.keys or after.keys
    signer = next((ours for ours in keys.values() for key in may if key.id == ours.public.id), None)
    if signer is None:
        raise errors.UsageError(
            "a change of the trusted keys must be signed by one that the device trusts ("
            + ", ".join(f"{key.name} {key.id[:12]}" for key in may)
            + "), and none of them is on this computer",
            hint="run this where the key is",
        )
    statement = canonical.encode(after)
    return client.trust(statement, signer.sign(statement, signature.TRUST_PURPOSE, ask))


def choose_signature(
    packaged: bytes,
    have: Have,
    sign: Callable[[SigningKey], bytes],
    keys: Mapping[str, SigningKey],
    *,
    signer: SigningKey | None = None,
) -> bytes:
    """The record to send along with a bundle; empty for none.

    Args:
        packaged: the record that lies beside the manifest; empty for none.
        have: what the device said about the bundle and its keys.
        sign: signs the manifest.
        keys: ours.
        signer: the key that the user asked for; else one that the device trusts signs a bundle
            that nobody has signed.
    """
    if signer is not None:
        return sign(signer)
    if packaged or not have.trusted:
        return packaged
    ours = next((each for each in keys.values() if each.public.id in have.trusted), None)
    return b"" if ours is None else sign(ours)
