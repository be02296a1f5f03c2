"""The last seconds of encoded video, so that a clip can begin before its event."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from tartlet_device.events.packet import VideoPacket


class PacketRing:
    """Packets from a key frame on; bounded in time and in bytes.

    It holds whole groups of pictures, since what lies before the first key frame cannot be decoded.
    """

    def __init__(self, *, seconds: float, most_bytes: int) -> None:
        """
        Args:
            seconds: so much can be asked for.
            most_bytes: never hold more, even if that is less than ``seconds``.
        """
        self._span_ns = round(seconds * 1e9)
        self._most_bytes = most_bytes
        self._groups: deque[list[VideoPacket]] = deque()
        self._bytes = 0

    @property
    def nbytes(self) -> int:
        """How much it holds."""
        return self._bytes

    @property
    def start_ns(self) -> int | None:
        """When its oldest packet was taken; None while it is empty."""
        return self._groups[0][0].monotonic_ns if self._groups else None

    def put(self, packet: VideoPacket) -> None:
        """Add the newest packet, and forget the oldest group if another one reaches back enough."""
        if packet.key:
            self._groups.append([])
        elif not self._groups:
            return  # nothing to decode it from
        self._groups[-1].append(packet)
        self._bytes += len(packet.content)
        wanted_ns = packet.monotonic_ns - self._span_ns
        while len(self._groups) > 1 and self._groups[1][0].monotonic_ns <= wanted_ns:
            self._forget()
        while self._bytes > self._most_bytes:
            self._forget()

    def clear(self) -> None:
        """Forget all: what follows does not go on from it."""
        self._groups.clear()
        self._bytes = 0

    def since(self, monotonic_ns: int) -> list[VideoPacket]:
        """All packets from the last key frame at or before that time on.

        From the first there is, if all are later; empty if there is none.
        """
        groups = list(self._groups)
        while len(groups) > 1 and groups[1][0].monotonic_ns <= monotonic_ns:
            groups.pop(0)
        return list(_chained(groups))

    def _forget(self) -> None:
        # Without its key frame the rest of a group is of no use.
        self._bytes -= sum(len(each.content) for each in self._groups.popleft())


def _chained(groups: Iterable[list[VideoPacket]]) -> Iterable[VideoPacket]:
    for group in groups:
        yield from group
