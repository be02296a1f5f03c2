"""What the daemon answers: a table from the type of a request to the function that serves it."""

from __future__ import annotations

import logging
import platform
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

from tartlet_device import __version__, benchmark, files, machine, runtime
from tartlet_device.camera.owner import CameraOwner
from tartlet_device.config import DeviceConfig
from tartlet_device.image import Image
from tartlet_device.model import ServingModel
from tartlet_device.pictures import decode_picture, encode_jpeg
from tartlet_device.store import Serving, Store
from tartlet_shared import errors, messages
from tartlet_shared.messages import (
    Accepted,
    AcceptRequest,
    Activated,
    ActivateRequest,
    BenchmarkModel,
    BenchmarkOfferRequest,
    BenchmarkRequest,
    BenchmarkResult,
    BenchmarkRound,
    BenchmarkTiming,
    BenchmarkWanted,
    CaptureRequest,
    Failure,
    Have,
    HaveRequest,
    OfferRequest,
    Photo,
    Prediction,
    PredictRequest,
    ReplyMessage,
    RequestMessage,
    RollbackRequest,
    SelfTest,
    Status,
    StatusRequest,
    Timings,
    Wanted,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Device:
    """Everything that requests are served from.

    Attributes:
        started_s: when the daemon started, monotonic seconds.
        encoder: makes JPEGs.
        timing: held while models are timed.
    """

    config: DeviceConfig
    store: Store
    camera: CameraOwner
    model: ServingModel
    started_s: float
    encoder: Executor
    timing: threading.Lock = field(default_factory=threading.Lock)


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
    fault = device.camera.fault
    yield Status(
        request_id=request.request_id,
        software=__version__,
        machine=machine.description(),
        python=platform.python_version(),
        model=device.model.active(),
        previous=device.model.previous(),
        camera=str(device.config.camera.__struct_config__.tag),
        camera_error="" if fault is None else str(fault),
        runtimes=runtime.available(),
        uptime_s=time.monotonic() - device.started_s,
        resident_bytes=machine.resident_bytes(),
        free_bytes=files.free_bytes(device.config.store_path),
        temperature_c=machine.temperature_c(),
        throttled=machine.throttled(),
        clock_synchronized=machine.clock_synchronized(),
        model_error=device.model.fault,
    )


def _capture(device: Device, request: CaptureRequest) -> Iterator[ReplyMessage]:
    with device.camera.frames(request.count, device.config.frame_timeout_s) as frames:
        for taken, frame in enumerate(frames, start=1):
            photo = frame.image.photo()
            height, width = photo.shape[:2]
            yield Photo(
                request_id=request.request_id,
                jpeg=encode_jpeg(photo, request.quality),
                width=width,
                height=height,
                frame=frame.info,
                remaining=request.count - taken,
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
    )


def _jpeg(image: Image, quality: int) -> bytes:
    return encode_jpeg(image.rgb(), quality)


def _have(device: Device, request: HaveRequest) -> Iterator[ReplyMessage]:
    active = device.model.active()
    yield Have(
        request_id=request.request_id,
        stored=device.store.has(request.digest),
        active=active is not None and active.digest == request.digest,
    )


def _offer(device: Device, request: OfferRequest) -> Iterator[ReplyMessage]:
    digest, wanted = device.store.offer(request.manifest)
    yield Wanted(
        request_id=request.request_id,
        digest=digest,
        files=wanted,
        folder=str(device.store.incoming),
    )


def _accept(device: Device, request: AcceptRequest) -> Iterator[ReplyMessage]:
    bundle = device.store.accept(request.digest)
    yield Accepted(request_id=request.request_id, digest=bundle.digest)


def _activate(device: Device, request: ActivateRequest) -> Iterator[ReplyMessage]:
    yield _activated(request.request_id, *device.model.activate(request.digest))


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
        machine=machine.description(),
        threads=threads,
        temperature_c=weather.temperature_c,
        highest_c=weather.highest_c,
        throttled=weather.throttled,
        load=weather.load,
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
    BenchmarkOfferRequest: _offer_benchmark,
    BenchmarkRequest: _benchmark,
}
