"""``tartlet rollback``: the previous model serves again."""

from __future__ import annotations

import click

from tartlet_host.commands.options import device_argument, json_option, print_json, session


@click.command()
@device_argument
@json_option
def command(device: str | None, as_json: bool) -> None:
    """Return DEVICE to the model that served before.

    It is tested on its golden pictures first, as on a push. A second rollback undoes the first.

    \b
    Example:
      tartlet rollback pi
    \b
    JSON: {device, digest, previous, self_test: {pictures, detections, box_difference_px,
           score_difference, inference_ms}}
    """
    with session(device) as opened:
        name = opened.device.name
        activated = opened.client.rollback()
    if as_json:
        import msgspec

        print_json(
            {
                "device": name,
                "digest": activated.digest,
                "previous": activated.previous,
                "self_test": msgspec.to_builtins(activated.self_test),
            }
        )
        return
    click.echo(f"model {activated.digest[:12]} serves again on {name}")
