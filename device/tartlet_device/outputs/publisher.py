"""The seam that all outputs share: hand something over without ever waiting for it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import Protocol

from tartlet_shared import errors
from tartlet_shared.health_messages import OutputHealth as OutputHealth
from tartlet_shared.observation import EventBegan, EventEnded, Observation

_log = logging.getLogger(__name__)

Event = EventBegan | EventEnded
Item = Observation | EventBegan | EventEnded

OBSERVATIONS = 8
"""How many observations may wait in memory."""
EVENTS = 1000
"""How many events may wait in memory."""
_TICK_S = 0.5
_RETRY_S = 1.0


class Output(Protocol):
    """One way to tell others."""

    def publish(self, item: Item) -> None:
        """Take an item; never waits, never raises."""

    def health(self) -> OutputHealth:
        """How it is, at once."""

    def stop(self, timeout_s: float = 5.0) -> None:
        """Write down what waits, as far as the time allows, and end the threads."""


class Mailbox:
    """Items on their way to one thread, in order.

    Of observations only the newest are kept. Events are dropped only when ``events`` of them wait
    already, the oldest first.
    """

    def __init__(self, *, observations: int = OBSERVATIONS, events: int = EVENTS) -> None:
        self._changed = threading.Condition()
        self._observations: deque[tuple[int, Observation]] = deque()
        self._events: deque[tuple[int, Event]] = deque()
        self._most_observations, self._most_events = observations, events
        self._number = 0
        self._closed = False
        self.dropped_observations = 0
        self.dropped_events = 0

    def __len__(self) -> int:
        return len(self._observations) + len(self._events)

    def put(self, item: Item) -> None:
        """Add an item; after `close` it is dropped."""
        with self._changed:
            if self._closed:
                self._count(item)
                return
            self._number += 1
            if isinstance(item, Observation):
                self._observations.append((self._number, item))
                if len(self._observations) > self._most_observations:
                    self._count(self._observations.popleft()[1])
            else:
                self._events.append((self._number, item))
                if len(self._events) > self._most_events:
                    self._count(self._events.popleft()[1])
            self._changed.notify()

    def put_back(self, event: Event) -> None:
        """Return an event that could not be given on; it comes first again."""
        with self._changed:
            if len(self._events) >= self._most_events:
                self._count(event)
            else:
                self._events.appendleft((0, event))

    def take(self, timeout_s: float) -> Item | None:
        """The item that waits longest; None after ``timeout_s`` seconds, or closed and empty."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not self._observations and not self._events:
                left = deadline - time.monotonic()
                if self._closed or left <= 0:
                    return None
                self._changed.wait(left)
            if not self._events:
                return self._observations.popleft()[1]
            if self._observations and self._observations[0][0] < self._events[0][0]:
                return self._observations.popleft()[1]
            return self._events.popleft()[1]

    def drop(self, item: Item) -> None:
        """Count an item that was taken and cannot be given on."""
        with self._changed:
            self._count(item)

    def close(self) -> None:
        """Take no more; who waits in `take` gets what is left, then None."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _count(self, item: Item) -> None:
        if isinstance(item, Observation):
            self.dropped_observations += 1
        else:
            self.dropped_events += 1


class Sink(Protocol):
    """Where a `Conveyor` brings items; used by its thread alone."""

    def write(self, item: Item) -> None:
        """Take an item; an `OSError` or `TartletError` means: not now."""

    def tick(self) -> None:
        """Called at least every second."""

    def close(self) -> None:
        """Called once, at the end."""


class Fault:
    """The last error of an output, logged when it changes."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.text = ""

    def set(self, text: str) -> None:
        """Something is wrong."""
        if text != self.text:
            _log.warning("%s: %s", self._name, text)
            self.text = text

    def clear(self) -> None:
        """All is well again."""
        if self.text:
            _log.info("%s: works again", self._name)
            self.text = ""


class Conveyor:
    """The thread that brings items from a mailbox to a sink.

    An event that the sink cannot take now is offered again until it can; observations are not,
    since newer ones follow.
    """

    def __init__(
        self, name: str, sink: Sink, *, mailbox: Mailbox | None = None, retry_s: float = _RETRY_S
    ) -> None:
        self.mailbox = mailbox or Mailbox()
        self.fault = Fault(name)
        self.delivered = 0
        self._sink = sink
        self._retry_s = retry_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Bring what waits to the sink, once, and end the thread."""
        self._stopping.set()
        self.mailbox.close()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        ticked = time.monotonic()
        while True:
            item = self.mailbox.take(_TICK_S)
            if item is not None:
                self._bring(item)
            elif self._stopping.is_set():
                break
            if time.monotonic() - ticked >= _TICK_S:
                self._try(self._sink.tick)
                ticked = time.monotonic()
        self._try(self._sink.close)

    def _bring(self, item: Item) -> None:
        if self._try(lambda: self._sink.write(item)):
            self.delivered += 1
            self.fault.clear()
        elif isinstance(item, Observation) or self._stopping.is_set():
            self.mailbox.drop(item)
        else:
            self.mailbox.put_back(item)
            self._stopping.wait(self._retry_s)

    def _try(self, action: object) -> bool:
        assert callable(action)
        try:
            action()
        except errors.TartletError as error:
            self.fault.set(str(error))
        except OSError as error:
            self.fault.set(f"{error.filename or 'i/o'}: {error.strerror or error}")
        else:
            return True
        return False
