"""What the daemon answers: a table from the type of a request to the function that serves it."""

from __future__ import annotations

import logging
import platform
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

from tartlet_device import __version__, machine, runtime
from tartlet_device.answers import (
    benchmarks,
    events,
    photos,
    predictions,
    pushes,
    recording,
    watching,
)
from tartlet_device.camera.owner import CameraOwner
from tartlet_device.config import DeviceConfig
from tartlet_device.confirmation import Confirmation
from tartlet_device.continuous.service import Continuous
from tartlet_device.events.audience import EventKeeper
from tartlet_device.live_config import LiveConfig
from tartlet_device.model import ServingModel
from tartlet_device.outputs.audience import Teller
from tartlet_device.store import Store
from tartlet_device.tracking.drawn import DrawnZones
from tartlet_device.tracking.settings import TrackingSettings
from tartlet_device.vitals import Vitals
from tartlet_shared import errors, messages
from tartlet_shared.benchmark_messages import (
    BenchmarkOfferRequest,
    BenchmarkRequest,
)
from tartlet_shared.event_messages import EventFileRequest, EventsRequest
from tartlet_shared.messages import (
    Failure,
    ReplyMessage,
    RequestMessage,
    Status,
    StatusRequest,
)
from tartlet_shared.picture_messages import CaptureRequest, PredictRequest
from tartlet_shared.push_messages import (
    AcceptRequest,
    ActivateRequest,
    HaveRequest,
    OfferRequest,
    RollbackRequest,
    TrustedRequest,
    TrustRequest,
)
from tartlet_shared.record_messages import RecordRequest
from tartlet_shared.watch_messages import WatchRequest

_log = logging.getLogger(__name__)

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
    yield from predictions.predicted(
        request,
        device.camera,
        device.model,
        device.encoder,
        device.vitals.power,
        frame_timeout_s=device.config.frame_timeout_s,
    )


def _watch(device: Device, request: WatchRequest) -> Iterator[ReplyMessage]:
    yield from watching.watched(request, device.continuous)


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
    yield from pushes.stored(request, device.store, device.model)


def _offer(device: Device, request: OfferRequest) -> Iterator[ReplyMessage]:
    yield from pushes.offered(request, device.store)


def _accept(device: Device, request: AcceptRequest) -> Iterator[ReplyMessage]:
    yield from pushes.accepted(request, device.store)


def _activate(device: Device, request: ActivateRequest) -> Iterator[ReplyMessage]:
    yield from pushes.activated(request, device.model)


def _roll_back(device: Device, request: RollbackRequest) -> Iterator[ReplyMessage]:
    yield from pushes.rolled_back(request, device.model)


def _trusted(device: Device, request: TrustedRequest) -> Iterator[ReplyMessage]:
    yield from pushes.trusted(request, device.store)


def _trust(device: Device, request: TrustRequest) -> Iterator[ReplyMessage]:
    yield from pushes.trusting(request, device.store)


def _offer_benchmark(device: Device, request: BenchmarkOfferRequest) -> Iterator[ReplyMessage]:
    yield from benchmarks.wanted(request, device.store)


def _benchmark(device: Device, request: BenchmarkRequest) -> Iterator[ReplyMessage]:
    if not device.timing.acquire(blocking=False):
        raise errors.DeviceError(
            "another benchmark runs on this device",
            hint="wait until it is done: two at once would measure each other",
        )
    try:
        yield from benchmarks.timed(request, device.store, device.config.threads)
    finally:
        device.timing.release()


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
