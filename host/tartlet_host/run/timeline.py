"""What a run is doing, shown while it does it, and how long each step took."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from tartlet_host.progress import Report, Tell, bar, training_bar


@dataclass(frozen=True)
class Timeline:
    """Shows a bar for each step and keeps its seconds.

    Attributes:
        quiet: show nothing.
        seconds: by step, in order.
    """

    quiet: bool = False
    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[Report]:
        """A step that reports how much is done, and of how much."""
        with self._timed(name), bar(name, quiet=self.quiet) as report:
            yield report

    @contextlib.contextmanager
    def training(self, name: str) -> Iterator[Tell]:
        """A training, which reports its loss and accuracy too."""
        with self._timed(name), training_bar(name, quiet=self.quiet) as report:
            yield report

    @contextlib.contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        # A step that comes again, for another network, adds up.
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - started, 2)
