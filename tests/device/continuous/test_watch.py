"""Watching over a connection."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tartlet_shared.messages import Failure
from tartlet_shared.watch_messages import Watched, WatchRequest


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_who_watches_is_told_of_every_object(daemon: Any, push: Any, make_bundle: Any) -> None:
    daemon.device.model.activate(push(daemon, make_bundle()))
    client = daemon.connect()
    client.send(WatchRequest(request_id=7, want_picture=True))
    told = [client.receive() for _ in range(6)]
    assert all(isinstance(each, Watched) and each.request_id == 7 for each in told)
    seen = [each.observation for each in told if each.observation is not None]
    assert seen
    for observation in seen:
        assert (observation.width, observation.height) == (128, 96)
        assert all(track.label == "bright" for track in observation.tracks)
    assert any(each.jpeg[:2] == b"\xff\xd8" for each in told)
    assert daemon.device.continuous.report() is not None
    client.close()
    until(lambda: daemon.device.continuous.report() is None)


def test_it_ends_after_its_time(daemon: Any, push: Any, make_bundle: Any) -> None:
    daemon.device.model.activate(push(daemon, make_bundle()))
    client = daemon.connect()
    client.send(WatchRequest(request_id=1, seconds=1.5, rate=2.0))
    told = []
    while not told or not told[-1].last:
        told.append(client.receive())
        assert not isinstance(told[-1], Failure)
    assert told[-1].observation is None
    assert sum(each.observation is not None for each in told) <= 8
    assert sum(each.skipped for each in told) > 0
    assert daemon.device.continuous.report() is None


def test_without_a_model_the_watcher_hears_why_nothing_comes(daemon: Any) -> None:
    client = daemon.connect()
    client.send(WatchRequest(request_id=1))
    told = client.receive()
    assert told.observation is None
    assert "no model" in told.fault
