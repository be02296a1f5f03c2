from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_device.outputs.publisher import Conveyor, Mailbox
from tartlet_shared import errors
from tartlet_shared.observation import Observation


@given(kinds=st.lists(st.booleans(), max_size=30))
def test_the_newest_observations_and_events_up_to_the_bound_are_kept_in_order(items, kinds):
    mailbox = Mailbox(observations=3, events=5)
    put = [items.began(n) if event else items.observed(n) for n, event in enumerate(kinds)]
    for item in put:
        mailbox.put(item)
    observations = [item for item in put if isinstance(item, Observation)]
    events = [item for item in put if not isinstance(item, Observation)]
    kept = {id(item) for item in observations[-3:] + events[-5:]}
    taken = []
    while (item := mailbox.take(0)) is not None:
        taken.append(item)
    assert taken == [item for item in put if id(item) in kept]
    assert mailbox.dropped_observations == max(0, len(observations) - 3)
    assert mailbox.dropped_events == max(0, len(events) - 5)


def test_close_lets_a_waiting_thread_go():
    mailbox = Mailbox()
    taken = []
    thread = threading.Thread(target=lambda: taken.append(mailbox.take(600)))
    thread.start()
    mailbox.close()
    thread.join(20)
    assert taken == [None]


class Flaky:
    """A sink that fails as long as it is told to."""

    def __init__(self, error: Exception) -> None:
        self.error: Exception | None = error
        self.got: list[object] = []
        self.attempts = 0
        self.closed = False

    def write(self, item: object) -> None:
        self.attempts += 1
        if self.error is not None:
            raise self.error
        self.got.append(item)

    def tick(self) -> None: ...

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), errors.StorageFull("no space", where="card")]
)
def test_events_wait_for_a_sink_that_fails_and_observations_do_not(items, until, error):
    sink = Flaky(error)
    conveyor = Conveyor("test", sink, retry_s=0.001)
    conveyor.mailbox.put(items.observed(1))
    until(lambda: conveyor.mailbox.dropped_observations == 1)
    conveyor.mailbox.put(items.began(1))
    conveyor.mailbox.put(items.began(2))
    until(lambda: sink.attempts >= 5)
    assert "o space" in conveyor.fault.text
    sink.error = None
    until(lambda: len(sink.got) == 2)
    assert [item.track_id for item in sink.got] == [1, 2]
    until(lambda: conveyor.fault.text == "")
    conveyor.stop(20)
    assert sink.closed
    assert conveyor.mailbox.dropped_events == 0


def test_stop_brings_what_waits_to_the_sink(items):
    sink = Flaky(OSError())
    sink.error = None
    conveyor = Conveyor("test", sink)
    for number in range(500):
        conveyor.mailbox.put(items.began(number))
    conveyor.stop(20)
    assert len(sink.got) == 500
