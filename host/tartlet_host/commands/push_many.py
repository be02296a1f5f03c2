"""``tartlet push`` to several devices: a rollout, or what it would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import click

from tartlet_host.commands.fleet_options import drive
from tartlet_host.commands.options import print_json, say
from tartlet_host.commands.push_options import terms_for_all
from tartlet_shared import errors

if TYPE_CHECKING:
    from tartlet_host.fleet.engine import Limits
    from tartlet_host.remote.inventory import Device
    from tartlet_host.remote.rollout import Plan
    from tartlet_host.remote.wish import Wish
    from tartlet_shared.bundle import Bundle


def push(
    bundle: Bundle,
    waves: tuple[tuple[str, ...], ...],
    limits: Limits,
    wish: Wish,
    *,
    wait_s: float | None,
    as_json: bool,
) -> None:
    """Start a rollout and go on with it; see `drive`."""
    from tartlet_host.fleet.state import Rollouts

    rollouts = Rollouts()
    with rollouts.started(
        bundle=bundle.folder,
        digest=bundle.digest,
        model=bundle.manifest.name,
        wish=wish,
        limits=limits,
        waves=waves,
    ) as rollout:
        say(
            f"rollout {rollout.number}: {rollout.model} ({rollout.digest[:12]}) to "
            f"{len(rollout.devices)} devices in {len(waves)} waves"
        )
        drive(rollouts, rollout, wait_s=wait_s, as_json=as_json)


def dry_run(
    bundle: Bundle,
    devices: Mapping[str, Device],
    waves: Sequence[Sequence[str]],
    wish: Wish,
    *,
    as_json: bool,
) -> None:
    """Ask every device what it has, and say what a rollout would do.

    Raises:
        DevicesAway: some could not be asked.
    """
    from tartlet_host.commands.push_report import plan_as_data, print_plan
    from tartlet_host.fleet.status import AT_ONCE
    from tartlet_host.remote import rollout
    from tartlet_host.remote.session import open_session

    def ask(name: str) -> Plan | errors.TartletError:
        try:
            with open_session(devices[name]) as session:
                facts = rollout.facts(session.client, bundle, terms)
                return rollout.plan(bundle, *facts, terms)
        except errors.TartletError as error:
            return error

    terms = terms_for_all(wish, bundle)
    names = [name for wave in waves for name in wave]
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        answers = dict(zip(names, pool.map(ask, names), strict=True))
    if as_json:
        told: list[dict[str, Any]] = [
            {"device": name, "problem": str(answer)}
            if isinstance(answer, errors.TartletError)
            else {"device": name, **plan_as_data(answer)}
            for name, answer in answers.items()
        ]
        print_json({"waves": [list(wave) for wave in waves], "devices": told})
    else:
        for number, wave in enumerate(waves, 1):
            click.echo(f"wave {number}: {', '.join(wave)}")
            for name in wave:
                answer = answers[name]
                if isinstance(answer, errors.TartletError):
                    click.echo(f"{name} cannot be asked now: {answer}")
                else:
                    print_plan(name, answer)
    silent = [name for name, answer in answers.items() if isinstance(answer, errors.TartletError)]
    if silent:
        raise errors.DevicesAway(f"no answer from {', '.join(silent)}")
