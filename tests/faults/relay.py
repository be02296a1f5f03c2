"""A bad line: a TCP relay on loopback that delays, narrows, cuts, half-closes and corrupts.

In a process of its own, for figures: ``python -m tests.faults.relay PORT --rtt-ms 20`` prints the
port on which it listens and goes on until its standard input ends.
"""

from __future__ import annotations

import argparse
import contextlib
import queue
import socket
import sys
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

_PIECE = 256 << 10
_IN_FLIGHT = 256  # pieces that are under way; a reader waits beyond


@dataclass(frozen=True)
class Line:
    """What the line is like; bytes are counted for each connection, one direction.

    Attributes:
        rtt_s: time of a round trip, half of it each way. What is under way does not wait for what
            is before it.
        bytes_per_s: at most so many, each way; None for no limit.
        cut_after: bytes after which the connection is cut, both ways at once.
        half_close_after: bytes after which this direction ends in good order.
        corrupt_at: the byte whose lowest bit is turned.
        answers: whether these three mean the bytes to the laptop, else those from it.
        connections: so many suffer, the first ones; None for all.
    """

    rtt_s: float = 0.0
    bytes_per_s: float | None = None
    cut_after: int | None = None
    half_close_after: int | None = None
    corrupt_at: int | None = None
    answers: bool = False
    connections: int | None = None


class Relay:
    """Passes connections on to ``port`` on loopback; a context.

    Attributes:
        port: where it listens.
        passed: bytes from the laptop that were passed on, of all connections.
        connections: how many there were.
        cuts: how many of them suffered.
    """

    def __init__(self, port: int, line: Line | None = None) -> None:
        self.line = line or Line()
        self.passed = self.connections = self.cuts = 0
        self._behind = port
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._ended = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended = True
        # A blocked accept is woken by a last connection, not by closing its socket.
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port)).close()
        self._threads[0].join()
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join()
        for end in self._open:
            end.close()

    def cut(self) -> None:
        """End every connection at once, both ways."""
        for end in list(self._open):
            _shut(end, socket.SHUT_RDWR)

    def _start(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            laptop, _ = self._listener.accept()
            if self._ended:
                laptop.close()
                return
            try:
                device = socket.create_connection(("127.0.0.1", self._behind))
            except OSError:
                laptop.close()
                continue
            for end in (laptop, device):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open += [laptop, device]
            self.connections += 1
            limit = self.line.connections
            suffers = limit is None or self.connections <= limit
            for source, sink, answers in ((laptop, device, False), (device, laptop, True)):
                fault = self.line if suffers and answers == self.line.answers else Line()
                self._start(self._pass, source, sink, fault, answers)

    def _pass(self, source: socket.socket, sink: socket.socket, fault: Line, answers: bool) -> None:
        way = _Way(sink, self.line) if self.line.rtt_s or self.line.bytes_per_s else sink
        passed, how = 0, socket.SHUT_WR
        end = fault.cut_after if fault.cut_after is not None else fault.half_close_after
        with contextlib.suppress(OSError):
            while data := source.recv(_PIECE):
                if fault.corrupt_at is not None and 0 <= fault.corrupt_at - passed < len(data):
                    turned = bytearray(data)
                    turned[fault.corrupt_at - passed] ^= 1
                    data = bytes(turned)
                    self.cuts += 1
                if end is not None and passed + len(data) > end:
                    data = data[: end - passed]
                    self.cuts += 1
                    if fault.cut_after is not None:
                        how = socket.SHUT_RDWR
                passed += len(data)
                self.passed += 0 if answers else len(data)
                if data:
                    way.sendall(data)
                if passed == end:
                    break
        if isinstance(way, _Way):
            way.end()
        _shut(sink, how)
        _shut(source, socket.SHUT_RDWR if how == socket.SHUT_RDWR else socket.SHUT_RD)


class _Way:
    """One direction with delay and limited rate; what is sent is under way at once."""

    def __init__(self, sink: socket.socket, line: Line) -> None:
        self._sink, self._line = sink, line
        self._pieces: queue.Queue[tuple[float, bytes]] = queue.Queue(_IN_FLIGHT)
        self._free_s = 0.0
        self._thread = threading.Thread(target=self._deliver)
        self._thread.start()

    def sendall(self, data: bytes) -> None:
        now = time.monotonic()
        rate = self._line.bytes_per_s
        # A narrow line takes piece after piece, in small ones so that the first is not late.
        step = len(data) if rate is None else max(1, min(len(data), int(rate / 50)))
        for start in range(0, len(data), step):
            piece = data[start : start + step]
            self._free_s = max(self._free_s, now) + (len(piece) / rate if rate else 0.0)
            self._pieces.put((self._free_s + self._line.rtt_s / 2, piece))

    def end(self) -> None:
        """Returns once everything has arrived."""
        self._pieces.put((0.0, b""))
        self._thread.join()

    def _deliver(self) -> None:
        broken = False
        while True:
            due_s, piece = self._pieces.get()
            if not piece:
                return
            if broken:
                continue
            wait_s = due_s - time.monotonic()
            if wait_s > 0:
                time.sleep(wait_s)
            try:
                self._sink.sendall(piece)
            except OSError:
                broken = True  # go on, so that nobody waits for room


def _shut(end: socket.socket, how: int) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(how)


def main() -> None:
    """As a process of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--rtt-ms", type=float, default=0.0)
    parser.add_argument("--rate", type=float, help="bytes per second")
    options = parser.parse_args()
    line = Line(rtt_s=options.rtt_ms / 1e3, bytes_per_s=options.rate)
    with Relay(options.port, line) as relay:
        print(relay.port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
