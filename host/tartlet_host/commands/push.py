"""``tartlet push``: a bundle goes to a device and serves once it has proved itself there."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from tartlet_host.commands.options import (
    file_and_device,
    json_option,
    print_json,
    say,
    session,
    size,
)

if TYPE_CHECKING:
    from tartlet_host.remote.rollout import Plan, PushReport


@click.command()
@click.argument("bundle", required=False, type=str)
@click.argument("device", required=False)
@click.option("--dry-run", is_flag=True, help="Say what would be sent; change nothing.")
@click.option("--no-activate", is_flag=True, help="Store it; keep the present model serving.")
@json_option
def command(
    bundle: str | None, device: str | None, dry_run: bool, no_activate: bool, as_json: bool
) -> None:
    """Send BUNDLE to DEVICE and let it serve, once it proved itself.

    BUNDLE is the folder that `tartlet package` wrote; without it, the newest run's. DEVICE is a
    name from `tartlet device list`; without it, the only one there is.

    Only files that the device lacks are sent. The device then checks every hash and runs the
    bundle's golden pictures: if its boxes are not the laptop's, the model that served before goes
    on serving. The same holds if the connection breaks at any moment.

    \b
    Examples:
      tartlet push                         the newest bundle to the only device
      tartlet push runs/latest/bundle pi
      tartlet push --dry-run               what would be sent
      tartlet push --no-activate           send now, activate later by pushing again
    \b
    JSON: {device, digest, name, dry_run, bytes_sent, files_sent, files_skipped, seconds: {step: s},
           serves, previous, self_test: {pictures, detections, box_difference_px,
           score_difference, inference_ms} or null}; with --dry-run {device, digest, name, dry_run,
           uploads: [{file, size}], skipped: [file], store, activate, serves}
    """
    from tartlet_host import runs
    from tartlet_host.remote import rollout
    from tartlet_shared.bundle import open_bundle

    folder, device = file_and_device(bundle, device, file_first=True)
    opened = open_bundle(folder if folder is not None else runs.latest("bundle"))
    with session(device) as open_device:
        name, client = open_device.device.name, open_device.client
        plan = rollout.plan(opened, *rollout.facts(client, opened), activate=not no_activate)
        if dry_run:
            if as_json:
                print_json({"device": name, **_plan_as_data(plan)})
            else:
                _print_plan(name, plan)
            return
        with _reporting(plan, quiet=as_json) as report:
            done = rollout.apply(
                plan, client, open_device.connection, progress=report[0], stage=report[1]
            )
    if as_json:
        print_json({"device": name, "dry_run": False, **dataclasses.asdict(_plain(done))})
    else:
        _print_report(name, plan, done)


@contextlib.contextmanager
def _reporting(plan: Plan, *, quiet: bool) -> Iterator[tuple[Any, Any]]:
    """A bar for the upload, a line for each other step."""
    if quiet:
        yield None, None
        return
    from tartlet_host.progress import bar

    titles = {
        "upload": f"Sending {size(plan.upload_bytes)}",
        "store": "Checking every hash on the device",
        "activate": "Testing on the device's own runtime",
    }
    with contextlib.ExitStack() as current:
        reports: list[Any] = []

        def stage(step: str) -> None:
            current.close()
            reports.append(current.enter_context(bar(titles[step])))

        def progress(done: int, total: int) -> None:
            if reports:
                reports[-1](done >> 10, max(total >> 10, 1))

        yield progress, stage


def _plain(report: PushReport) -> PushReport:
    """With the self-test as plain data, for JSON."""
    import msgspec

    return dataclasses.replace(report, self_test=msgspec.to_builtins(report.self_test))


def _plan_as_data(plan: Plan) -> dict[str, Any]:
    return {
        "digest": plan.digest,
        "name": plan.name,
        "dry_run": True,
        "uploads": [{"file": each.source.name, "size": each.size} for each in plan.uploads],
        "skipped": [entry.name for entry in plan.skipped],
        "store": plan.store,
        "activate": plan.activate,
        "serves": plan.serves,
    }


def _print_plan(device: str, plan: Plan) -> None:
    click.echo(f"{plan.name} ({plan.digest[:12]}) to {device} would")
    for upload in plan.uploads:
        click.echo(f"  send      {upload.source.name}  {size(upload.size)}")
    for entry in plan.skipped:
        click.echo(f"  not send  {entry.name}  {size(entry.size)}: it is there")
    if plan.store:
        click.echo("  store     after every hash was checked on the device")
    if plan.activate:
        click.echo("  activate  after the golden pictures gave the same boxes there")
    if plan.nothing_to_do:
        click.echo("  change nothing" + (": it serves already" if plan.serves else ""))


def _print_report(device: str, plan: Plan, report: PushReport) -> None:
    state = "serves" if report.serves else "is stored, not yet serving,"
    click.echo(f"{report.name} ({report.digest[:12]}) {state} on {device}")
    if plan.nothing_to_do:
        click.echo("  nothing had to be changed")
    skipped = f", {report.files_skipped} were there" if report.files_skipped else ""
    click.echo(f"  {report.files_sent} files sent{skipped}; {size(report.bytes_sent)} in all")
    if report.self_test is not None:
        test = report.self_test
        click.echo(
            f"  self-test: {test.detections} detections on {test.pictures} pictures agree within "
            f"{test.box_difference_px:.2f} px and {test.score_difference:.3f} of score; "
            f"inference {test.inference_ms:.1f} ms"
        )
        say("next: tartlet predict" + ("" if report.previous is None else ", or tartlet rollback"))
