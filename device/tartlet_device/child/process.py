"""A child process at the other end of a socket: orders to it, answers from it, each in time.

What drives hardware or loads foreign files may hang or crash. In a child process it takes nothing
along: it is killed and started again. Orders and answers are packets of MessagePack, never pickles;
an answer carries the number of its order, so that one that comes late, or unasked, is noticed.
Pixels and tensors go through memory of their own, whose descriptors travel with the answers.
"""

from __future__ import annotations

import array
import contextlib
import logging
import os
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tartlet_device.child import environment

_log = logging.getLogger(__name__)

NUMBER = struct.Struct("<Q")
"""Before every order, and before its answer."""
LONGEST = 1 << 14
"""Bytes of a packet."""
_ROOM = socket.CMSG_LEN(4 * array.array("i").itemsize)
_TIMEVAL = struct.Struct("@ll")
_DEATH_S = 2.0
"""SIGKILL takes that long at most, unless a driver holds the process in the kernel."""


class ChildFault(Exception):
    """The child does not do what it is there for; it is of no use any more."""


class ChildSilent(ChildFault):
    """It did not answer in time."""


class ChildEnded(ChildFault):
    """It ended, or hung up.

    Attributes:
        code: how it ended, negative for a signal; None if it lives on.
    """

    def __init__(self, code: int | None) -> None:
        self.code = code
        super().__init__(_ending(code))


class ChildGarbled(ChildFault):
    """It said something that makes no sense."""


@dataclass(frozen=True)
class Packet:
    """An order, or an answer.

    Attributes:
        content: MessagePack.
        descriptors: files that come along; whoever gets this closes them.
        number: of the order.
    """

    content: bytes
    descriptors: tuple[int, ...] = ()
    number: int = 0

    def close(self) -> None:
        """Close the files that came along."""
        for descriptor in self.descriptors:
            os.close(descriptor)


def send(to: socket.socket, packet: Packet) -> None:
    """Send a packet.

    Raises:
        OSError: nobody listens any more, or not in time.
    """
    content = NUMBER.pack(packet.number) + packet.content
    if packet.descriptors:
        socket.send_fds(to, [content], packet.descriptors)
    else:
        to.send(content)


def receive(source: socket.socket) -> Packet | None:
    """The next packet; None when the other end has hung up.

    Raises:
        ChildGarbled: it is too long or too short.
        OSError: nothing came in time.
    """
    content, extra, flags, _ = source.recvmsg(LONGEST, _ROOM, socket.MSG_CMSG_CLOEXEC)
    descriptors = [each for _, _, data in extra for each in array.array("i", data)]
    packet = Packet(content[NUMBER.size :], tuple(descriptors), _number(content))
    if not content:
        packet.close()
        return None
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC) or len(content) < NUMBER.size:
        packet.close()
        raise ChildGarbled("a packet that is too long, or too short")
    return packet


def command(module: str) -> tuple[str, ...]:
    """The child that runs a module of this package."""
    # -P: a module beside the working directory must not shadow an installed one.
    return (sys.executable, "-P", "-m", module)


class ChildProcess:
    """One child process. One thread may give orders while another waits for answers; `kill` is for
    any.

    The child ends with the *thread* that started it, whatever happens to the daemon: Linux ties a
    child to that. So whoever starts one must live as long as the child is needed.
    """

    def __init__(self, words: Sequence[str]) -> None:
        """Start it.

        Args:
            words: the program; the number of its socket and that of this process are added.

        Raises:
            OSError: it cannot be started.
        """
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._number = 0
        self._limits: dict[int, float] = {}
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [*words, str(theirs.fileno()), str(os.getpid())],
                    stdin=subprocess.DEVNULL,
                    stdout=2,  # libraries print; that belongs to the log
                    pass_fds=[theirs.fileno()],
                    env=environment(),
                )
        except BaseException:
            self._ours.close()
            raise

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def ask(self, order: bytes, timeout_s: float) -> Packet:
        """Give an order and wait for its answer.

        Args:
            order: MessagePack.
            timeout_s: for both.

        Raises:
            ChildFault: there is no answer in time, the child ended, or it makes no sense.
        """
        return self.answer(self.order(order, timeout_s), timeout_s)

    def order(self, order: bytes, timeout_s: float) -> int:
        """Give an order; returns its number. Orders are answered one after the other.

        Raises:
            ChildFault: it is not taken in time, or the child ended.
        """
        self._number += 1
        try:
            self._limit(socket.SO_SNDTIMEO, timeout_s)
            send(self._ours, Packet(order, number=self._number))
        except BlockingIOError as error:
            raise ChildSilent(f"no order taken within {timeout_s:.1f} s") from error
        except OSError as error:
            raise self._ended() from error
        return self._number

    def answer(self, number: int, timeout_s: float) -> Packet:
        """Wait for the next answer, which must be to that order.

        Raises:
            ChildFault: there is none in time, the child ended, or it makes no sense.
        """
        try:
            self._limit(socket.SO_RCVTIMEO, timeout_s)
            answer = receive(self._ours)
        except BlockingIOError as error:
            raise ChildSilent(f"no answer within {timeout_s:.1f} s") from error
        except OSError as error:
            raise self._ended() from error
        if answer is None:
            raise self._ended()
        if answer.number != number:
            answer.close()
            raise ChildGarbled("an answer that nobody asked for")
        return answer

    def hung_up(self, timeout_s: float) -> bool:
        """Wait until the child ends or hangs up; False if it does neither in time."""
        poll = select.poll()
        poll.register(self._ours, 0)  # the kernel always tells of a hang-up
        return bool(poll.poll(timeout_s * 1e3))

    def kill(self) -> None:
        """End it at once, and wake whoever waits for its answer; `bury` must follow."""
        with contextlib.suppress(OSError):
            self._ours.shutdown(socket.SHUT_RDWR)
        self._process.kill()

    def bury(self) -> int | None:
        """End it and close everything, when no other thread uses it any more.

        Returns:
            How it ended; None if the kernel does not let go of it yet.
        """
        self.kill()
        code = self._wait(_DEATH_S)
        self._ours.close()
        if code is None:
            _log.error("process %d does not end: a driver holds it in the kernel", self.pid)
        return code

    def _limit(self, option: int, seconds: float) -> None:
        """Let the kernel end a wait. A time-out of Python's would let go of the interpreter twice
        as often, which other threads then hold for milliseconds."""
        if self._limits.get(option) == seconds:
            return
        whole, part = divmod(max(1e-3, seconds), 1.0)
        limit = _TIMEVAL.pack(int(whole), int(part * 1e6))
        self._ours.setsockopt(socket.SOL_SOCKET, option, limit)
        self._limits[option] = seconds

    def _ended(self) -> ChildEnded:
        return ChildEnded(self._wait(0.2))

    def _wait(self, seconds: float) -> int | None:
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None


def _ending(code: int | None) -> str:
    if code is None:
        return "it hung up"
    if code >= 0:
        return f"it ended with code {code}"
    try:
        return f"it was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"it was ended by signal {-code}"


def _number(content: bytes) -> int:
    return int(NUMBER.unpack_from(content)[0]) if len(content) >= NUMBER.size else 0
