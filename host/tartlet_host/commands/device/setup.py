"""``tartlet device setup``: install, upgrade or remove tartlet on a device over SSH."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tartlet_host.commands.device.keys import (
    add_device,
    fingerprint_option,
    identity_option,
    yes_option,
)
from tartlet_host.commands.device.restrict import connected, restricted
from tartlet_host.commands.options import asking, json_option, print_json, say, size
from tartlet_host.progress import bar
from tartlet_shared import errors

if TYPE_CHECKING:
    from tartlet_host.remote.facts import Facts
    from tartlet_host.remote.install import Choices
    from tartlet_host.remote.inventory import Device
    from tartlet_host.remote.ssh import Connection
    from tartlet_host.remote.wheels import Wheels


@click.command()
@click.argument("device")
@click.option("--name", help="What to call it, if it was not added before.")
@fingerprint_option
@yes_option
@identity_option
@click.option(
    "--runtime", type=click.Choice(["litert", "tflite"]), help="Instead of the one that fits."
)
@click.option("--onnx", is_flag=True, help="Install ONNX Runtime as well, for ONNX models.")
@click.option(
    "--network/--no-network",
    default=None,
    help="Let the daemon reach the network, for MQTT, webhooks and programs on the Pi; or not.",
)
@click.option(
    "--restrict",
    is_flag=True,
    help="Then reach it with a key that is good for tartlet alone; see `tartlet device restrict`.",
)
@click.option("--force", is_flag=True, help="Install anew even if nothing changed.")
@click.option("--uninstall", is_flag=True, help="Remove tartlet, its models and its settings.")
@click.option("--keep-models", is_flag=True, help="With --uninstall: keep models and settings.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; change nothing there.")
@json_option
def setup(
    device: str,
    name: str | None,
    fingerprint: str | None,
    yes: bool,
    identity: Path | None,
    runtime: str | None,
    onnx: bool,
    network: bool | None,
    restrict: bool,
    force: bool,
    uninstall: bool,
    keep_models: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Install or upgrade tartlet on DEVICE, over SSH.

    DEVICE is a name, or an address such as pi@raspberrypi.local, which is then added as with
    `tartlet device add`. The wheels are made and fetched here; the device needs its package
    archive (apt) only. If nothing changed since the last time, nothing is done. An upgrade is
    made aside: the old version serves until the new one is complete, and again if the new one
    does not start. It can be interrupted and run again.

    \b
    Examples:
      tartlet device setup pi@raspberrypi.local
      tartlet device setup pi --dry-run
      tartlet device setup pi --network
      tartlet device setup pi@raspberrypi.local --restrict
      tartlet device setup pi --uninstall
    \b
    JSON: {device, action: installed|unchanged|uninstalled|would-install|would-uninstall, facts,
           runtime, reason, wheels: [name], bytes, status: as `tartlet status`}
    """
    from tartlet_host.remote import facts as asking_facts
    from tartlet_host.remote import install, wheels

    if keep_models and not uninstall:
        raise errors.UsageError("--keep-models goes with --uninstall")
    known = _known(device, name, identity, fingerprint, yes)
    choices = install.Choices(runtime=runtime or "", onnx=onnx, network=network, force=force)
    source = wheels.checkout()
    script = wheels.setup_script(source)
    result: dict[str, Any] = {"device": known.name}
    with connected(known) as connection:
        facts = asking_facts.read(connection, script)
        _say_facts(known, facts)
        if uninstall:
            result["action"] = "would-uninstall" if dry_run else "uninstalled"
            if not dry_run:
                _uninstall(connection, facts, script, keep_models)
        else:
            needed = _prepared(known, facts, choices, source, result)
            mark = wheels.fingerprint(
                script, needed, facts.python, runtime=choices.runtime, onnx=onnx
            )
            as_wanted = mark == facts.installed and network in (None, facts.network)
            if as_wanted and facts.active and not force:
                result["action"] = "unchanged"
            else:
                install.check_space(facts, where=known.name)
                result["action"] = "would-install" if dry_run else "installed"
                if not dry_run:
                    _install(connection, facts, script, needed, choices)
    if not dry_run and not uninstall:
        if restrict:
            known = restricted(known)
        result["status"] = _status(known)
    _finish(result, facts, as_json)


def _known(
    text: str, name: str | None, identity: Path | None, fingerprint: str | None, yes: bool
) -> Device:
    """The device that is meant; a new one is added first."""
    import dataclasses

    from tartlet_host.remote import session

    device = session.find_device(text)
    if device.host_key:
        if identity is not None or name not in (None, device.name):
            raise errors.UsageError(
                f"it was added before, as {device.name!r}; --name and --identity are for new ones",
                where=text,
                hint=f"tartlet device remove {device.name} forgets it",
            )
        return device
    device = dataclasses.replace(
        device,
        name=name or _short(device.address),
        identity=str(identity.resolve()) if identity else "",
    )
    added, _ = add_device(device, fingerprint, yes)
    say(f"added as {added.name}")
    return added


def _short(address: str) -> str:
    """ "raspberrypi" of "raspberrypi.local"; addresses in numbers stay whole."""
    first = address.partition(".")[0]
    return address.replace(":", "-") if first.isdigit() or ":" in address else first


def _prepared(
    known: Device, facts: Facts, choices: Choices, source: Path | None, result: dict[str, Any]
) -> Wheels:
    """The wheels for a device; what they are goes into ``result``."""
    from tartlet_host.remote import install, wheels

    choice = install.check(facts, choices, where=known.name)
    say(f"  runtime     {choice.reason}")
    extras = install.extras(facts, choice, choices)
    with bar("making and fetching wheels") as report:
        needed = wheels.prepare(facts, extras, source, wheels.cache_dir(), report)
    total = sum(path.stat().st_size for path in needed.files)
    say(f"  wheels      {len(needed.files)}, {size(total)}")
    result |= {
        "runtime": choice.name,
        "reason": choice.reason,
        "wheels": [path.name for path in needed.files],
        "bytes": total,
    }
    return needed


def _install(
    connection: Connection, facts: Facts, script: bytes, needed: Wheels, choices: Choices
) -> None:
    from tartlet_host.remote import install

    password = install.root_password(connection, facts, asking())
    with contextlib.ExitStack() as stack:
        with bar("sending") as report:
            folder = stack.enter_context(install.uploaded(connection, script, needed, report))
        install.install(
            connection,
            facts,
            folder,
            choices,
            offline=bool(needed.libraries),
            password=password,
            line=say,
        )


def _uninstall(connection: Connection, facts: Facts, script: bytes, keep_models: bool) -> None:
    from tartlet_host.remote import install
    from tartlet_host.remote.wheels import Wheels

    password = install.root_password(connection, facts, asking())
    nothing = Wheels((), ())
    with install.uploaded(connection, script, nothing, lambda done, total: None) as folder:
        install.uninstall(
            connection, facts, folder, keep_models=keep_models, password=password, line=say
        )


def _say_facts(device: Device, facts: Facts) -> None:
    system = f"{facts.distribution} {facts.codename}, {facts.architecture}"
    python = f"Python {facts.python[0]}.{facts.python[1]}"
    say(f"{device.name} ({device.typed})")
    say(f"  system      {system}, {python}, {facts.free_mb} MB free")
    say(f"  installed   {'tartlet ' + facts.version if facts.version else 'nothing yet'}")


def _status(device: Device) -> dict[str, Any]:
    """How the daemon is. A new connection: only from now on is the user in tartlet's group."""
    import msgspec

    from tartlet_host.remote.session import open_session

    with open_session(device, ask=asking()) as opened:
        fields: dict[str, Any] = msgspec.to_builtins(opened.client.status())
    del fields["type"], fields["request_id"]
    return fields


def _finish(result: dict[str, Any], facts: Facts, as_json: bool) -> None:
    import dataclasses

    if as_json:
        print_json({**result, "facts": dataclasses.asdict(facts)})
        return
    name, status = result["device"], result.get("status")
    said = {
        "unchanged": "nothing to do: the same is installed and serves",
        "would-install": "would be sent and installed, the same command without --dry-run does it",
        "would-uninstall": "tartlet would be removed",
        "uninstalled": "tartlet is removed",
        "installed": "tartlet is installed",
    }
    click.echo(f"{name}: {said[result['action']]}")
    if status is not None:
        click.echo(f"  daemon      answers, tartlet {status['software']}")
        click.echo(f"  runtimes    {', '.join(status['runtimes'].values()) or 'none'}")
        click.echo(f"  camera      {status['camera']}, {status['camera_error'] or 'works'}")
        model = status["model"]
        click.echo(f"  model       {model['name'] if model else 'none yet'}")
        say(f"next: tartlet {'predict' if model else 'push runs/latest/bundle'} {name}")
