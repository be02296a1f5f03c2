"""``tartlet rollout``: pushes to many devices, gone on with, looked at, stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from tartlet_host.commands.fleet_options import (
    as_data,
    drive,
    outcome,
    rollout_numbers,
    wait_option,
)
from tartlet_host.commands.options import json_option, print_json, say
from tartlet_shared import errors

if TYPE_CHECKING:
    from tartlet_host.fleet.state import Rollouts

_number = click.argument("number", required=False, type=int, shell_complete=rollout_numbers)


@click.group()
def command() -> None:
    """Go on with, look at and stop pushes to many devices.

    `tartlet push` to several devices makes a rollout. Its state is on this computer's disk after
    every change, so it can be gone on with after Ctrl-C, a crash or a power cut.

    \b
    Examples:
      tartlet rollout list
      tartlet rollout show                 the newest
      tartlet rollout resume --wait 2h     try those that are away or were not tried
      tartlet rollout resume 3 --failed    and those that failed
    """


@command.command(name="list")
@json_option
def list_rollouts(as_json: bool) -> None:
    """List the rollouts, the newest last.

    \b
    JSON: [that of `tartlet rollout show`]
    """
    from tartlet_host.fleet.state import Rollouts
    from tartlet_host.fleet.view import summary

    rollouts = Rollouts()
    found = [(rollouts.load(number), _state(rollouts, number)) for number in rollouts.numbers()]
    if as_json:
        print_json([as_data(rollout, state) for rollout, state in found])
        return
    for rollout, state in found:
        data = as_data(rollout, state)
        click.echo(f"{summary(rollout)}; {rollout.model}, {rollout.created[:16]}, {data['state']}")
    if not found:
        say("there was no rollout yet: tartlet push --group NAME starts one")


@command.command()
@_number
@json_option
def show(number: int | None, as_json: bool) -> None:
    """Show the rollout NUMBER, by default the newest, device by device.

    The exit code is 0 if every device is as wanted, else that of docs/errors.md: 81 it stopped,
    82 devices are away or were not tried, 83 devices failed.

    \b
    JSON: {number, created, bundle, digest, model, wish: {activate, confirm_s, latency_ms,
           allow_older, wait, bytes_per_s, sign, key}, limits: {success, errors, parallel},
           waves: [[device]], devices: {device: {state, attempts, bytes_sent, seconds, changed,
           problem: {code, what, hint} or null}}, stopped, state, reason}; a device's state is
           pending, pushing, done, failed or away; a rollout's running, interrupted, waiting,
           stopped or ended
    """
    from tartlet_host.fleet.state import Rollouts
    from tartlet_host.fleet.view import print_table

    rollouts = Rollouts()
    rollout = rollouts.load(number or rollouts.latest())
    state = _state(rollouts, rollout.number)
    if as_json:
        print_json(as_data(rollout, state))
    else:
        print_table(rollout)
    problem = outcome(rollout)
    if problem is not None and state != "running":
        raise problem


@command.command()
@_number
@click.option("--failed", is_flag=True, help="Try devices that failed again, too.")
@click.option("--success", type=click.IntRange(0, 100), help="Another limit than it began with.")
@click.option(
    "--errors", "most_errors", type=click.IntRange(0, 100), help="Another limit than it began with."
)
@wait_option
@json_option
def resume(
    number: int | None,
    failed: bool,
    success: int | None,
    most_errors: int | None,
    wait_s: float | None,
    as_json: bool,
) -> None:
    """Go on with the rollout NUMBER, by default the newest.

    Tries the devices that were away or not tried yet. A device on which the bundle serves by now
    gets nothing. Exit codes are those of `tartlet rollout show`.

    \b
    Examples:
      tartlet rollout resume
      tartlet rollout resume 3 --wait 2h
      tartlet rollout resume --failed --errors 20
    \b
    JSON: that of `tartlet rollout show`
    """
    from tartlet_host.fleet.engine import State
    from tartlet_host.fleet.state import Rollouts

    rollouts = Rollouts()
    number = number or rollouts.latest()
    with rollouts.driving(number) as ours:
        if not ours:
            raise errors.UsageError(
                "goes on in another process", where=f"rollout {number}", hint="let it end"
            )
        rollouts.forget_asking(number)
        rollout = rollouts.load(number)
        limits = msgspec.structs.replace(
            rollout.limits,
            success=rollout.limits.success if success is None else success,
            errors=rollout.limits.errors if most_errors is None else most_errors,
        )
        rollout = msgspec.structs.replace(rollout, limits=limits, stopped=False)
        rollout = rollout.again(State.AWAY, *((State.FAILED,) if failed else ()))
        drive(rollouts, rollout, wait_s=wait_s, as_json=as_json)


@command.command()
@_number
@json_option
def stop(number: int | None, as_json: bool) -> None:
    """Stop the rollout NUMBER, by default the newest.

    No further device is started; those in the middle of a push end it. `tartlet rollout resume`
    goes on.

    \b
    JSON: that of `tartlet rollout show`
    """
    from tartlet_host.fleet.state import Rollouts

    rollouts = Rollouts()
    number = number or rollouts.latest()
    rollout = rollouts.load(number)
    with rollouts.driving(number) as ours:
        if ours:
            rollout = msgspec.structs.replace(rollouts.load(number), stopped=True)
            rollouts.save(rollout)
        else:
            rollouts.ask_to_stop(number)
    if as_json:
        print_json(as_data(rollout, "interrupted" if ours else "running"))
    else:
        click.echo(f"rollout {number} " + ("is stopped" if ours else "will stop in a moment"))


def _state(rollouts: Rollouts, number: int) -> str:
    """Of a rollout with something left to start: whether a process is at it."""
    with rollouts.driving(number) as ours:
        return "interrupted" if ours else "running"
