"""The first half of an output that must not lose events: from the mailbox to the queue on disk."""

from __future__ import annotations

from collections.abc import Callable

from tartlet_device.outputs import payloads
from tartlet_device.outputs.publisher import Item
from tartlet_device.outputs.queue_on_disk import QueueOnDisk
from tartlet_shared.observation import Observation


class Keeper:
    """A sink that appends events to a queue on disk."""

    def __init__(self, queue: QueueOnDisk, device: str, kept: Callable[[], None]) -> None:
        """
        Args:
            queue: where to.
            device: name that others know it by.
            kept: called after each event, to wake who sends.
        """
        self._queue, self._device, self._kept = queue, device, kept

    def write(self, item: Item) -> None:
        """Append an event; observations are not kept."""
        if not isinstance(item, Observation):
            self._queue.append(payloads.delivery_key(item), payloads.encode(item, self._device))
            self._kept()

    def tick(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do: who sends may still read."""
