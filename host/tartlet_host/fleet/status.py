"""How every device of a fleet is, asked at once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tartlet_host.remote.inventory import Device
from tartlet_host.remote.session import open_session
from tartlet_shared import errors
from tartlet_shared.messages import Status

AT_ONCE = 32


@dataclass(frozen=True)
class Answer:
    """What a device said, or why it did not."""

    device: Device
    status: Status | None
    problem: errors.TartletError | None


def ask_all(devices: Sequence[Device]) -> list[Answer]:
    """Ask every device how it is, `AT_ONCE` at once; in the order given."""
    with ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="status") as pool:
        return list(pool.map(_ask, devices))


def _ask(device: Device) -> Answer:
    try:
        with open_session(device) as session:
            return Answer(device, session.client.status(), None)
    except errors.TartletError as error:
        return Answer(device, None, error)
