"""A push is killed between its messages; all of them are in `benchmarks.message_kills`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks import message_kills
from benchmarks.message_kills import MOMENTS, WHO, Point
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_shared.bundle import Bundle


@pytest.fixture(scope="module")
def device() -> Iterator[tuple[EmbeddedDevice, Iterator[Bundle]]]:
    with message_kills.device() as started:
        yield started


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("message", [2, 3])  # accept and activate
def test_the_old_or_the_new_model_serves_and_the_next_push_succeeds(
    who: str, message: int, device: tuple[EmbeddedDevice, Iterator[Bundle]]
) -> None:
    embedded, bundles = device
    assert message_kills.messages(embedded, next(bundles)) > 3
    assert message_kills.killed(embedded, Point(who, message, MOMENTS[1]), bundles) == []
