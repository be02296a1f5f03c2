"""``tartlet fleet``: many devices in one look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tartlet_host import health as words
from tartlet_host.commands.fleet_options import choosing, chosen
from tartlet_host.commands.options import (
    device_names,
    duration,
    json_option,
    print_json,
    size,
)
from tartlet_shared import errors

if TYPE_CHECKING:
    from tartlet_host.fleet.status import Answer
    from tartlet_shared.messages import Status


@click.group()
def command() -> None:
    """Look at many devices at once.

    Devices are put into groups and given tags by `tartlet device change`.

    \b
    Examples:
      tartlet fleet status
      tartlet fleet status --group garden --json
      tartlet push --group garden --canary 1
    """


@command.command()
@click.argument("names", nargs=-1, metavar="[DEVICE]...", shell_complete=device_names)
@choosing
@json_option
def status(
    names: tuple[str, ...],
    groups: tuple[str, ...],
    tags: tuple[str, ...],
    everything: bool,
    as_json: bool,
) -> None:
    """Show how DEVICEs are, by default all, in one table.

    The exit code is 0 if all answer and serve a model, 82 if one does not answer, 83 if one
    answers that something is wrong.

    \b
    Examples:
      tartlet fleet status
      tartlet fleet status --tag zero2
      tartlet fleet status --json | jq '.[] | select(.problem != "") | .device'
    \b
    JSON: [{device, address, groups, tags, answers, problem, model: {digest, name, runtime, labels}
           or null, previous, standing: {digest, confirmed, healthy_s, period_s, starts, fault,
           given_up, why} or null, software, machine, rate, temperature_c, throttled, free_bytes,
           uptime_s}]; where it does not answer, what it would have said is null
    """
    from tartlet_host.fleet.status import ask_all

    everything = everything or not (names or groups or tags)
    devices, found = chosen(names, groups, tags, everything)
    wanted = list(dict.fromkeys(name for part in found for name in part))
    answers = ask_all([devices[name] for name in wanted])
    if as_json:
        print_json([_as_data(answer) for answer in answers])
    else:
        _print(answers)
    silent = [each.device.name for each in answers if each.status is None]
    if silent:
        raise errors.DevicesAway(f"no answer from {', '.join(silent)}")
    wrong = [each.device.name for each in answers if _problem(each)]
    if wrong:
        raise errors.DevicesFailed(
            f"something is wrong on {', '.join(wrong)}", hint=f"tartlet status {wrong[0]}"
        )


def _problem(answer: Answer) -> str:
    """What is wrong with a device, in a line; empty if nothing is."""
    if answer.status is None:
        return "does not answer" if answer.problem is None else str(answer.problem)
    said = answer.status
    found = [said.model_error, said.camera_error, said.config_error]
    if said.model is None and not said.model_error:
        found.append("no model yet")
    if said.standing is not None and said.standing.given_up is not None:
        found.append(f"rolled back: {words.given_up_words(said.standing)}")
    return "; ".join(each for each in found if each)


def _model_words(status: Status) -> str:
    assert status.model is not None
    waits = status.standing is not None and not status.standing.confirmed
    return f"{status.model.name} {status.model.digest[:8]}" + (", on probation" if waits else "")


def _rate(status: Status) -> float | None:
    return None if status.detection is None else status.detection.rate


def _as_data(answer: Answer) -> dict[str, Any]:
    import msgspec

    device, said = answer.device, answer.status
    fields = (
        *("model", "previous", "standing", "software", "machine", "temperature_c", "throttled"),
        *("free_bytes", "uptime_s"),
    )
    return {
        "device": device.name,
        "address": str(device.typed),
        "groups": list(device.groups),
        "tags": list(device.tags),
        "answers": said is not None,
        "problem": _problem(answer),
        "rate": None if said is None else _rate(said),
        **{
            each: None if said is None else msgspec.to_builtins(getattr(said, each))
            for each in fields
        },
    }


def _print(answers: list[Answer]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading in ("device", "groups", "model", "frames/s", "°C", "free", "up", ""):
        table.add_column(heading, no_wrap=heading != "")
    for answer in answers:
        said, problem = answer.status, _problem(answer)
        shown = ["", "", "", "", ""]
        if said is not None:
            rate = _rate(said)
            power = words.power_problems(said.health) if said.health is not None else ()
            problem = "; ".join([each for each in (problem, *power) if each])
            shown = [
                "" if said.model is None else _model_words(said),
                "" if rate is None else f"{rate:.1f}",
                "" if said.temperature_c is None else f"{said.temperature_c:.0f}",
                size(said.free_bytes),
                duration(said.uptime_s),
            ]
        cells = [answer.device.name, ", ".join(answer.device.groups), *shown]
        style = "red" if said is None else "yellow"
        table.add_row(
            *(Text(cell) for cell in cells), Text(problem.partition("\n")[0], style=style)
        )
    Console(highlight=False).print(table)
    click.echo(f"{sum(each.status is not None for each in answers)} of {len(answers)} answer")
