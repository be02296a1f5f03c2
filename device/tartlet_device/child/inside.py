"""What a child process does at its own end of the socket."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tartlet_device.child.process import Packet, receive, send

_PR_SET_PDEATHSIG = 1
_FIRST_TO_GO = "500"
"""When memory runs out, the kernel ends the child rather than the daemon, which starts another."""

_SHARE = 0.8
"""Of the memory that is free, so much a limited child may take."""

Answering = Callable[[bytes], Packet]
"""From an order to its answer, whose files are closed when it is sent."""


def connected(arguments: Sequence[str]) -> socket.socket:
    """Become a child of the daemon: end with it, leave its signals to it. Returns the socket.

    Args:
        arguments: the number of the socket, and the daemon's process.
    """
    descriptor, parent = (int(word) for word in arguments[-2:])
    # systemd and Ctrl-C signal every process; the daemon ends its children itself, in order.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before this
        sys.exit(0)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO)
    os.set_inheritable(descriptor, False)
    return socket.socket(fileno=descriptor)


def limit_memory(share: float = _SHARE, process: Path = Path("/proc")) -> None:
    """Take at most this share of the memory that is free now, beside what this process has.

    What it allocates counts, not what it maps or reserves (`RLIMIT_DATA`): threads and arenas
    reserve a multiple of what they use, and pages of a file can be dropped. Where the kernel does
    not tell what is free, there is no limit.
    """
    try:
        free = _kilobytes(process / "meminfo", "MemAvailable")
        held = _kilobytes(process / "self/status", "VmData")
    except (OSError, LookupError, ValueError):
        return
    limit = held + int(share * free)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _kilobytes(path: Path, key: str) -> int:
    """A figure of such a file, in bytes."""
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0]) * 1024
    raise LookupError(key)


def answer_orders(connection: socket.socket, answering: Answering) -> None:
    """Answer order after order until the daemon hangs up."""
    with connection:
        while (order := receive(connection)) is not None:
            order.close()  # nobody sends files to a child
            answer = answering(order.content)
            with contextlib.closing(answer):
                try:
                    send(connection, Packet(answer.content, answer.descriptors, order.number))
                except (BrokenPipeError, ConnectionResetError):
                    return
