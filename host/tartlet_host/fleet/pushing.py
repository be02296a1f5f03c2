"""Pushes a bundle to one device of a rollout."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tartlet_host.fleet.runner import Push, Pushed
from tartlet_host.remote import inventory, pushing
from tartlet_host.remote.inventory import Device
from tartlet_host.remote.pace import Pace
from tartlet_host.remote.rollout import Plan, Terms
from tartlet_host.remote.session import open_session
from tartlet_shared.bundle import Bundle

Report = Callable[[str, str, int, int], None]
"""Called with a device's name, what is done there, and how much of how much; from its thread."""


def pusher(
    devices: Mapping[str, Device],
    bundle: Bundle,
    terms: Terms,
    *,
    wait: bool,
    pace: Pace | None,
    report: Report,
) -> Push:
    """Push ``bundle`` to a device by its name, as `tartlet push` does.

    Nobody is asked for a password: devices of a fleet are reached with keys.

    Args:
        devices: by name.
        bundle: to push.
        terms: what it shall end in.
        wait: for each device to confirm it; only then it counts as done.
        pace: of all together.
        report: see `Report`.
    """

    def push(name: str) -> Pushed:
        step = "connect"
        report(name, step, 0, 0)

        def begin(begun: str, plan: Plan) -> None:
            nonlocal step
            step = begun
            report(name, step, 0, 0)

        with open_session(inventory.find(devices, name)) as session:
            plan, done = pushing.push_once(
                session,
                bundle,
                terms,
                wait=wait,
                pace=pace,
                progress=lambda done, total: report(name, step, done, total),
                stage=begin,
            )
        return Pushed(bytes_sent=done.bytes_sent, changed=not plan.nothing_to_do)

    return push
