from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest

from tartlet_host.remote import confirming
from tartlet_shared import errors
from tartlet_shared.client import Client
from tartlet_shared.messages import Standing

NEW, OLD = "a" * 64, "b" * 64


def client(*standings: Standing | None) -> Client:
    """Answers status after status; each `Standing` is one."""
    answers: Iterator[Standing | None] = iter(standings)
    return cast(Client, SimpleNamespace(status=lambda: SimpleNamespace(standing=next(answers))))


def on_probation(healthy_s: float, fault: str = "") -> Standing:
    return Standing(digest=NEW, confirmed=False, healthy_s=healthy_s, period_s=60.0, fault=fault)


def test_it_waits_until_the_model_is_confirmed() -> None:
    told: list[tuple[float, float]] = []
    slept: list[float] = []
    confirming.wait(
        client(on_probation(0), on_probation(59.5), Standing(digest=NEW, confirmed=True)),
        NEW,
        progress=lambda healthy_s, period_s: told.append((healthy_s, period_s)),
        sleep=slept.append,
    )
    assert told == [(0.0, 60.0), (59.5, 60.0)]
    assert slept == [1.0, 0.5]


def test_an_older_device_confirms_at_once() -> None:
    confirming.wait(client(None), NEW)
    assert confirming.standing(client(None), NEW).confirmed


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        (Standing(digest=OLD, confirmed=True, given_up=NEW, why="it crashed"), "it crashed; model"),
        (Standing(digest=OLD, confirmed=True), "activated meanwhile"),
        (on_probation(0.0, "too slow"), "too slow; it serves all the same"),
    ],
)
def test_a_model_that_is_not_confirmed_is_an_error_that_says_why(
    standing: Standing, words: str
) -> None:
    with pytest.raises(errors.NotConfirmed, match=words):
        confirming.wait(client(on_probation(1.0), standing), NEW, sleep=lambda seconds: None)
