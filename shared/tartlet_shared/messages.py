"""The messages between laptop and Pi.

A conversation is: `Hello` from each side, then requests from the laptop, each answered in order by
its reply (a capture of several photos, and a benchmark, by several replies) or by a `Failure`.
``request_id`` ties replies to requests.

Times are milliseconds; ``monotonic_ns`` orders pictures within one boot of the Pi, whose wall clock
may be wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from tartlet_shared import errors
from tartlet_shared.benchmark_messages import (
    BenchmarkOfferRequest,
    BenchmarkRequest,
    BenchmarkResult,
    BenchmarkRound,
    BenchmarkWanted,
)
from tartlet_shared.confirmation_messages import CONFIRM_S, ConfirmSeconds, Milliseconds
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
from tartlet_shared.manifest import FileEntry, Probability, Sha256
from tartlet_shared.message_base import Failure as Failure
from tartlet_shared.message_base import FrameInfo as FrameInfo
from tartlet_shared.message_base import Message as Message
from tartlet_shared.message_base import Quality as Quality
from tartlet_shared.message_base import Reply as Reply
from tartlet_shared.message_base import Request as Request
from tartlet_shared.record_messages import Recorded, RecordRequest
from tartlet_shared.signature import KeyId, TrustedKeys
from tartlet_shared.watch_messages import Watched, WatchRequest

if TYPE_CHECKING:
    from tartlet_shared.detections import Detections

PROTOCOL_VERSION = 1

PhotoCount = Annotated[int, msgspec.Meta(ge=1, le=100_000)]


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


class CaptureRequest(Request, frozen=True, kw_only=True):
    """Take photos: ``count`` consecutive frames, JPEG ``quality``, no frame left out.

    Attributes:
        detect: find objects in them too, if a model serves.
    """

    count: PhotoCount = 1
    quality: Quality = 95
    detect: bool = False


class DetectionColumns(msgspec.Struct, frozen=True, kw_only=True):
    """Detections as little-endian columns: float32 ``(n, 4)``, float32 ``(n,)``, int32 ``(n,)``."""

    xyxy: bytes
    score: bytes
    class_id: bytes


class PhotoSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What a model sees in a photo, in the photo's pixels."""

    detections: DetectionColumns
    labels: tuple[str, ...]
    model: Sha256


class Photo(Reply, frozen=True, kw_only=True):
    """One photo; ``remaining`` more follow.

    Attributes:
        time_s: when it was taken, on the wall clock, Unix seconds; None where that is not told.
        clock_synchronized: whether the wall clock can be trusted.
        seen: None if nobody looked, or no model serves.
    """

    jpeg: bytes
    width: int
    height: int
    frame: FrameInfo
    remaining: int = 0
    time_s: float | None = None
    clock_synchronized: bool = False
    seen: PhotoSeen | None = None


class PredictRequest(Request, frozen=True, kw_only=True):
    """Find objects in the next camera frame, or in a picture sent along.

    Attributes:
        picture: encoded JPEG or PNG; empty means take one with the camera.
        score_threshold: overrides the model's own.
        want_picture: send the camera frame back as JPEG of ``quality``.
    """

    picture: bytes = b""
    score_threshold: Probability | None = None
    want_picture: bool = True
    quality: Quality = 90


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time of a prediction went on the device, milliseconds.

    ``capture`` is the wait for the camera or the decoding of the picture sent along.
    """

    capture: float
    preprocess: float
    inference: float
    postprocess: float
    encode: float
    total: float


class Prediction(Reply, frozen=True, kw_only=True):
    """What the active model sees.

    Attributes:
        detections: in pixels of the picture of ``width`` x ``height``.
        jpeg: the camera frame if it was asked for, else empty.
        frame: None for a picture that was sent along.
        conditions: power and heat at the time; the timings of a throttled board are not its own.
    """

    detections: DetectionColumns
    labels: tuple[str, ...]
    model: Sha256
    width: int
    height: int
    timings: Timings
    jpeg: bytes = b""
    frame: FrameInfo | None = None
    conditions: PowerAndHeat | None = None


class OfferRequest(Request, frozen=True, kw_only=True):
    """Here is a bundle's manifest; which of its files do you need?

    Attributes:
        signature: content of ``manifest.sig``; empty for none.
        allow_older: do not refuse it for being older than the bundle that serves.
    """

    manifest: bytes
    signature: bytes = b""
    allow_older: bool = True


class HaveRequest(Request, frozen=True, kw_only=True):
    """Do you have this bundle, complete and verified?"""

    digest: Sha256


class Have(Reply, frozen=True, kw_only=True):
    """Whether the bundle is stored, and whether it is the one that serves.

    Attributes:
        signed_by: id of the key that the stored one is signed with; empty for none.
        trusted: ids of the keys of which one must have signed a bundle; none where any is taken.
    """

    stored: bool
    active: bool
    signed_by: str = ""
    trusted: tuple[KeyId, ...] = ()


PARTIAL = ".part"
"""Ending of an upload that is not complete."""


class Arrived(msgspec.Struct, frozen=True, kw_only=True):
    """The beginning of a file, from an upload that broke off.

    Attributes:
        name: in the folder of uploads, ``<sha256 of the file>.<laptop>.part``.
        size: bytes of it.
        sha256: of these.
    """

    name: str
    size: int
    sha256: Sha256


class Wanted(Reply, frozen=True, kw_only=True):
    """Files to upload by SFTP into ``folder``, each under its SHA-256 as name.

    Attributes:
        arrived: what is there of them already.
    """

    digest: Sha256
    files: tuple[FileEntry, ...]
    folder: str
    arrived: tuple[Arrived, ...] = ()


class AcceptRequest(Request, frozen=True, kw_only=True):
    """The files of the offered bundle are uploaded: verify and store them."""

    digest: Sha256


class Accepted(Reply, frozen=True, kw_only=True):
    """The bundle is verified and stored; the active one is still the same."""

    digest: Sha256


class ActivateRequest(Request, frozen=True, kw_only=True):
    """Test a stored bundle on its golden pictures and, if they agree, let it serve.

    Attributes:
        confirm_s: it must be healthy for so long, or the device goes back; 0 confirms it now.
        latency_ms: an inference may take so long meanwhile, in the median; None for any time.
        allow_older: than the one that was confirmed last.
    """

    digest: Sha256
    confirm_s: ConfirmSeconds = CONFIRM_S
    latency_ms: Milliseconds | None = None
    allow_older: bool = False


class RollbackRequest(Request, frozen=True, kw_only=True):
    """Return to the model that served before."""


class SelfTest(msgspec.Struct, frozen=True, kw_only=True):
    """Golden pictures on this device against the laptop.

    Attributes:
        pictures, detections: how many were compared.
        box_difference_px: largest difference of a matched box's side, pixels of the picture.
        score_difference: largest difference of a matched score.
        inference_ms: median.
    """

    pictures: int
    detections: int
    box_difference_px: float
    score_difference: float
    inference_ms: float


class Activated(Reply, frozen=True, kw_only=True):
    """The bundle serves.

    Attributes:
        digest, previous: the bundle; what a rollback returns to.
        self_test: how it did on its golden pictures.
        confirmed: whether it is not on probation.
    """

    digest: Sha256
    previous: Sha256 | None
    self_test: SelfTest
    confirmed: bool = True


class TrustedRequest(Request, frozen=True, kw_only=True):
    """Whose bundles do you take?"""


class TrustRequest(Request, frozen=True, kw_only=True):
    """Take the bundles of others.

    Attributes:
        statement: a `tartlet_shared.signature.TrustedKeys` in its canonical bytes.
        signature: its record, by a key that the device trusts already, or by one of the first
            list.
    """

    statement: bytes
    signature: bytes


class Trusted(Reply, frozen=True, kw_only=True):
    """The list that holds."""

    keys: TrustedKeys


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


def pack(detections: Detections) -> DetectionColumns:
    """Detections as wire columns."""
    return DetectionColumns(
        xyxy=detections.xyxy.astype("<f4").tobytes(),
        score=detections.score.astype("<f4").tobytes(),
        class_id=detections.class_id.astype("<i4").tobytes(),
    )


def unpack(columns: DetectionColumns) -> Detections:
    """Wire columns as detections.

    Raises:
        MessageMalformed: the columns have different lengths or impossible values.
    """
    # Here, so that a daemon that starts can greet before numpy is there.
    import numpy as np

    from tartlet_shared.detections import Detections

    try:
        return Detections(
            np.frombuffer(columns.xyxy, "<f4").reshape(-1, 4),
            np.frombuffer(columns.score, "<f4"),
            np.frombuffer(columns.class_id, "<i4").astype(np.int64),
        )
    except ValueError as error:
        raise errors.MessageMalformed(f"detections: {error}") from error
