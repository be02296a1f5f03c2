"""Those who watch over a connection: each gets the newest, and nobody holds up the loop."""

from __future__ import annotations

import queue
import threading
from types import TracebackType
from typing import Self

from tartlet_device.continuous.follower import Understood
from tartlet_shared.health_messages import StageHealth

WAITING = 4
"""Frames that wait for a watcher; the oldest go first."""


class Watcher:
    """One of them; a context that ends it."""

    def __init__(self, watchers: Watchers, *, pictures: bool) -> None:
        self._watchers = watchers
        self.pictures = pictures
        self.waiting: queue.Queue[Understood] = queue.Queue(WAITING)
        self.dropped = 0
        self._told = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._watchers.leave(self)

    def next(self, timeout_s: float) -> Understood | None:
        """What is seen next; None if nothing is for so long."""
        try:
            return self.waiting.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def missed(self) -> int:
        """How many frames went by since this was asked last."""
        dropped = self.dropped
        missed, self._told = dropped - self._told, dropped
        return missed

    def offer(self, understood: Understood) -> None:
        """Called by the loop."""
        while True:
            try:
                self.waiting.put_nowait(understood)
            except queue.Full:
                try:
                    self.waiting.get_nowait()
                except queue.Empty:
                    continue
                self.dropped += 1
            else:
                return


class Watchers:
    """All who watch now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watchers: list[Watcher] = []
        self._dropped_before = 0

    def join(self, *, pictures: bool) -> Watcher:
        """One more; ``pictures`` says whether frames are wanted in full."""
        watcher = Watcher(self, pictures=pictures)
        with self._lock:
            self._watchers.append(watcher)
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """One less."""
        with self._lock:
            self._watchers = [each for each in self._watchers if each is not watcher]
            self._dropped_before += watcher.dropped

    def tell(self, understood: Understood) -> None:
        """Hand a frame to each; never waits."""
        with self._lock:
            watchers = list(self._watchers)
        for watcher in watchers:
            watcher.offer(understood)

    def stage(self) -> StageHealth:
        """What waits for all of them together."""
        with self._lock:
            watchers, dropped = list(self._watchers), self._dropped_before
        return StageHealth(
            name="watchers",
            waiting=sum(each.waiting.qsize() for each in watchers),
            most=WAITING * len(watchers),
            dropped=dropped + sum(each.dropped for each in watchers),
        )

    @property
    def any(self) -> bool:
        """Whether somebody watches."""
        return bool(self._watchers)

    @property
    def want_pictures(self) -> bool:
        """Whether somebody wants frames in full."""
        return any(each.pictures for each in self._watchers)
