"""What ``tartlet push`` shows: the plan, the way, and what was done."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import click

from tartlet_host.commands.options import say, size

if TYPE_CHECKING:
    from tartlet_host.remote.rollout import Plan, PushReport

_TITLES = {
    "store": "Checking every hash on the device",
    "activate": "Testing on the device's own runtime",
    "confirm": "It serves, on probation",
}


class Reporter:
    """A bar for each step, on standard error. A context that ends the last one.

    Attributes:
        step: that is under way; empty before the first.
    """

    def __init__(self, *, quiet: bool) -> None:
        self.step = ""
        self._quiet = quiet
        self._current = contextlib.ExitStack()
        self._report: Callable[[int, int], None] = lambda done, total: None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._current.close()

    def stage(self, step: str, plan: Plan) -> None:
        """For `tartlet_host.remote.pushing.push`."""
        from tartlet_host.progress import bar, transfer_bar

        self.step = step
        self._current.close()
        begun = (
            transfer_bar(f"Sending {size(plan.upload_bytes)}", quiet=self._quiet)
            if step == "upload"
            else bar(_TITLES[step], quiet=self._quiet)
        )
        self._report = self._current.enter_context(begun)

    def progress(self, done: int, total: int) -> None:
        """The same."""
        self._report(done, total)


def plan_as_data(plan: Plan) -> dict[str, Any]:
    """For JSON."""
    return {
        "digest": plan.digest,
        "name": plan.name,
        "dry_run": True,
        "uploads": [{"file": each.source.name, "size": each.size} for each in plan.uploads],
        "skipped": [entry.name for entry in plan.skipped],
        "store": plan.store,
        "activate": plan.activate,
        "serves": plan.serves,
        "confirm_s": plan.terms.confirm_s,
        "latency_ms": plan.terms.latency_ms,
    }


def print_plan(device: str, plan: Plan) -> None:
    """For people."""
    click.echo(f"{plan.name} ({plan.digest[:12]}) to {device} would")
    for upload in plan.uploads:
        click.echo(f"  send      {upload.source.name}  {size(upload.size)}")
    for entry in plan.skipped:
        click.echo(f"  not send  {entry.name}  {size(entry.size)}: it is there")
    if plan.store:
        click.echo("  store     after every hash was checked on the device")
    if plan.activate:
        click.echo("  activate  after the golden pictures gave the same boxes there")
        terms = plan.terms
        if terms.confirm_s:
            bound = "" if terms.latency_ms is None else f", at most {terms.latency_ms:g} ms each"
            click.echo(
                f"  confirm   after {terms.confirm_s:g} s in which it answers{bound}; "
                "else go back by itself"
            )
    if plan.nothing_to_do:
        click.echo("  change nothing" + (": it serves already" if plan.serves else ""))


def report_as_data(report: PushReport) -> dict[str, Any]:
    """For JSON."""
    import msgspec

    plain = dataclasses.replace(report, self_test=msgspec.to_builtins(report.self_test))
    return {"dry_run": False, **dataclasses.asdict(plain)}


def print_report(device: str, plan: Plan, report: PushReport) -> None:
    """For people."""
    trust = "" if report.confirmed else ", on probation,"
    state = f"serves{trust}" if report.serves else "is stored, not yet serving,"
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
