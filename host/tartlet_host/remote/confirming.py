"""Waiting until a device has confirmed a model, or gone back from it."""

from __future__ import annotations

import time
from collections.abc import Callable

from tartlet_shared import errors
from tartlet_shared.client import Client
from tartlet_shared.messages import Standing

_PAUSE_S = 1.0


def standing(client: Client, digest: str) -> Standing:
    """How far a device trusts a model that it has activated.

    Raises:
        NotConfirmed: the device went back to the model before, somebody made it serve another one,
            or this one is not healthy and there is nothing to go back to.
    """
    found = client.status().standing
    if found is None:  # an older device, where active is confirmed
        return Standing(digest=digest, confirmed=True)
    problem = _problem(found, digest)
    if problem is not None:
        raise problem
    return found


def wait(
    client: Client,
    digest: str,
    *,
    progress: Callable[[float, float], None] | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Until the device has confirmed a model that it has activated.

    Args:
        client: an open conversation with the device.
        digest: the model.
        progress: called with the seconds that it was healthy, and the seconds that it must be.
        sleep: called between two looks.

    Raises:
        NotConfirmed: as `standing`.
        ConnectionLost: the device goes on without the laptop.
    """
    while not (found := standing(client, digest)).confirmed:
        if progress is not None:
            progress(min(found.healthy_s, found.period_s), found.period_s)
        sleep(min(_PAUSE_S, max(found.period_s - found.healthy_s, 0.05)))


def _problem(found: Standing, digest: str) -> errors.NotConfirmed | None:
    if found.given_up == digest:
        return errors.NotConfirmed(
            f"{found.why}; model {found.digest[:12]} serves again",
            where=f"model {digest[:12]}",
            hint="`tartlet status` shows how the device is; mend the model, then push again",
        )
    if found.digest != digest:
        return errors.NotConfirmed(
            f"model {found.digest[:12]} was activated meanwhile", where=f"model {digest[:12]}"
        )
    if found.fault:
        return errors.NotConfirmed(
            f"{found.fault}; it serves all the same, there is none to go back to",
            where=f"model {digest[:12]}",
            hint="push another model",
        )
    return None
