"""The messages between laptop and Pi.

A conversation is: `Hello` from each side, then requests from the laptop, each answered in order by
its reply (a capture of several photos, and a benchmark, by several replies) or by a `Failure`.
``request_id`` ties replies to requests.

Times are milliseconds; ``monotonic_ns`` orders pictures within one boot of the Pi, whose wall clock
may be wrong.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from tartlet_shared import errors
from tartlet_shared.detections import Detections
from tartlet_shared.manifest import FileEntry, Probability, Sha256

PROTOCOL_VERSION = 1

Quality = Annotated[int, msgspec.Meta(ge=1, le=100)]
RequestId = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
PhotoCount = Annotated[int, msgspec.Meta(ge=1, le=100_000)]


class Message(msgspec.Struct, frozen=True, tag=True, tag_field="type", kw_only=True):
    """Base of all messages. Fields added later need a default; unknown fields are skipped."""


class Request(Message, frozen=True, kw_only=True):
    """Base of what the laptop asks; ``request_id`` comes back in the reply."""

    request_id: RequestId


class Reply(Message, frozen=True, kw_only=True):
    """Base of what the Pi answers."""

    request_id: RequestId


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


class Failure(Reply, frozen=True, kw_only=True):
    """A request that failed; see `tartlet_shared.errors` for the codes."""

    code: str
    what: str
    where: str = ""
    hint: str = ""


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


class FrameInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Which frame of the camera a picture is.

    Attributes:
        number: counts frames since the camera was opened, from 1; for replayed footage the
            number of the frame in the footage.
        monotonic_ns: when it was taken, on the Pi's monotonic clock.
    """

    number: int
    monotonic_ns: int


class CaptureRequest(Request, frozen=True, kw_only=True):
    """Take photos: ``count`` consecutive frames, JPEG ``quality``, no frame left out."""

    count: PhotoCount = 1
    quality: Quality = 95


class Photo(Reply, frozen=True, kw_only=True):
    """One photo; ``remaining`` more follow."""

    jpeg: bytes
    width: int
    height: int
    frame: FrameInfo
    remaining: int = 0


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


class DetectionColumns(msgspec.Struct, frozen=True, kw_only=True):
    """Detections as little-endian columns: float32 ``(n, 4)``, float32 ``(n,)``, int32 ``(n,)``."""

    xyxy: bytes
    score: bytes
    class_id: bytes


class Prediction(Reply, frozen=True, kw_only=True):
    """What the active model sees.

    Attributes:
        detections: in pixels of the picture of ``width`` x ``height``.
        jpeg: the camera frame if it was asked for, else empty.
        frame: None for a picture that was sent along.
    """

    detections: DetectionColumns
    labels: tuple[str, ...]
    model: Sha256
    width: int
    height: int
    timings: Timings
    jpeg: bytes = b""
    frame: FrameInfo | None = None


class OfferRequest(Request, frozen=True, kw_only=True):
    """Here is a bundle's manifest; which of its files do you need?"""

    manifest: bytes


class HaveRequest(Request, frozen=True, kw_only=True):
    """Do you have this bundle, complete and verified?"""

    digest: Sha256


class Have(Reply, frozen=True, kw_only=True):
    """Whether the bundle is stored, and whether it is the one that serves."""

    stored: bool
    active: bool


class Wanted(Reply, frozen=True, kw_only=True):
    """Files to upload by SFTP into ``folder``, each under its SHA-256 as name."""

    digest: Sha256
    files: tuple[FileEntry, ...]
    folder: str


class AcceptRequest(Request, frozen=True, kw_only=True):
    """The files of the offered bundle are uploaded: verify and store them."""

    digest: Sha256


class Accepted(Reply, frozen=True, kw_only=True):
    """The bundle is verified and stored; the active one is still the same."""

    digest: Sha256


class ActivateRequest(Request, frozen=True, kw_only=True):
    """Test a stored bundle on its golden pictures and, if they agree, let it serve."""

    digest: Sha256


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
    """The bundle serves. ``previous`` is what a rollback returns to."""

    digest: Sha256
    previous: Sha256 | None
    self_test: SelfTest


class BenchmarkModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model file to be timed; it need not be part of a bundle.

    Attributes:
        file: its name distinguishes it from the others, its SHA-256 says what it is.
        runtime: "litert" or "onnx".
    """

    file: FileEntry
    runtime: Annotated[str, msgspec.Meta(max_length=32)]


BenchmarkModels = Annotated[tuple[BenchmarkModel, ...], msgspec.Meta(min_length=1, max_length=16)]
"""Each has a process of its own, all at the same time: a Pi's memory sets the limit."""


class BenchmarkOfferRequest(Request, frozen=True, kw_only=True):
    """Here are models that I want timed; which files do you need?"""

    models: BenchmarkModels


class BenchmarkWanted(Reply, frozen=True, kw_only=True):
    """SHA-256 of the files to upload by SFTP into ``folder``, each under that name."""

    files: tuple[Sha256, ...]
    folder: str


class BenchmarkRequest(Request, frozen=True, kw_only=True):
    """Time models in turns. Nothing serves from them, and nothing is left of them afterwards.

    Attributes:
        models: files that were uploaded, or that are in a stored bundle.
        runs: inferences of each that count, at least.
        threads: for inference; None for the device's own choice.
    """

    models: BenchmarkModels
    runs: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 60
    threads: Annotated[int, msgspec.Meta(ge=1, le=64)] | None = None


class BenchmarkRound(Reply, frozen=True, kw_only=True):
    """So many rounds of so many are done; more replies follow."""

    done: int
    total: int


class BenchmarkTiming(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured of one model.

    Attributes:
        name: of its file, as the request has it.
        version: of the library that ran it.
        p50_ms, p95_ms: of one inference; None where it could not be timed.
        runs: inferences that count.
        peak_bytes: the most memory that its process had, the library's included.
        failure: why it could not be timed; None if it could.
    """

    name: str
    version: str = ""
    p50_ms: float | None = None
    p95_ms: float | None = None
    runs: int = 0
    peak_bytes: int = 0
    failure: Failure | None = None


class BenchmarkResult(Reply, frozen=True, kw_only=True):
    """All models, in the order of the request.

    Attributes:
        machine: in words.
        threads: for inference; None for what the runtimes chose.
        temperature_c, highest_c: of the processor before and at most; None where unknown.
        throttled: what the firmware said about power and heat meanwhile, None where unknown.
        load: what others gave each core to do before, 1 for all its time; None where unknown.
    """

    timings: tuple[BenchmarkTiming, ...]
    machine: str
    threads: int | None
    temperature_c: float | None
    highest_c: float | None
    throttled: tuple[str, ...] | None
    load: float | None = None


RequestMessage = (
    StatusRequest
    | CaptureRequest
    | PredictRequest
    | HaveRequest
    | OfferRequest
    | AcceptRequest
    | ActivateRequest
    | RollbackRequest
    | BenchmarkOfferRequest
    | BenchmarkRequest
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
    | BenchmarkWanted
    | BenchmarkRound
    | BenchmarkResult
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
    try:
        return Detections(
            np.frombuffer(columns.xyxy, "<f4").reshape(-1, 4),
            np.frombuffer(columns.score, "<f4"),
            np.frombuffer(columns.class_id, "<i4").astype(np.int64),
        )
    except ValueError as error:
        raise errors.MessageMalformed(f"detections: {error}") from error
