"""``tartlet key``: keys that sign bundles, here and on the devices that trust them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tartlet_host.commands.options import asking, device_argument, json_option, print_json, session
from tartlet_host.commands.options import say as tell

if TYPE_CHECKING:
    from tartlet_host.signing import SigningKey
    from tartlet_shared.bundle import Bundle
    from tartlet_shared.push_messages import Have
    from tartlet_shared.signature import PublicKey, TrustedKeys


@click.group()
def command() -> None:
    """Make keys that sign bundles, and let devices trust them.

    As long as a device trusts no key, it takes any bundle from whoever may log in. Once it trusts
    one, it takes only bundles that a trusted key signed, and only a trusted key can change which
    keys those are. Keep a copy of the key: without it the list can only be reset on the device.

    \b
    Example:
      tartlet key new
      tartlet push --sign                  the model that serves must be signed first
      tartlet key trust pi
    """


@command.command()
@click.argument("name", required=False, default="default")
@click.option("--passphrase", is_flag=True, help="Ask for one; it is needed for each signature.")
@json_option
def new(name: str, passphrase: bool, as_json: bool) -> None:
    """Make the key pair NAME, "default" if nothing is said, in tartlet's configuration folder.

    The private key is readable by you only and never leaves this computer.

    \b
    Examples:
      tartlet key new
      tartlet key new workshop --passphrase
    \b
    JSON: {name, id, public, encrypted, path}
    """
    from tartlet_host import signing

    secret = (
        str(click.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True))
        if passphrase
        else ""
    )
    made = signing.create(_folder(), name, secret)
    if as_json:
        print_json(_pair_as_data(made))
        return
    click.echo(f"{name}  {made.public.id[:12]}  {made.path}")
    tell("keep a copy of that file in a safe place")
    tell("next: tartlet push --sign, then tartlet key trust DEVICE")


@command.command(name="list")
@device_argument
@json_option
def list_keys(device: str | None, as_json: bool) -> None:
    """List the keys of this computer; with DEVICE, those that it trusts.

    \b
    JSON: [{name, id, public}], without DEVICE also {encrypted, path}
    """
    if device is not None:
        with session(device) as opened:
            _print_trusted(opened.device.name, opened.client.trusted(), as_json)
        return
    keys = _keys()
    if as_json:
        print_json([_pair_as_data(each) for each in keys.values()])
        return
    for name, each in keys.items():
        click.echo(
            f"{name:<16} {each.public.id[:12]}{'  with a passphrase' if each.encrypted else ''}"
        )
    if not keys:
        tell("there is no key yet: tartlet key new")


@command.command()
@click.argument("name", required=False)
@json_option
def show(name: str | None, as_json: bool) -> None:
    """Print the public key NAME, as `tartlet key trust --public` reads it.

    \b
    Example:
      tartlet key show > workshop.pub
    \b
    JSON: {name, id, public, encrypted, path}
    """
    from tartlet_host import signing

    found = signing.find(_keys(), name)
    if as_json:
        print_json(_pair_as_data(found))
    else:
        click.echo(signing.public_line(found.public))


@command.command()
@device_argument
@click.option("--key", help="Which key of this computer.  [default: the only one there is]")
@click.option(
    "--public", type=click.Path(path_type=Path), help="Instead: a file of `tartlet key show`."
)
@json_option
def trust(device: str | None, key: str | None, public: Path | None, as_json: bool) -> None:
    """Let DEVICE take bundles that a key signed; from the first key on, no others.

    The first key is taken from whoever may log in. Another one must be announced with a key that
    the device trusts, so for a colleague's key: --public FILE, on the computer of somebody whose
    key it trusts. The model that serves must be signed by one of the keys.

    \b
    Examples:
      tartlet key trust pi
      tartlet key trust pi --public anna.pub
    \b
    JSON: {device, keys: [{name, id, public}]}
    """
    from tartlet_host import signing
    from tartlet_host.remote import trust as trusting

    keys = _keys()
    if public is None:
        added = signing.find(keys, key).public
    else:
        added = signing.read_public(_text(public), str(public))
    with session(device) as opened:
        before = opened.client.trusted()
        after = trusting.change(
            opened.client, before, trusting.with_key(before, added), keys, asking()
        )
        name = opened.device.name
    if not before.keys and not as_json:
        click.echo(
            f"{name} takes only signed bundles from now on, and only this key can change that"
        )
    _print_trusted(name, after, as_json, wrapped=True)


@command.command()
@click.argument("device")
@click.argument("name", required=False)
@click.option("--all", "every", is_flag=True, help="All keys: the device takes any bundle again.")
@json_option
def forget(device: str, name: str | None, every: bool, as_json: bool) -> None:
    """Let DEVICE trust the key NAME (or the beginning of its id) no more.

    To change a key for another: trust the new one, push the model that serves with
    `tartlet push --sign --key NEW`, then forget the old one.

    \b
    Examples:
      tartlet key forget pi workshop
      tartlet key forget pi --all
    \b
    JSON: {device, keys: [{name, id, public}]}
    """
    from tartlet_host.remote import trust as trusting
    from tartlet_shared import errors

    if (name is None) != every:
        raise errors.UsageError("name one key, or say --all")
    with session(device) as opened:
        before = opened.client.trusted()
        wanted = (
            trusting.without_keys(before) if name is None else trusting.without_key(before, name)
        )
        after = trusting.change(opened.client, before, wanted, _keys(), asking())
        known_as = opened.device.name
    _print_trusted(known_as, after, as_json, wrapped=True)


def packaging_key(name: str | None) -> SigningKey | None:
    """The key that `tartlet package` signs with.

    None where none was named and this computer has none, several, or one whose passphrase nobody
    is here to type: a push signs too.

    Raises:
        UsageError: there is none of that name.
    """
    from tartlet_host import signing

    keys = _keys()
    if name is not None:
        return signing.find(keys, name)
    if len(keys) != 1:
        return None
    only = signing.find(keys, None)
    return None if only.encrypted and asking() is None else only


def sign_manifest(key: SigningKey, content: bytes) -> bytes:
    """The record of a signature over a manifest; asks for the passphrase where there is one."""
    from tartlet_shared import signature

    return key.sign(content, signature.MANIFEST_PURPOSE, asking())


def signed(bundle: Bundle, name: str | None) -> bytes:
    """The record of a bundle's signature, made now; ``name`` as in `tartlet_host.signing.find`."""
    from tartlet_host import signing
    from tartlet_shared import bundle as bundles

    content = bundles.read_manifest(bundle.folder, expected_digest=bundle.digest)
    return sign_manifest(signing.find(_keys(), name), content)


def signing(bundle: Bundle, name: str | None, *, always: bool) -> Callable[[Have], bytes]:
    """What gives the signature of a push; see `tartlet_host.remote.trust.choose_signature`.

    Args:
        bundle: to push.
        name: of the key that the user named.
        always: sign it even if it is signed, or the device asks for no signature.
    """
    from tartlet_host import signing
    from tartlet_host.remote.trust import choose_signature
    from tartlet_shared import bundle as bundles

    def choose(have: Have) -> bytes:
        keys = _keys()
        signer = None
        if always:
            trusted = {n: each for n, each in keys.items() if each.public.id in have.trusted}
            signer = signing.find(keys if name is not None or not trusted else trusted, name)
        content = bundles.read_manifest(bundle.folder, expected_digest=bundle.digest)
        return choose_signature(
            bundles.read_signature(bundle.folder),
            have,
            lambda key: sign_manifest(key, content),
            keys,
            signer=signer,
        )

    return choose


def _folder() -> Path:
    from tartlet_host.remote import inventory

    return inventory.config_dir() / "keys"


def _keys() -> dict[str, SigningKey]:
    from tartlet_host import signing

    return signing.load_all(_folder())


def _text(path: Path) -> str:
    from tartlet_shared import errors

    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise errors.UsageError(f"cannot be read: {error}", where=str(path)) from error


def _as_data(key: PublicKey) -> dict[str, Any]:
    return {"name": key.name, "id": key.id, "public": key.public}


def _pair_as_data(key: SigningKey) -> dict[str, Any]:
    return {**_as_data(key.public), "encrypted": key.encrypted, "path": str(key.path)}


def _print_trusted(
    device: str, trusted: TrustedKeys, as_json: bool, *, wrapped: bool = False
) -> None:
    if as_json:
        keys = [_as_data(each) for each in trusted.keys]
        print_json({"device": device, "keys": keys} if wrapped else keys)
        return
    for each in trusted.keys:
        click.echo(f"{each.name:<16} {each.id[:12]}")
    if not trusted.keys:
        click.echo(f"{device} trusts no key: it takes any bundle from whoever may log in")
