"""A push that goes on by itself: after a lost connection, and after a file that arrived damaged.

What was activated on probation is waited for until the device has confirmed it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from tartlet_host.remote import confirming, rollout
from tartlet_host.remote.lasting import LastingSession
from tartlet_host.remote.pace import Pace
from tartlet_host.remote.rollout import Plan, PushReport, Terms
from tartlet_host.remote.session import Session
from tartlet_shared import errors
from tartlet_shared.bundle import Bundle

_log = logging.getLogger(__name__)

PATIENCE_S = 120.0
"""A push is given up when nothing more arrived for so long."""
_SPOILT = (errors.BundleCorrupt, errors.BundleNotOnDevice)
"""What the device says of uploads that are wrong or gone; it has removed them then."""


def push(
    lasting: LastingSession,
    bundle: Bundle,
    terms: Terms,
    *,
    wait: bool = True,
    pace: Pace | None = None,
    progress: Callable[[int, int], None] | None = None,
    stage: Callable[[str, Plan], None] | None = None,
    patience_s: float = PATIENCE_S,
    now_s: Callable[[], float] = time.monotonic,
) -> tuple[Plan, PushReport]:
    """Ask the device what it has, decide, do it; again from where it broke off, until it is done.

    Args:
        lasting: opens connections to the device.
        bundle: to push.
        terms: what it shall end in.
        wait: for the device to confirm it.
        pace: how fast to upload at most.
        progress: called with the bytes of the uploads that are there, and of all uploads; while
            it is waited for, with the seconds that the model was healthy, and must be.
        stage: called with the name of each step as it begins, and the plan.
        patience_s: give up when nothing more arrived for so long.
        now_s: the clock of ``lasting``.

    Returns:
        What there was to do at first, and what was done in all.

    Raises:
        As `rollout.apply`; `ConnectionLost` or `Unreachable` only after ``patience_s``.
        NotConfirmed: the device went back from it.
    """
    first: Plan | None = None
    most, moved_s, bytes_before = 0, now_s(), 0

    def report(done: int, total: int) -> None:
        nonlocal most, moved_s
        if done > most:
            most, moved_s = done, now_s()
        if progress is not None:
            progress(done, total)

    def begin(name: str, plan: Plan) -> None:
        nonlocal first, most
        first = first or plan
        if name == "confirm":  # seconds are counted from here on
            most = 0
        if stage is not None:
            stage(name, plan)

    def once(session: Session) -> tuple[Plan, PushReport]:
        return push_once(session, bundle, terms, wait=wait, pace=pace, progress=report, stage=begin)

    def work(session: Session) -> tuple[Plan, PushReport]:
        nonlocal bytes_before
        try:
            try:
                return once(session)
            except _SPOILT as error:
                _log.warning("sending again what is missing: %s", error)
                return once(session)
        except BaseException:
            bytes_before += session.connection.bytes_sent
            raise

    last, done = lasting.call(work, lambda: moved_s + patience_s)
    plan = first or last
    return plan, replace(
        done,
        bytes_sent=bytes_before + done.bytes_sent,
        files_sent=len(plan.uploads),
        files_skipped=len(plan.skipped),
    )


def push_once(
    session: Session,
    bundle: Bundle,
    terms: Terms,
    *,
    wait: bool = True,
    pace: Pace | None = None,
    progress: Callable[[int, int], None] | None = None,
    stage: Callable[[str, Plan], None] | None = None,
) -> tuple[Plan, PushReport]:
    """The same on one connection, which ends it when it is lost; arguments as in `push`.

    Raises:
        As `rollout.apply`.
        NotConfirmed: the device went back from it.
    """
    client = session.client
    plan = rollout.plan(bundle, *rollout.facts(client, bundle, terms), terms)

    def begin(name: str) -> None:
        if stage is not None:
            stage(name, plan)

    def healthy(seconds: float, period_s: float) -> None:
        if progress is not None:
            progress(int(seconds), max(int(period_s), 1))

    done = rollout.apply(
        plan, client, session.connection, pace=pace, progress=progress, stage=begin
    )
    if not done.serves or done.confirmed:
        return plan, done
    confirmed = confirming.standing(client, bundle.digest).confirmed
    if wait and not confirmed:
        begin("confirm")
        confirming.wait(client, bundle.digest, progress=healthy)
        confirmed = True
    return plan, replace(done, confirmed=confirmed)
