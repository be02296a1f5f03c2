"""The laptop's side of the conversation with a device, over any stream of bytes."""

from __future__ import annotations

import itertools
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeVar

from tartlet_host.remote.ssh import STILL_SERVES
from tartlet_host.remote.stream import Stream
from tartlet_shared import __version__, errors, messages, wire
from tartlet_shared.fingerprint import fingerprint
from tartlet_shared.messages import (
    Accepted,
    Activated,
    AnyMessage,
    BenchmarkModel,
    BenchmarkResult,
    BenchmarkRound,
    BenchmarkWanted,
    Failure,
    Have,
    Hello,
    Photo,
    Prediction,
    Reply,
    RequestMessage,
    Status,
    Wanted,
)

_log = logging.getLogger(__name__)

ANSWER_TIMEOUT_S = 30.0
SLOW_ANSWER_TIMEOUT_S = 300.0
"""For what takes a Pi Zero minutes: hashing a bundle, testing it on its golden pictures."""

_RECV_LIMIT = 1 << 18
_ReplyT = TypeVar("_ReplyT", bound=Reply)


class Client:
    """Asks one device, one request at a time.

    Every method raises `ConnectionLost` when the stream ends or no answer comes in time,
    `ProtocolError` when what comes is not an answer, and on a `Failure` from the device the error
    that it names. After any of them but the last the client is of no more use.

    Args:
        stream: to the daemon.
        where: the device's name, for messages.
        timeout_s: for each answer.
    """

    def __init__(
        self, stream: Stream, *, where: str = "", timeout_s: float = ANSWER_TIMEOUT_S
    ) -> None:
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
        self._send(ours, doing)
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
            raise self._unexpected(theirs, "a greeting")
        messages.check_hello(theirs)
        if theirs.fingerprint != ours.fingerprint:
            _log.warning(
                "%s runs tartlet %s with other shared code than this laptop (%s): boxes may "
                "differ a little; run setup_pi.sh again to make both equal",
                self._where or "the device",
                theirs.software,
                ours.software,
            )
        return theirs

    def status(self) -> Status:
        """How the device is."""
        return self._ask(messages.StatusRequest(request_id=self._id()), Status, "asking for status")

    def capture(self, count: int = 1, quality: int = 95) -> Iterator[Photo]:
        """``count`` consecutive photos as JPEG, each as soon as it is here.

        The iterator must be used up before anything else is asked.
        """
        request = messages.CaptureRequest(request_id=self._id(), count=count, quality=quality)
        doing = "taking photos"
        self._send(request, doing)
        for remaining in reversed(range(count)):
            photo = self._reply(request, Photo, doing, self._timeout_s)
            if photo.remaining != remaining:
                raise self._unexpected(photo, f"the photo with {remaining} to follow")
            yield photo

    def predict(
        self,
        picture: bytes = b"",
        *,
        score_threshold: float | None = None,
        want_picture: bool = True,
        quality: int = 90,
    ) -> Prediction:
        """What the active model sees in the next camera frame, or in a picture sent along.

        Args:
            picture: an encoded JPEG or PNG; empty for the camera.
            score_threshold: in ``[0, 1]``; None for the model's own.
            want_picture: send the camera frame back.
            quality: of that frame's JPEG.
        """
        request = messages.PredictRequest(
            request_id=self._id(),
            picture=picture,
            score_threshold=score_threshold,
            want_picture=want_picture,
            quality=quality,
        )
        return self._ask(request, Prediction, "predicting")

    def have(self, digest: str) -> Have:
        """Whether the device has a bundle, complete and verified."""
        request = messages.HaveRequest(request_id=self._id(), digest=digest)
        return self._ask(request, Have, "asking for the bundle", SLOW_ANSWER_TIMEOUT_S)

    def offer(self, manifest: bytes) -> Wanted:
        """Show a bundle's manifest; returns the files that the device needs."""
        request = messages.OfferRequest(request_id=self._id(), manifest=manifest)
        return self._ask(request, Wanted, "offering the bundle", SLOW_ANSWER_TIMEOUT_S)

    def accept(self, digest: str) -> Accepted:
        """Have the uploaded files verified and stored; nothing serves from them yet."""
        request = messages.AcceptRequest(request_id=self._id(), digest=digest)
        return self._ask(request, Accepted, "storing the bundle", SLOW_ANSWER_TIMEOUT_S)

    def activate(self, digest: str) -> Activated:
        """Let a stored bundle serve, if it passes its self-test on the device."""
        request = messages.ActivateRequest(request_id=self._id(), digest=digest)
        return self._ask(request, Activated, "activating the bundle", SLOW_ANSWER_TIMEOUT_S)

    def rollback(self) -> Activated:
        """Return to the model that served before."""
        request = messages.RollbackRequest(request_id=self._id())
        return self._ask(request, Activated, "rolling back", SLOW_ANSWER_TIMEOUT_S)

    def offer_benchmark(self, models: tuple[BenchmarkModel, ...]) -> BenchmarkWanted:
        """Show models that are to be timed; returns the files that the device needs."""
        request = messages.BenchmarkOfferRequest(request_id=self._id(), models=models)
        return self._ask(request, BenchmarkWanted, "offering models", SLOW_ANSWER_TIMEOUT_S)

    def benchmark(
        self,
        models: tuple[BenchmarkModel, ...],
        *,
        runs: int,
        threads: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> BenchmarkResult:
        """Time models in turns on the device; the device keeps nothing of them.

        Args:
            models: files that the device has, see `offer_benchmark`.
            runs: inferences of each that count.
            threads: for inference; None for the device's own choice.
            progress: called with rounds done and in all.
        """
        request = messages.BenchmarkRequest(
            request_id=self._id(), models=models, runs=runs, threads=threads
        )
        doing = "timing models"
        self._send(request, doing)
        while True:
            reply = self._reply(request, Reply, doing, SLOW_ANSWER_TIMEOUT_S)
            if isinstance(reply, BenchmarkResult):
                return reply
            if not isinstance(reply, BenchmarkRound):
                raise self._unexpected(reply, f"BenchmarkResult {request.request_id}")
            if progress is not None:
                progress(reply.done, reply.total)

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()

    # -- inside

    def _id(self) -> int:
        return next(self._ids)

    def _ask(
        self,
        request: RequestMessage,
        expected: type[_ReplyT],
        doing: str,
        timeout_s: float | None = None,
    ) -> _ReplyT:
        self._send(request, doing)
        return self._reply(request, expected, doing, timeout_s or self._timeout_s)

    def _reply(
        self, request: RequestMessage, expected: type[_ReplyT], doing: str, timeout_s: float
    ) -> _ReplyT:
        reply = self._receive(doing, timeout_s)
        if isinstance(reply, Failure) and reply.request_id in (request.request_id, 0):
            # A failure with request 0 is about the connection itself.
            raise messages.to_error(reply)
        if not isinstance(reply, expected) or reply.request_id != request.request_id:
            raise self._unexpected(reply, f"{expected.__name__} {request.request_id}")
        return reply

    def _send(self, message: AnyMessage, doing: str) -> None:
        frame = wire.encode(message)
        try:
            self._stream.send(frame)
        except (OSError, EOFError) as error:
            raise self._lost(f"the connection ended while {doing}") from error

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

    def _unexpected(self, got: AnyMessage | Reply, wanted: str) -> errors.MessageMalformed:
        number = getattr(got, "request_id", "")
        return errors.MessageMalformed(
            f"expected {wanted}, got {type(got).__name__} {number}".rstrip(),
            where=self._where,
            hint="laptop and Pi may run different versions of tartlet",
        )
