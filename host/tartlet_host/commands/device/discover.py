"""``tartlet device discover``: addresses on this network that may be devices."""

from __future__ import annotations

import re

import click

from tartlet_host.commands.options import json_option, print_json, say
from tartlet_host.commands.times import Duration


@click.command()
@click.option("--for", "seconds", type=Duration(), default=3.0, help="How long to listen. [3s]")
@click.option("--host", "hosts", multiple=True, help="Ask for this name, too; may be given again.")
@json_option
def discover(seconds: float, hosts: tuple[str, ...], as_json: bool) -> None:
    """Find machines on this network that may be Raspberry Pis, by multicast DNS.

    Shows what announces SSH, and whether raspberrypi.local answers. Anybody on the network can
    announce anything, so this is no more than a list of addresses: nothing is connected to or
    remembered, and the host key is still compared when a device is added. Machines that announce
    nothing are found by their name: --host bed1.

    \b
    Examples:
      tartlet device discover
      tartlet device discover --host bed1 --host bed2 --for 10s
    \b
    JSON: [{host, addresses, port, announces, known}]; known is the device of that address that
           was added, or null
    """
    from tartlet_host.fleet import discovery
    from tartlet_host.remote import inventory

    devices = inventory.load(inventory.default_path())
    found = discovery.discover(seconds, hosts=(*discovery.USUAL_HOSTS, *hosts))
    rows = [(each, discovery.known(each, devices.values())) for each in found]
    if as_json:
        print_json(
            [
                {
                    "host": each.host,
                    "addresses": list(each.addresses),
                    "port": each.port,
                    "announces": list(each.announces),
                    "known": device,
                }
                for each, device in rows
            ]
        )
        return
    for each, device in rows:
        line = f"{each.host:<28} {', '.join(each.addresses):<32}"
        if device is not None:
            click.echo(f"{line} {device}")
            continue
        name = re.sub(r"[^A-Za-z0-9-]", "", each.host.partition(".")[0]) or "pi"
        port = f":{each.port}" if each.port not in (0, 22) else ""
        click.echo(f"{line} tartlet device add {name} pi@{each.host}{port}")
    if not rows:
        say("nothing answers; is the device on this network, and does a firewall let UDP 5353 in?")
