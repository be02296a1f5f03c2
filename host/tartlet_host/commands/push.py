"""``tartlet push``: a bundle goes to devices and serves once it has proved itself there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tartlet_host.commands.fleet_options import bundle_and_devices, choosing, chosen, wait_option
from tartlet_host.commands.options import (
    device_names_or_files,
    json_option,
    lasting_session,
    print_json,
    say,
    session,
)
from tartlet_host.commands.push_options import pace, terms_for_one, wishes
from tartlet_host.commands.push_report import (
    Reporter,
    plan_as_data,
    print_plan,
    print_report,
    report_as_data,
)

if TYPE_CHECKING:
    from tartlet_host.remote.wish import Wish
    from tartlet_shared.bundle import Bundle


@click.command()
@click.argument(
    "words", metavar="[BUNDLE] [DEVICE]...", nargs=-1, shell_complete=device_names_or_files
)
@click.option("--dry-run", is_flag=True, help="Say what would be sent; change nothing.")
@wishes
@choosing
@click.option(
    "--canary", type=click.IntRange(min=0), default=0, help="So many devices first, on their own."
)
@click.option(
    "--wave", type=click.IntRange(min=1), help="At most so many devices in a wave after that."
)
@click.option(
    "--success",
    type=click.IntRange(0, 100),
    default=100,
    show_default=True,
    help="Percent of a wave that must have succeeded before the next one starts.",
)
@click.option(
    "--errors",
    "most_errors",
    type=click.IntRange(0, 100),
    default=0,
    show_default=True,
    help="Stop once more than this percent of a wave failed.",
)
@click.option(
    "--parallel",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Devices at once, at most.",
)
@wait_option
@json_option
def command(
    words: tuple[str, ...],
    dry_run: bool,
    wish: Wish,
    groups: tuple[str, ...],
    tags: tuple[str, ...],
    everything: bool,
    canary: int,
    wave: int | None,
    success: int,
    most_errors: int,
    parallel: int,
    wait_s: float | None,
    as_json: bool,
) -> None:
    """Send BUNDLE to DEVICEs and let it serve, once it proved itself.

    BUNDLE is the folder that `tartlet package` wrote; without it, the newest run's. DEVICE is a
    name from `tartlet device list`; without it, the only one there is.

    Only files that the device lacks are sent. The device then checks every hash and runs the
    bundle's golden pictures: if its boxes are not the laptop's, the model that served before goes
    on serving. The same holds if the connection breaks at any moment: it is opened again, and
    the sending goes on in the middle of the file; so does the next push, after Ctrl-C.

    A new model is on probation first: for a minute it must answer, see what it should and not
    crash, or the device goes back to the one before by itself, also after a power cut and without
    the laptop.

    A device that trusts keys (`tartlet key trust`) takes only what one of them signed; a bundle
    that is not signed yet is signed on the way, if such a key is on this computer. For several
    devices it must be signed before, by `tartlet package`, or with --sign.

    Several devices get it side by side: all that are named, then group after group, each a wave.
    A wave starts when all of the wave before it were tried and enough of them succeeded; too many
    failures stop the rollout. A device that is away does not count as failed; it is tried later
    (--wait, or `tartlet rollout resume`). Interrupted or killed, it goes on with that as well.

    \b
    Examples:
      tartlet push                         the newest bundle to the only device
      tartlet push runs/latest/bundle pi
      tartlet push --dry-run               what would be sent
      tartlet push --no-activate           send now, activate later by pushing again
      tartlet push --limit 500K            leave room for others on the line
      tartlet push --max-latency 80        go back if an inference takes longer
      tartlet push bed1 bed2 bed3          to several
      tartlet push --group garden --canary 1 --wait 2h
      tartlet push --group shed --group garden --tag zero2 --success 90 --errors 10
    \b
    JSON: {device, digest, name, dry_run, bytes_sent, files_sent, files_skipped, seconds: {step: s},
           serves, previous, confirmed, self_test: {pictures, detections, box_difference_px,
           score_difference, inference_ms} or null}; with --dry-run {device, digest, name, dry_run,
           uploads: [{file, size}], skipped: [file], store, activate, serves, confirm_s,
           latency_ms}; of several devices that of `tartlet rollout show`, with --dry-run
           {waves: [[device]], devices: [that, or {device, problem}]}
    """
    from tartlet_host import runs
    from tartlet_shared.bundle import open_bundle

    folder, names = bundle_and_devices(words)
    bundle = open_bundle(folder if folder is not None else runs.latest("bundle"))
    if not (len(names) > 1 or groups or tags or everything or canary or wave or wait_s):
        _push_to_one(bundle, names[0] if names else None, wish, dry_run=dry_run, as_json=as_json)
        return
    from tartlet_host.commands import push_many
    from tartlet_host.fleet.engine import Limits, plan_waves

    devices, found = chosen(names, groups, tags, everything)
    waves = plan_waves(found, canary=canary, size=wave)
    if dry_run:
        push_many.dry_run(bundle, devices, waves, wish, as_json=as_json)
        return
    limits = Limits(success=success, errors=most_errors, parallel=parallel)
    push_many.push(bundle, waves, limits, wish, wait_s=wait_s, as_json=as_json)


def _push_to_one(
    bundle: Bundle, device: str | None, wish: Wish, *, dry_run: bool, as_json: bool
) -> None:
    from tartlet_host.remote import pushing, rollout

    terms = terms_for_one(wish, bundle)
    if dry_run:
        with session(device) as open_device:
            name = open_device.device.name
            found = rollout.facts(open_device.client, bundle, terms)
        plan = rollout.plan(bundle, *found, terms)
        if as_json:
            print_json({"device": name, **plan_as_data(plan)})
        else:
            print_plan(name, plan)
        return
    with lasting_session(device) as lasting, Reporter(quiet=as_json) as reporter:
        try:
            plan, done = pushing.push(
                lasting,
                bundle,
                terms,
                wait=wish.wait,
                pace=pace(wish),
                progress=reporter.progress,
                stage=reporter.stage,
            )
        except KeyboardInterrupt:
            if reporter.step == "confirm":
                say(
                    "it serves; the device confirms it or goes back by itself: "
                    f"tartlet status {lasting.name}"
                )
            raise
        name = lasting.name
    if as_json:
        print_json({"device": name, **report_as_data(done)})
    else:
        print_report(name, plan, done)
