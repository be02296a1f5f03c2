from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_shared import (
    benchmark_messages,
    errors,
    messages,
    picture_messages,
    push_messages,
    wire,
)
from tartlet_shared.client import Client
from tartlet_shared.detections import Detections
from tartlet_shared.fingerprint import fingerprint
from tartlet_shared.manifest import FileEntry
from tartlet_shared.messages import AnyMessage, Failure, FrameInfo, Hello, RequestMessage
from tartlet_shared.picture_messages import (
    CaptureRequest,
    Photo,
    Prediction,
    PredictRequest,
    Timings,
)
from tartlet_shared.push_messages import Have

DIGEST = "ab" * 32
Answer = Callable[[AnyMessage], Iterable[AnyMessage | bytes]]


class Device:
    """A stream whose other end answers from a function, its bytes cut anywhere."""

    def __init__(self, answer: Answer, cuts: Iterator[int] | None = None) -> None:
        self.asked: list[AnyMessage] = []
        self.closed = False
        self._answer = answer
        self._cuts = cuts
        self._decoder = wire.Decoder()
        self._outgoing = b""

    def send(self, data: bytes) -> None:
        if self.closed:
            raise OSError("Socket is closed")
        for message in self._decoder.feed(data):
            self.asked.append(message)
            for reply in self._answer(message):
                self._outgoing += reply if isinstance(reply, bytes) else wire.encode(reply)

    def recv(self, limit: int, timeout_s: float) -> bytes:
        if not self._outgoing and not self.closed:
            raise TimeoutError
        size = limit if self._cuts is None else max(1, next(self._cuts))
        part, self._outgoing = self._outgoing[:size], self._outgoing[size:]
        return part

    def close(self) -> None:
        self.closed = True


def hello(protocol: int = messages.PROTOCOL_VERSION, digest: str | None = None) -> Hello:
    return Hello(protocol=protocol, fingerprint=digest or fingerprint(), software="9.9")


def photo(request: CaptureRequest, number: int) -> Photo:
    return Photo(
        request_id=request.request_id,
        jpeg=bytes([number]) * number,
        width=4,
        height=3,
        frame=FrameInfo(number=number, monotonic_ns=number),
        remaining=request.count - number,
    )


def good(message: AnyMessage) -> Iterator[AnyMessage]:
    match message:
        case Hello():
            yield hello()
        case CaptureRequest():
            for number in range(1, message.count + 1):
                yield photo(message, number)
        case PredictRequest():
            found = Detections(np.array([[1, 2, 3, 4]]), np.array([0.5]), np.array([0]))
            yield Prediction(
                request_id=message.request_id,
                detections=picture_messages.pack(found),
                labels=("person",),
                model=DIGEST,
                width=4,
                height=3,
                timings=Timings(
                    capture=1, preprocess=1, inference=1, postprocess=1, encode=1, total=5
                ),
                jpeg=message.picture,
            )
        case push_messages.HaveRequest():
            yield Have(request_id=message.request_id, stored=True, active=False)
        case _:
            raise AssertionError(message)


@given(
    cuts=st.lists(st.integers(1, 40), min_size=1),
    count=st.integers(1, 5),
    picture=st.binary(max_size=200),
)
def test_answers_arrive_whole_however_the_bytes_are_cut(
    cuts: list[int], count: int, picture: bytes
) -> None:
    def forever() -> Iterator[int]:
        while True:
            yield from cuts

    client = Client(Device(good, forever()))
    assert client.hello() == hello()
    assert [taken.frame.number for taken in client.capture(count)] == list(range(1, count + 1))
    prediction = client.predict(picture, score_threshold=0.25)
    assert prediction.jpeg == picture
    assert picture_messages.unpack(prediction.detections).score.tolist() == [0.5]
    assert client.have(DIGEST).stored


def test_every_request_has_an_id_of_its_own_and_carries_what_was_asked() -> None:
    device = Device(good)
    client = Client(device)
    client.hello()
    list(client.capture(2, quality=70))
    client.predict(b"p", score_threshold=0.1, want_picture=False, quality=5)
    client.have(DIGEST)
    requests = [each for each in device.asked if isinstance(each, RequestMessage)]
    assert len({each.request_id for each in requests}) == 3
    capture, predict, have = requests
    assert isinstance(capture, CaptureRequest)
    assert (capture.count, capture.quality) == (2, 70)
    assert isinstance(predict, PredictRequest)
    assert (predict.picture, predict.score_threshold) == (b"p", 0.1)
    assert (predict.want_picture, predict.quality) == (False, 5)
    assert isinstance(have, push_messages.HaveRequest)
    assert have.digest == DIGEST


@pytest.mark.parametrize("kind", errors.all_errors())
def test_a_failure_is_raised_as_the_error_that_it_was(kind: type[errors.TartletError]) -> None:
    def fail(message: AnyMessage) -> Iterator[AnyMessage]:
        assert isinstance(message, messages.StatusRequest)
        yield messages.failure(message.request_id, kind("what", where="there", hint="do this"))

    with pytest.raises(kind) as caught:
        Client(Device(fail)).status()
    assert type(caught.value) is kind
    assert (caught.value.what, caught.value.where, caught.value.hint) == (
        "what",
        "there",
        "do this",
    )


def test_a_failure_in_the_middle_of_a_capture_comes_after_the_photos_before_it() -> None:
    def two_then_busy(message: AnyMessage) -> Iterator[AnyMessage]:
        assert isinstance(message, CaptureRequest)
        yield photo(message, 1)
        yield photo(message, 2)
        yield messages.failure(message.request_id, errors.CameraTimeout("stuck"))

    taken = []
    photos = Client(Device(two_then_busy)).capture(5)
    with pytest.raises(errors.CameraTimeout):  # noqa: PT012 - the loop is what raises
        for each in photos:
            taken.append(each.frame.number)  # noqa: PERF401
    assert taken == [1, 2]


def test_another_protocol_version_is_refused_and_says_both() -> None:
    client = Client(Device(lambda message: [hello(protocol=99)]))
    with pytest.raises(errors.VersionMismatch, match="99"):
        client.hello()


def test_a_device_that_refuses_our_version_is_quoted() -> None:
    refusal = Failure(request_id=0, code="version-mismatch", what="protocol 1", hint="upgrade")
    with pytest.raises(errors.VersionMismatch) as caught:
        Client(Device(lambda message: [refusal]), where="shed").hello()
    assert caught.value.where == "shed says"


def test_other_shared_code_is_a_warning_only(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Client(Device(lambda message: [hello(digest="other")]), where="shed").hello()
    assert "shed runs tartlet 9.9 with other shared code" in caplog.text


def test_equal_shared_code_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Client(Device(good)).hello()
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (lambda m: [Have(request_id=m.request_id, stored=True, active=True)], "expected Status"),
        (lambda m: [hello()], "got Hello"),
        (lambda m: [Failure(request_id=77, code="usage", what="x")], "got Failure 77"),
        (lambda m: [b"\0\0\0\x03abc"], "not a known message"),
    ],
)
def test_an_answer_to_something_else_is_refused(reply: Answer, expected: str) -> None:
    with pytest.raises(errors.MessageMalformed, match=expected):
        Client(Device(reply)).status()


def test_a_frame_too_large_is_refused_before_it_is_buffered() -> None:
    with pytest.raises(errors.MessageTooLarge):
        Client(Device(lambda message: [b"\xff\xff\xff\xff"])).status()


def test_a_photo_out_of_order_is_refused() -> None:
    with pytest.raises(errors.MessageMalformed, match="1 to follow"):
        list(Client(Device(lambda m: [photo(m, 2)])).capture(2))  # type: ignore[arg-type]


def test_no_answer_in_time_says_so() -> None:
    with pytest.raises(errors.ConnectionLost, match=r"no answer within 0\.5 s while asking"):
        Client(Device(lambda message: []), timeout_s=0.5).status()


@pytest.mark.parametrize("before", [b"", b"\0\0\0\x09abc"])
def test_a_connection_that_ends_says_what_was_under_way(before: bytes) -> None:
    class Ending(Device):
        def recv(self, limit: int, timeout_s: float) -> bytes:
            part, self._outgoing = self._outgoing, b""
            return part

    client = Client(Ending(lambda message: [before]), where="shed")
    with pytest.raises(errors.ConnectionLost, match="while activating the bundle") as caught:
        client.activate(DIGEST)
    assert caught.value.where == "shed"
    assert "still serves" in caught.value.hint


@pytest.mark.parametrize("error", [OSError("gone"), EOFError()])
@pytest.mark.parametrize("call", ["send", "recv"])
def test_errors_of_the_stream_are_a_lost_connection(error: Exception, call: str) -> None:
    device = Device(good)

    def fail(*_: object) -> bytes:
        raise error

    setattr(device, call, fail)
    with pytest.raises(errors.ConnectionLost):
        Client(device).have(DIGEST)


def test_what_the_stream_says_about_the_daemon_is_kept() -> None:
    class NoDaemon(Device):
        def recv(self, limit: int, timeout_s: float) -> bytes:
            raise errors.DaemonNotRunning("does not answer")

    with pytest.raises(errors.DaemonNotRunning):
        Client(NoDaemon(good)).hello()


def test_a_picture_over_the_limit_is_refused_here() -> None:
    device = Device(good)
    with pytest.raises(errors.MessageTooLarge):
        Client(device).predict(bytes(wire.MAX_FRAME))
    assert device.asked == []


MODEL = benchmark_messages.BenchmarkModel(
    file=FileEntry(name="0.onnx", size=1, sha256=DIGEST), runtime="onnx"
)


def timing(*replies: str) -> Answer:
    """A device that answers a benchmark with rounds and a result, or with something else."""

    def answer(message: AnyMessage) -> Iterator[AnyMessage]:
        if isinstance(message, Hello):
            yield hello()
            return
        assert isinstance(message, benchmark_messages.BenchmarkRequest)
        for place, kind in enumerate(replies, start=1):
            number = message.request_id
            if kind == "round":
                yield benchmark_messages.BenchmarkRound(
                    request_id=number, done=place, total=len(replies)
                )
            elif kind == "result":
                yield benchmark_messages.BenchmarkResult(
                    request_id=number,
                    timings=(benchmark_messages.BenchmarkTiming(name="0.onnx", p50_ms=1.5),),
                    conditions=benchmark_messages.Conditions(
                        machine="a Pi", threads=message.threads
                    ),
                )
            elif kind == "failure":
                yield Failure(request_id=number, code="storage-full", what="full")
            else:
                yield Have(request_id=number, stored=True, active=False)

    return answer


def test_a_benchmark_tells_how_far_it_is() -> None:
    client = Client(Device(timing("round", "round", "result")))
    client.hello()
    seen: list[tuple[int, int]] = []
    result = client.benchmark((MODEL,), runs=5, threads=3, progress=lambda *done: seen.append(done))
    assert seen == [(1, 3), (2, 3)]
    assert (result.timings[0].p50_ms, result.conditions.threads) == (1.5, 3)


@pytest.mark.parametrize(
    ("replies", "kind"),
    [
        (("round", "failure"), errors.StorageFull),
        (("round", "have"), errors.MessageMalformed),
        (("round",), errors.ConnectionLost),
        ((), errors.ConnectionLost),
    ],
)
def test_a_benchmark_that_ends_otherwise(
    replies: tuple[str, ...], kind: type[errors.TartletError]
) -> None:
    client = Client(Device(timing(*replies)), timeout_s=0.1)
    client.hello()
    with pytest.raises(kind):
        client.benchmark((MODEL,), runs=1)
