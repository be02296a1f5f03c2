"""A conversation with a device over any stream of bytes: greeting, questions, their answers.

Does no I/O itself, so the laptop holds it over SSH and a program on the device over a Unix socket.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections import deque
from typing import Protocol, TypeVar

from tartlet_shared import __version__, errors, messages, wire
from tartlet_shared.fingerprint import fingerprint
from tartlet_shared.messages import AnyMessage, Failure, Hello, Reply, RequestMessage

_log = logging.getLogger(__name__)

ANSWER_TIMEOUT_S = 30.0
SLOW_ANSWER_TIMEOUT_S = 300.0
"""For what takes a Pi Zero minutes: hashing a bundle, testing it on its golden pictures."""
STILL_SERVES = "the device still serves the model it served before; try again"

_RECV_LIMIT = 1 << 18
_ReplyT = TypeVar("_ReplyT", bound=Reply)


class Stream(Protocol):
    """Bytes to and from the daemon."""

    def send(self, data: bytes) -> None:
        """Send all of ``data``.

        Raises:
            OSError: the connection is gone.
        """

    def recv(self, limit: int, timeout_s: float) -> bytes:
        """Between 1 and ``limit`` bytes; none once the other side closed.

        Raises:
            TimeoutError: nothing arrived in time.
            OSError: the connection is gone.
            TartletError: the other side said why it closed.
        """

    def close(self) -> None:
        """Close the stream; a second time does nothing."""


class Conversation:
    """Asks one device, one request at a time.

    Every method raises `ConnectionLost` when the stream ends or no answer comes in time,
    `ProtocolError` when what comes is not an answer, and on a `Failure` from the device the error
    that it names. After any of them but the last the conversation is of no more use.
    """

    def __init__(
        self, stream: Stream, *, where: str = "", timeout_s: float = ANSWER_TIMEOUT_S
    ) -> None:
        """
        Args:
            stream: to the daemon.
            where: the device's name, for messages.
            timeout_s: for each answer.
        """
        self._stream = stream
        self._where = where
        self._timeout_s = timeout_s
        self._decoder = wire.Decoder()
        self._arrived: deque[AnyMessage] = deque()
        self._ids = itertools.count(1)

    def hello(self) -> Hello:
        """Greet; returns the device's greeting. To be called first.

        Raises:
            VersionMismatch: the device speaks another version of the protocol.
        """
        doing = "greeting the daemon"
        ours = Hello(
            protocol=messages.PROTOCOL_VERSION, fingerprint=fingerprint(), software=__version__
        )
        self.send(ours, doing)
        theirs = self._receive(doing, self._timeout_s)
        if isinstance(theirs, Failure):
            # "This side" in it is the device.
            raise errors.from_code(
                theirs.code,
                theirs.what,
                where=f"{self._where} says".lstrip(),
                hint=theirs.hint,
            )
        if not isinstance(theirs, Hello):
            raise self.unexpected(theirs, "a greeting")
        messages.check_hello(theirs)
        if theirs.fingerprint != ours.fingerprint:
            _log.warning(
                "%s runs tartlet %s with other shared code than this side (%s): boxes may "
                "differ a little; run setup_pi.sh again to make both equal",
                self._where or "the device",
                theirs.software,
                ours.software,
            )
        return theirs

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()

    # -- for those who ask

    def next_id(self) -> int:
        """For a request."""
        return next(self._ids)

    def ask(
        self,
        request: RequestMessage,
        expected: type[_ReplyT],
        doing: str,
        timeout_s: float | None = None,
    ) -> _ReplyT:
        """Send a request and return its one reply.

        Args:
            expected: the reply's type.
            doing: what this is, for messages.
            timeout_s: for the answer; None for the usual time.
        """
        self.send(request, doing)
        return self.reply(request, expected, doing, timeout_s)

    def reply(
        self,
        request: RequestMessage,
        expected: type[_ReplyT],
        doing: str,
        timeout_s: float | None = None,
    ) -> _ReplyT:
        """The next reply to a request that was sent; see `ask`."""
        reply = self._receive(doing, timeout_s or self._timeout_s)
        if isinstance(reply, Failure) and reply.request_id in (request.request_id, 0):
            # A failure with request 0 is about the connection itself.
            raise messages.to_error(reply)
        if not isinstance(reply, expected) or reply.request_id != request.request_id:
            raise self.unexpected(reply, f"{expected.__name__} {request.request_id}")
        return reply

    def send(self, message: AnyMessage, doing: str) -> None:
        """Send a message; see `ask`."""
        frame = wire.encode(message)
        try:
            self._stream.send(frame)
        except (OSError, EOFError) as error:
            raise self._lost(f"the connection ended while {doing}") from error

    def unexpected(self, got: AnyMessage | Reply, wanted: str) -> errors.MessageMalformed:
        """The error for a message that is not what was asked for."""
        number = getattr(got, "request_id", "")
        return errors.MessageMalformed(
            f"expected {wanted}, got {type(got).__name__} {number}".rstrip(),
            where=self._where,
            hint="laptop and Pi may run different versions of tartlet",
        )

    def _receive(self, doing: str, timeout_s: float) -> AnyMessage:
        deadline = time.monotonic() + timeout_s
        while not self._arrived:
            left = deadline - time.monotonic()
            try:
                received = self._stream.recv(_RECV_LIMIT, max(left, 0.001))
            except TimeoutError as error:
                raise self._lost(f"no answer within {timeout_s:g} s while {doing}") from error
            except (OSError, EOFError) as error:
                raise self._lost(f"the connection ended while {doing}") from error
            if not received:
                raise self._lost(f"the connection ended while {doing}")
            self._arrived += self._decoder.feed(received)
        return self._arrived.popleft()

    def _lost(self, what: str) -> errors.ConnectionLost:
        return errors.ConnectionLost(what, where=self._where, hint=STILL_SERVES)
