"""The messages between laptop and Pi.

A conversation is: `Hello` from each side, then requests from the laptop, each answered in order by
its reply (a capture of several photos, and a benchmark, by several replies) or by a `Failure`.
``request_id`` ties replies to requests.

Times are milliseconds; ``monotonic_ns`` orders pictures within one boot of the Pi, whose wall clock
may be wrong.
"""

from __future__ import annotations

import msgspec

from tartlet_shared import errors
from tartlet_shared.benchmark_messages import (
    BenchmarkOfferRequest,
    BenchmarkRequest,
    BenchmarkResult,
    BenchmarkRound,
    BenchmarkWanted,
)
from tartlet_shared.confirmation_messages import Standing as Standing
from tartlet_shared.event_messages import (
    EventFilePart,
    EventFileRequest,
    Events,
    EventsRequest,
)
from tartlet_shared.health_messages import DetectionStatus as DetectionStatus
from tartlet_shared.health_messages import DeviceHealth as DeviceHealth
from tartlet_shared.health_messages import PowerAndHeat as PowerAndHeat
from tartlet_shared.manifest import Sha256
from tartlet_shared.message_base import Failure as Failure
from tartlet_shared.message_base import FrameInfo as FrameInfo
from tartlet_shared.message_base import Message as Message
from tartlet_shared.message_base import Quality as Quality
from tartlet_shared.message_base import Reply as Reply
from tartlet_shared.message_base import Request as Request
from tartlet_shared.picture_messages import (
    CaptureRequest,
    Photo,
    Prediction,
    PredictRequest,
)
from tartlet_shared.push_messages import (
    Accepted,
    AcceptRequest,
    Activated,
    ActivateRequest,
    Have,
    HaveRequest,
    OfferRequest,
    RollbackRequest,
    Trusted,
    TrustedRequest,
    TrustRequest,
    Wanted,
)
from tartlet_shared.record_messages import Recorded, RecordRequest
from tartlet_shared.watch_messages import Watched, WatchRequest

PROTOCOL_VERSION = 1


class Hello(Message, frozen=True, kw_only=True):
    """First message of each side.

    Attributes:
        protocol: `PROTOCOL_VERSION`; must be equal on both sides.
        fingerprint: digest of the ``tartlet_shared`` source; where it differs, both sides work
            but may round differently, so the laptop warns.
        software: package version, for people.
    """

    protocol: int
    fingerprint: str
    software: str


class StatusRequest(Request, frozen=True, kw_only=True):
    """How are you?"""


class ActiveModel(msgspec.Struct, frozen=True, kw_only=True):
    """The model that serves."""

    digest: Sha256
    name: str
    runtime: str
    labels: tuple[str, ...]


class Status(Reply, frozen=True, kw_only=True):
    """State of the device.

    Attributes:
        model, previous: the model that serves; digest of the one that a rollback returns to.
        model_error: why the model that was committed last does not serve; then another one or
            none does.
        camera: kind of camera, and its last error if it does not deliver.
        runtimes: name -> version of each inference runtime that loads.
        uptime_s: seconds since the daemon started.
        resident_bytes: the daemon's resident memory.
        free_bytes: free disk space where bundles are stored.
        temperature_c: of the processor, None where unknown.
        throttled: Raspberry Pi firmware flags in words, empty when none is set, None where unknown.
        clock_synchronized: whether the wall clock can be trusted.
        config_error: what is wrong with the configuration file as it was read last.
        detection: continuous detection; None while it is off.
        health: all figures; some of them stand above as well, for laptops that know no others.
        web: the Unix socket of the live page; empty where there is none.
        standing: how far the model is trusted; None without one, and from older devices.
    """

    software: str
    machine: str
    python: str
    model: ActiveModel | None
    previous: Sha256 | None
    camera: str
    camera_error: str
    runtimes: dict[str, str]
    uptime_s: float
    resident_bytes: int
    free_bytes: int
    temperature_c: float | None
    throttled: tuple[str, ...] | None
    clock_synchronized: bool
    model_error: str = ""
    config_error: str = ""
    detection: DetectionStatus | None = None
    health: DeviceHealth | None = None
    web: str = ""
    standing: Standing | None = None


RequestMessage = (
    StatusRequest
    | CaptureRequest
    | PredictRequest
    | HaveRequest
    | OfferRequest
    | AcceptRequest
    | ActivateRequest
    | RollbackRequest
    | TrustedRequest
    | TrustRequest
    | BenchmarkOfferRequest
    | BenchmarkRequest
    | WatchRequest
    | RecordRequest
    | EventsRequest
    | EventFileRequest
)
ReplyMessage = (
    Failure
    | Status
    | Photo
    | Prediction
    | Have
    | Wanted
    | Accepted
    | Activated
    | Trusted
    | BenchmarkWanted
    | BenchmarkRound
    | BenchmarkResult
    | Watched
    | Recorded
    | Events
    | EventFilePart
)
AnyMessage = Hello | RequestMessage | ReplyMessage


def failure(request_id: int, error: errors.TartletError) -> Failure:
    """An error as a message."""
    return Failure(
        request_id=request_id,
        code=error.code,
        what=error.what,
        where=error.where,
        hint=error.hint,
    )


def to_error(failure: Failure) -> errors.TartletError:
    """A failure message as the error it was on the other side."""
    return errors.from_code(failure.code, failure.what, where=failure.where, hint=failure.hint)


def check_hello(theirs: Hello) -> None:
    """Refuse a peer of another protocol version.

    Raises:
        VersionMismatch: says both versions and which side to upgrade.
    """
    if theirs.protocol == PROTOCOL_VERSION:
        return
    older = "other" if theirs.protocol < PROTOCOL_VERSION else "this"
    raise errors.VersionMismatch(
        f"the other side (tartlet {theirs.software}) speaks protocol {theirs.protocol}, "
        f"this side {PROTOCOL_VERSION}",
        hint=f"upgrade tartlet on the {older} side; on a Pi, run setup_pi.sh again",
    )
