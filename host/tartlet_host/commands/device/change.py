"""``tartlet device change``: the groups and tags of devices."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from tartlet_host.commands.fleet_options import group_names, tag_names
from tartlet_host.commands.options import device_names, json_option, print_json

if TYPE_CHECKING:
    from tartlet_host.remote.inventory import Device


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="DEVICE...", shell_complete=device_names)
@click.option(
    "--group", "groups", multiple=True, shell_complete=group_names, help="Put them into this group."
)
@click.option("--tag", "tags", multiple=True, shell_complete=tag_names, help="Give them this tag.")
@click.option(
    "--no-group",
    "no_groups",
    multiple=True,
    shell_complete=group_names,
    help="Take them out of this group.",
)
@click.option(
    "--no-tag", "no_tags", multiple=True, shell_complete=tag_names, help="Take this tag off."
)
@json_option
def change(
    names: tuple[str, ...],
    groups: tuple[str, ...],
    tags: tuple[str, ...],
    no_groups: tuple[str, ...],
    no_tags: tuple[str, ...],
    as_json: bool,
) -> None:
    """Put DEVICEs into groups and give them tags.

    What the devices of a group have in common can be written once in devices.toml; see
    docs/fleet.md.

    \b
    Examples:
      tartlet device change bed1 bed2 bed3 --group garden
      tartlet device change bed3 --tag zero2 --no-tag new
    \b
    JSON: [{name, groups, tags}]
    """
    from tartlet_host.remote import inventory

    path = inventory.default_path()
    devices = inventory.load(path)
    changed = {
        name: with_words(inventory.find(devices, name), groups, tags, no_groups, no_tags)
        for name in names
    }
    inventory.save(path, {**devices, **changed})
    if as_json:
        print_json(
            [
                {"name": name, "groups": list(each.groups), "tags": list(each.tags)}
                for name, each in changed.items()
            ]
        )
        return
    for name, each in changed.items():
        words = [
            f"groups {', '.join(each.groups) or 'none'}",
            f"tags {', '.join(each.tags) or 'none'}",
        ]
        click.echo(f"{name}: {'; '.join(words)}")


def with_words(
    device: Device,
    groups: Collection[str],
    tags: Collection[str],
    no_groups: Collection[str] = (),
    no_tags: Collection[str] = (),
) -> Device:
    """The device in these groups and with these tags as well, and without those.

    Raises:
        UsageError: a word has other characters than a device's name may have.
    """
    from tartlet_host.remote import inventory

    for word in (*groups, *tags):
        inventory.check_name(word, "a group or tag")
    return replace(
        device,
        groups=_changed(device.groups, groups, no_groups),
        tags=_changed(device.tags, tags, no_tags),
    )


def _changed(
    present: Collection[str], more: Collection[str], less: Collection[str]
) -> tuple[str, ...]:
    return tuple(each for each in dict.fromkeys((*present, *more)) if each not in less)
