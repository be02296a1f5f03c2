"""What waits for the recorder's thread: bounded, the newest frames first to be kept."""

from __future__ import annotations

import threading
from collections import deque

import msgspec

from tartlet_device.camera.base import Frame
from tartlet_shared.observation import EventBegan, EventEnded, Observation

MOST_FRAMES = 6
MOST_EVENTS = 1000


class Seen(msgspec.Struct, frozen=True):
    """A frame, and what was seen in it; None if nobody looked."""

    frame: Frame
    observation: Observation | None


Item = Seen | EventBegan | EventEnded


class Inbox:
    """Frames and events in the order in which they came.

    When too many frames wait the oldest is dropped; events are kept, up to a number that only a
    recorder that hangs reaches. Putting never waits.
    """

    def __init__(self, most_frames: int = MOST_FRAMES, most_events: int = MOST_EVENTS) -> None:
        self._most_frames = most_frames
        self._most_events = most_events
        self._changed = threading.Condition()
        self._items: deque[Item] = deque()
        self._frames = 0
        self._closed = False
        self.dropped_frames = 0
        self.dropped_events = 0

    def put(self, item: Item) -> None:
        """Add something; after `close` it is left out."""
        with self._changed:
            if self._closed:
                return
            if isinstance(item, Seen):
                if self._frames >= self._most_frames:
                    self._drop_oldest_frame()
                self._frames += 1
            elif len(self._items) - self._frames >= self._most_events:
                self.dropped_events += 1
                return
            self._items.append(item)
            self._changed.notify()

    def get(self, timeout_s: float) -> Item | None:
        """The oldest; None if there is none within that time, or once it is closed and empty."""
        with self._changed:
            if not self._items and not self._closed:
                self._changed.wait(timeout_s)
            if not self._items:
                return None
            item = self._items.popleft()
            if isinstance(item, Seen):
                self._frames -= 1
            return item

    def __len__(self) -> int:
        return len(self._items)

    @property
    def done(self) -> bool:
        """Whether it is closed and empty."""
        with self._changed:
            return self._closed and not self._items

    def close(self) -> None:
        """Nothing more comes."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _drop_oldest_frame(self) -> None:
        for place, item in enumerate(self._items):
            if isinstance(item, Seen):
                del self._items[place]
                self._frames -= 1
                self.dropped_frames += 1
                return
