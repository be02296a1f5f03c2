"""Everything that a device can be asked, over any stream of bytes to its daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from tartlet_shared import benchmark_messages, messages, picture_messages, push_messages
from tartlet_shared.benchmark_messages import (
    BenchmarkModel,
    BenchmarkResult,
    BenchmarkRound,
    BenchmarkWanted,
)
from tartlet_shared.confirmation_messages import CONFIRM_S
from tartlet_shared.conversation import SLOW_ANSWER_TIMEOUT_S, Conversation
from tartlet_shared.event_messages import (
    EventFilePart,
    EventFileRequest,
    EventFolder,
    Events,
    EventsRequest,
    ListedEvent,
)
from tartlet_shared.event_record import EventQuery
from tartlet_shared.messages import Reply, RequestMessage, Status
from tartlet_shared.picture_messages import Photo, Prediction
from tartlet_shared.push_messages import Accepted, Activated, Have, Trusted, Wanted
from tartlet_shared.record_messages import LONGEST_S, Recorded, RecordRequest
from tartlet_shared.signature import TrustedKeys
from tartlet_shared.watch_messages import Watched, WatchRequest

_Stream = TypeVar("_Stream", Watched, Recorded)


class Client(Conversation):
    """Asks one device; see `Conversation` for what every method raises."""

    def status(self) -> Status:
        """How the device is."""
        return self.ask(
            messages.StatusRequest(request_id=self.next_id()), Status, "asking for status"
        )

    def capture(
        self, count: int = 1, quality: int = 95, *, detect: bool = False
    ) -> Iterator[Photo]:
        """``count`` consecutive photos as JPEG, each as soon as it is here.

        The iterator must be used up before anything else is asked.

        Args:
            count: how many.
            quality: of the JPEGs.
            detect: find objects in them too, if a model serves.
        """
        request = picture_messages.CaptureRequest(
            request_id=self.next_id(), count=count, quality=quality, detect=detect
        )
        doing = "taking photos"
        self.send(request, doing)
        for remaining in reversed(range(count)):
            photo = self.reply(request, Photo, doing)
            if photo.remaining != remaining:
                raise self.unexpected(photo, f"the photo with {remaining} to follow")
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
        request = picture_messages.PredictRequest(
            request_id=self.next_id(),
            picture=picture,
            score_threshold=score_threshold,
            want_picture=want_picture,
            quality=quality,
        )
        return self.ask(request, Prediction, "predicting")

    def watch(
        self,
        *,
        seconds: float | None = None,
        rate: float | None = None,
        want_picture: bool = False,
        quality: int = 80,
    ) -> Iterator[Watched]:
        """What the device sees, frame after frame, as it happens.

        The iterator must be used up before anything else is asked, or the client closed.

        Args:
            seconds: for so long; None without end.
            rate: at most so many frames a second.
            want_picture: send each frame along.
            quality: of its JPEG.
        """
        request = WatchRequest(
            request_id=self.next_id(),
            seconds=seconds,
            rate=rate,
            want_picture=want_picture,
            quality=quality,
        )
        yield from self._until_last(request, Watched, "watching")

    def record(
        self,
        *,
        seconds: float = LONGEST_S,
        rate: float = 30.0,
        bitrate_kbps: int = 4000,
        full: bool = False,
        detect: bool = True,
    ) -> Iterator[Recorded]:
        """Video of what the camera sees, and what the model sees in it, as it happens.

        The iterator must be used up before anything else is asked, or the client closed.

        Args:
            seconds: for so long.
            rate: frames per second at most, 0.5-60.
            bitrate_kbps: kilobits that a second may take.
            full: as large as the camera's pictures are.
            detect: look at frames too, if a model serves.
        """
        request = RecordRequest(
            request_id=self.next_id(),
            seconds=seconds,
            rate=rate,
            bitrate_kbps=bitrate_kbps,
            full=full,
            detect=detect,
        )
        yield from self._until_last(request, Recorded, "recording")

    def _until_last(
        self, request: RequestMessage, kind: type[_Stream], doing: str
    ) -> Iterator[_Stream]:
        self.send(request, doing)
        while True:
            reply = self.reply(request, kind, doing)
            yield reply
            if reply.last:
                return

    def events(self, query: EventQuery) -> tuple[ListedEvent, ...]:
        """Events that the device keeps."""
        request = EventsRequest(request_id=self.next_id(), query=query)
        return self.ask(request, Events, "asking for events").events

    def event_file(
        self, folder: EventFolder, name: str, *, offset: int = 0
    ) -> Iterator[EventFilePart]:
        """A file of an event, part by part, from ``offset`` on; the last has its SHA-256.

        The iterator must be used up before anything else is asked, or the client closed.
        """
        request = EventFileRequest(
            request_id=self.next_id(), folder=folder, name=name, offset=offset
        )
        doing = f"fetching {name}"
        self.send(request, doing)
        while True:
            part = self.reply(request, EventFilePart, doing)
            yield part
            if part.sha256 is not None:
                return

    def have(self, digest: str) -> Have:
        """Whether the device has a bundle, complete and verified."""
        request = push_messages.HaveRequest(request_id=self.next_id(), digest=digest)
        return self.ask(request, Have, "asking for the bundle", SLOW_ANSWER_TIMEOUT_S)

    def offer(self, manifest: bytes, signature: bytes = b"", *, allow_older: bool = True) -> Wanted:
        """Show a bundle's manifest; returns the files that the device needs.

        Args:
            manifest: its bytes.
            signature: the record beside it; empty for none.
            allow_older: do not refuse it for being older than the bundle that serves.
        """
        request = push_messages.OfferRequest(
            request_id=self.next_id(),
            manifest=manifest,
            signature=signature,
            allow_older=allow_older,
        )
        return self.ask(request, Wanted, "offering the bundle", SLOW_ANSWER_TIMEOUT_S)

    def accept(self, digest: str) -> Accepted:
        """Have the uploaded files verified and stored; nothing serves from them yet."""
        request = push_messages.AcceptRequest(request_id=self.next_id(), digest=digest)
        return self.ask(request, Accepted, "storing the bundle", SLOW_ANSWER_TIMEOUT_S)

    def activate(
        self,
        digest: str,
        *,
        confirm_s: float = CONFIRM_S,
        latency_ms: float | None = None,
        allow_older: bool = False,
    ) -> Activated:
        """Let a stored bundle serve, if it passes its self-test on the device.

        Args:
            digest: of the bundle.
            confirm_s: it must be healthy for so long, or the device goes back; 0 confirms it now.
            latency_ms: an inference may take so long meanwhile, in the median.
            allow_older: than the one that was confirmed last.
        """
        request = push_messages.ActivateRequest(
            request_id=self.next_id(),
            digest=digest,
            confirm_s=confirm_s,
            latency_ms=latency_ms,
            allow_older=allow_older,
        )
        return self.ask(request, Activated, "activating the bundle", SLOW_ANSWER_TIMEOUT_S)

    def rollback(self) -> Activated:
        """Return to the model that served before."""
        request = push_messages.RollbackRequest(request_id=self.next_id())
        return self.ask(request, Activated, "rolling back", SLOW_ANSWER_TIMEOUT_S)

    def trusted(self) -> TrustedKeys:
        """The keys of which one must have signed a bundle; none where any is taken."""
        request = push_messages.TrustedRequest(request_id=self.next_id())
        return self.ask(request, Trusted, "asking for the trusted keys").keys

    def trust(self, statement: bytes, signature: bytes) -> TrustedKeys:
        """Let another list of keys hold; both as in `tartlet_shared.push_messages.TrustRequest`."""
        request = push_messages.TrustRequest(
            request_id=self.next_id(), statement=statement, signature=signature
        )
        return self.ask(request, Trusted, "changing the trusted keys").keys

    def offer_benchmark(self, models: tuple[BenchmarkModel, ...]) -> BenchmarkWanted:
        """Show models that are to be timed; returns the files that the device needs."""
        request = benchmark_messages.BenchmarkOfferRequest(request_id=self.next_id(), models=models)
        return self.ask(request, BenchmarkWanted, "offering models", SLOW_ANSWER_TIMEOUT_S)

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
        request = benchmark_messages.BenchmarkRequest(
            request_id=self.next_id(), models=models, runs=runs, threads=threads
        )
        doing = "timing models"
        self.send(request, doing)
        while True:
            reply = self.reply(request, Reply, doing, SLOW_ANSWER_TIMEOUT_S)
            if isinstance(reply, BenchmarkResult):
                return reply
            if not isinstance(reply, BenchmarkRound):
                raise self.unexpected(reply, f"BenchmarkResult {request.request_id}")
            if progress is not None:
                progress(reply.done, reply.total)
