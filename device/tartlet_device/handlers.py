"""What the daemon answers: a table from the type of a request to the function that serves it."""

from __future__ import annotations

import logging
import math
import platform
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

from tartlet_device import __version__, benchmark, machine, runtime
from tartlet_device.answers import events, photos, recording
from tartlet_device.camera.owner import CameraOwner
from tartlet_device.config import DeviceConfig
from tartlet_device.confirmation import Confirmation
from tartlet_device.continuous.service import Continuous
from tartlet_device.events.audience import EventKeeper
from tartlet_device.image import Image
from tartlet_device.live_config import LiveConfig
from tartlet_device.model import ServingModel
from tartlet_device.outputs.audience import Teller
from tartlet_device.pictures import decode_picture, encode_jpeg
from tartlet_device.serving import Probation, Serving
from tartlet_device.store import Store
from tartlet_device.tracking.drawn import DrawnZones
from tartlet_device.tracking.settings import TrackingSettings
from tartlet_device.vitals import Vitals
from tartlet_shared import errors, messages
from tartlet_shared.benchmark_messages import (
    BenchmarkModel,
    BenchmarkOfferRequest,
    BenchmarkRequest,
    BenchmarkResult,
    BenchmarkRound,
    BenchmarkTiming,
    BenchmarkWanted,
)
from tartlet_shared.event_messages import EventFileRequest, EventsRequest
from tartlet_shared.messages import (
    Accepted,
    AcceptRequest,
    Activated,
    ActivateRequest,
    CaptureRequest,
    Failure,
    Have,
    HaveRequest,
    OfferRequest,
    Prediction,
    PredictRequest,
    ReplyMessage,
    RequestMessage,
    RollbackRequest,
    SelfTest,
    Status,
    StatusRequest,
    Timings,
    Trusted,
    TrustedRequest,
    TrustRequest,
    Wanted,
)
from tartlet_shared.observation import EventBegan, EventEnded
from tartlet_shared.record_messages import RecordRequest
from tartlet_shared.watch_messages import Watched, WatchRequest

_log = logging.getLogger(__name__)

_SILENCE_S = 2.0
"""A watcher hears something at least so often."""
MOST_RECORDINGS = 2


@dataclass(frozen=True)
class Device:
    """Everything that requests are served from.

    Attributes:
        live: the configuration, which may change.
        vitals: how all of it is.
        drawn: zones, lines and rules made on the live page.
        encoder: makes JPEGs.
        timing: held while models are timed.
        filming: held by each recording; an encoder takes most of a small board.
        applying: held while the configuration is put into effect.
    """

    live: LiveConfig
    store: Store
    camera: CameraOwner
    model: ServingModel
    confirmation: Confirmation
    continuous: Continuous
    keeper: EventKeeper
    teller: Teller
    vitals: Vitals
    drawn: DrawnZones
    encoder: Executor
    timing: threading.Lock = field(default_factory=threading.Lock)
    filming: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(MOST_RECORDINGS)
    )
    applying: threading.Lock = field(default_factory=threading.Lock)

    @property
    def config(self) -> DeviceConfig:
        """The configuration that holds now."""
        return self.live.now

    @property
    def tracking(self) -> TrackingSettings:
        """What holds now, with the zones that were drawn."""
        return self.drawn.merged(self.config.tracking)


def answer(device: Device, request: RequestMessage) -> Generator[ReplyMessage, None, None]:
    """Serve a request; whatever goes wrong becomes a `Failure`, the last reply."""
    try:
        yield from _TABLE[type(request)](device, request)
    except errors.TartletError as error:
        _log.info("%s failed: %s", type(request).__name__, error)
        yield messages.failure(request.request_id, error)
    except Exception as error:  # noqa: BLE001  (one bad request must not end the daemon)
        _log.exception("%s failed in a way nobody expected", type(request).__name__)
        yield Failure(
            request_id=request.request_id,
            code=errors.TartletError.code,
            what=f"{type(error).__name__}: {error}",
            where="the daemon",
            hint="`journalctl -u tartlet` on the device has the details",
        )


def _status(device: Device, request: StatusRequest) -> Iterator[ReplyMessage]:
    health = device.vitals.now()
    yield Status(
        request_id=request.request_id,
        software=__version__,
        machine=machine.description(),
        python=platform.python_version(),
        model=device.model.active(),
        previous=device.model.serving().previous,
        camera=str(device.config.camera.__struct_config__.tag),
        camera_error=health.camera_fault,
        runtimes=runtime.available(),
        uptime_s=health.uptime_s,
        resident_bytes=health.resident_bytes,
        free_bytes=health.free_bytes or 0,
        temperature_c=health.temperature_c,
        throttled=health.throttled,
        clock_synchronized=health.clock_synchronized,
        model_error=device.model.fault,
        config_error=device.live.fault or device.drawn.fault,
        detection=health.detection,
        health=health,
        web=str(device.config.web_socket_path or ""),
        standing=device.confirmation.standing(),
    )


def _capture(device: Device, request: CaptureRequest) -> Iterator[ReplyMessage]:
    yield from photos.taken(
        request,
        device.camera,
        device.model,
        device.encoder,
        frame_timeout_s=device.config.frame_timeout_s,
    )


def _predict(device: Device, request: PredictRequest) -> Iterator[ReplyMessage]:
    start = time.perf_counter()
    if request.picture:
        image = Image.of(decode_picture(request.picture, where="the picture sent along"))
        info = None
    else:
        frame = device.camera.next_frame(device.config.frame_timeout_s, full=request.want_picture)
        image, info = frame.image, frame.info
    captured = time.perf_counter()
    # Encoded beside the inference, on another core; both release the interpreter's lock.
    wanted = request.want_picture and info is not None
    encoding = device.encoder.submit(_jpeg, image, request.quality) if wanted else None
    found, times, model = device.model.detect(image, score_threshold=request.score_threshold)
    detected = time.perf_counter()
    jpeg = encoding.result() if encoding is not None else b""
    done = time.perf_counter()
    width, height = image.size
    yield Prediction(
        request_id=request.request_id,
        detections=messages.pack(found),
        labels=model.labels,
        model=model.digest,
        width=width,
        height=height,
        timings=Timings(
            capture=(captured - start) * 1e3,
            preprocess=times.preprocess,
            inference=times.inference,
            postprocess=times.postprocess,
            encode=(done - detected) * 1e3,
            total=(done - start) * 1e3,
        ),
        jpeg=jpeg,
        frame=info,
        conditions=device.vitals.power.now(),
    )


def _jpeg(image: Image, quality: int) -> bytes:
    return encode_jpeg(image.rgb(), quality)


def _watch(device: Device, request: WatchRequest) -> Iterator[ReplyMessage]:
    end_s = math.inf if request.seconds is None else time.monotonic() + request.seconds
    due_s = 0.0
    skipped = 0
    told: list[EventBegan | EventEnded] = []
    with device.continuous.watched(pictures=request.want_picture) as watcher:
        while (left_s := end_s - time.monotonic()) > 0:
            seen = watcher.next(min(left_s, _SILENCE_S))
            skipped += watcher.missed()
            if seen is None:
                report = device.continuous.report()
                # Sent also where there is no fault, so that a peer that has gone is noticed.
                yield Watched(request_id=request.request_id, fault=report[1] if report else "")
                continue
            told += seen.events
            if time.monotonic() < due_s:
                skipped += 1
                continue
            due_s = time.monotonic() + (0 if request.rate is None else 1 / request.rate)
            image = seen.frame.image
            yield Watched(
                request_id=request.request_id,
                observation=seen.observation,
                events=tuple(told),
                jpeg=_jpeg(image, request.quality) if request.want_picture else b"",
                skipped=skipped,
            )
            skipped, told = 0, []
    yield Watched(request_id=request.request_id, events=tuple(told), skipped=skipped, last=True)


def _record(device: Device, request: RecordRequest) -> Iterator[ReplyMessage]:
    if not device.filming.acquire(blocking=False):
        raise errors.DeviceError(
            f"{MOST_RECORDINGS} recordings run on this device, which is the most at a time",
            hint="wait until one is over",
        )
    try:
        yield from recording.recorded(
            request,
            device.camera,
            device.continuous,
            device.config.events.video,
            frame_timeout_s=device.config.frame_timeout_s,
            detect=request.detect and device.model.active() is not None,
        )
    finally:
        device.filming.release()


def _events(device: Device, request: EventsRequest) -> Iterator[ReplyMessage]:
    yield from events.listed(request, device.keeper)


def _event_file(device: Device, request: EventFileRequest) -> Iterator[ReplyMessage]:
    yield from events.sent(request, device.keeper)


def _have(device: Device, request: HaveRequest) -> Iterator[ReplyMessage]:
    active = device.model.active()
    yield Have(
        request_id=request.request_id,
        stored=device.store.has(request.digest),
        active=active is not None and active.digest == request.digest,
        signed_by=device.store.signed_by(request.digest),
        trusted=tuple(key.id for key in device.store.trusted().keys),
    )


def _offer(device: Device, request: OfferRequest) -> Iterator[ReplyMessage]:
    digest, wanted = device.store.offer(
        request.manifest, request.signature, allow_older=request.allow_older
    )
    yield Wanted(
        request_id=request.request_id,
        digest=digest,
        files=wanted,
        folder=str(device.store.incoming),
        arrived=device.store.arrived(wanted),
    )


def _accept(device: Device, request: AcceptRequest) -> Iterator[ReplyMessage]:
    bundle = device.store.accept(request.digest)
    yield Accepted(request_id=request.request_id, digest=bundle.digest)


def _activate(device: Device, request: ActivateRequest) -> Iterator[ReplyMessage]:
    probation = (
        Probation(period_s=request.confirm_s, latency_ms=request.latency_ms)
        if request.confirm_s
        else None
    )
    yield _activated(
        request.request_id,
        *device.model.activate(request.digest, probation, allow_older=request.allow_older),
    )


def _trusted(device: Device, request: TrustedRequest) -> Iterator[ReplyMessage]:
    yield Trusted(request_id=request.request_id, keys=device.store.trusted())


def _trust(device: Device, request: TrustRequest) -> Iterator[ReplyMessage]:
    yield Trusted(
        request_id=request.request_id,
        keys=device.store.trust(request.statement, request.signature),
    )


def _roll_back(device: Device, request: RollbackRequest) -> Iterator[ReplyMessage]:
    yield _activated(request.request_id, *device.model.roll_back())


def _activated(request_id: int, serving: Serving, tested: SelfTest) -> Activated:
    if serving.current is None:
        raise errors.TartletError("a model was activated and none is current")
    return Activated(
        request_id=request_id,
        digest=serving.current,
        previous=serving.previous,
        self_test=tested,
        confirmed=serving.probation is None,
    )


def _offer_benchmark(device: Device, request: BenchmarkOfferRequest) -> Iterator[ReplyMessage]:
    yield BenchmarkWanted(
        request_id=request.request_id,
        files=device.store.missing([each.file for each in request.models]),
        folder=str(device.store.incoming),
    )


def _benchmark(device: Device, request: BenchmarkRequest) -> Iterator[ReplyMessage]:
    if not device.timing.acquire(blocking=False):
        raise errors.DeviceError(
            "another benchmark runs on this device",
            hint="wait until it is done: two at once would measure each other",
        )
    try:
        yield from _time(device, request)
    finally:
        device.timing.release()


def _time(device: Device, request: BenchmarkRequest) -> Iterator[ReplyMessage]:
    threads = request.threads or device.config.threads
    weather = benchmark.Weather()
    weather.look()
    with device.store.borrowed([each.file for each in request.models]) as folder:
        commands = {
            each.file.name: benchmark.command(str(folder / each.file.name), each.runtime, threads)
            for each in request.models
        }
        with benchmark.Turns(commands) as turns:
            rounds = benchmark.rounds(request.runs)
            for done in range(rounds):
                turns.take()
                weather.look()
                yield BenchmarkRound(request_id=request.request_id, done=done + 1, total=rounds)
            timings = turns.timings()
    yield BenchmarkResult(
        request_id=request.request_id,
        timings=tuple(_timing(each, timings[each.file.name]) for each in request.models),
        conditions=weather.conditions(threads),
    )


def _timing(model: BenchmarkModel, timing: benchmark.Timing) -> BenchmarkTiming:
    return BenchmarkTiming(
        name=model.file.name,
        version=timing.version,
        p50_ms=timing.p50_ms,
        p95_ms=timing.p95_ms,
        runs=timing.runs,
        peak_bytes=timing.peak_bytes,
        failure=None if timing.failure is None else messages.failure(0, timing.failure),
    )


_Handler = Callable[[Device, Any], Iterator[ReplyMessage]]
_TABLE: dict[type[RequestMessage], _Handler] = {
    StatusRequest: _status,
    CaptureRequest: _capture,
    PredictRequest: _predict,
    HaveRequest: _have,
    OfferRequest: _offer,
    AcceptRequest: _accept,
    ActivateRequest: _activate,
    RollbackRequest: _roll_back,
    TrustedRequest: _trusted,
    TrustRequest: _trust,
    BenchmarkOfferRequest: _offer_benchmark,
    BenchmarkRequest: _benchmark,
    WatchRequest: _watch,
    RecordRequest: _record,
    EventsRequest: _events,
    EventFileRequest: _event_file,
}
