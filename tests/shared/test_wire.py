"""The framing: any message, split anywhere, comes out as it went in; rubbish never gets further."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_shared import errors, messages, picture_messages, push_messages, wire
from tartlet_shared.record_messages import RecordedFrame

short_text = st.text(max_size=20)
request_ids = st.integers(0, 2**53 - 1)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
frame_infos = st.builds(
    messages.FrameInfo, number=st.integers(0, 2**40), monotonic_ns=st.integers(0, 2**62)
)
event_names = st.from_regex(r"\A[0-9]{10}-[0-9A-Za-z_-]{1,64}\.(jpg|json|mp4|jsonl)\Z")
any_message: st.SearchStrategy[messages.AnyMessage] = st.one_of(
    st.builds(
        messages.Hello, protocol=st.integers(0, 99), software=short_text, fingerprint=short_text
    ),
    st.builds(messages.StatusRequest, request_id=request_ids),
    st.builds(
        picture_messages.CaptureRequest,
        request_id=request_ids,
        count=st.integers(1, 100_000),
        quality=st.integers(1, 100),
    ),
    st.builds(
        picture_messages.PredictRequest,
        request_id=request_ids,
        picture=st.binary(max_size=3000),
        score_threshold=st.none() | st.floats(0, 1),
        quality=st.integers(1, 100),
    ),
    st.builds(push_messages.OfferRequest, request_id=request_ids, manifest=st.binary(max_size=300)),
    st.builds(push_messages.ActivateRequest, request_id=request_ids, digest=digests),
    st.builds(messages.Failure, request_id=request_ids, code=short_text, what=short_text),
    st.builds(
        push_messages.Have, request_id=request_ids, stored=st.booleans(), active=st.booleans()
    ),
    st.builds(
        picture_messages.Photo,
        request_id=request_ids,
        jpeg=st.binary(max_size=300),
        width=st.integers(0, 9999),
        height=st.integers(0, 9999),
        remaining=st.integers(0, 9),
        frame=frame_infos,
    ),
    st.builds(
        messages.RecordRequest,
        request_id=request_ids,
        seconds=st.floats(0.1, 3600),
        rate=st.floats(0.5, 60),
        bitrate_kbps=st.integers(50, 50_000),
    ),
    st.builds(
        messages.Recorded,
        request_id=request_ids,
        frames=st.lists(
            st.builds(
                RecordedFrame,
                frame=frame_infos,
                time_s=st.floats(0, 2e9),
                key=st.booleans(),
                content=st.binary(max_size=100),
            ),
            max_size=3,
        ).map(tuple),
        dropped=st.integers(0, 999),
    ),
    st.builds(
        messages.EventFileRequest,
        request_id=request_ids,
        folder=st.sampled_from(["pictures", "clips"]),
        name=event_names,
        offset=st.integers(0, 2**50),
    ),
    st.builds(
        messages.EventFilePart,
        request_id=request_ids,
        content=st.binary(max_size=100),
        offset=st.integers(0, 2**50),
        size=st.integers(0, 2**50),
        sha256=st.none() | digests,
    ),
)


@given(st.lists(any_message, max_size=5), st.data())
def test_messages_survive_any_split(sent: list[messages.AnyMessage], data: st.DataObject) -> None:
    stream = b"".join(wire.encode(message) for message in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    decoder = wire.Decoder()
    received: list[messages.AnyMessage] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += decoder.feed(stream[start:end])
    decoder.finish()
    assert received == sent


@given(st.binary(max_size=400))
def test_rubbish_is_refused_or_incomplete(rubbish: bytes) -> None:
    decoder = wire.Decoder(max_frame=1000)
    try:
        decoder.feed(rubbish)
    except errors.ProtocolError as first:
        with pytest.raises(type(first)):
            decoder.feed(b"")


@given(any_message, st.data())
def test_one_flipped_byte_never_raises_anything_else(
    message: messages.AnyMessage, data: st.DataObject
) -> None:
    frame = bytearray(wire.encode(message))
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= data.draw(st.integers(1, 255))
    decoder = wire.Decoder()
    try:
        decoder.feed(frame)
        decoder.finish()
    except errors.ProtocolError:
        pass


def test_an_announced_giant_is_refused_before_it_is_buffered() -> None:
    decoder = wire.Decoder(max_frame=100)
    with pytest.raises(errors.MessageTooLarge, match="101 bytes"):
        decoder.feed(struct.pack(">I", 101))


def test_a_message_over_the_limit_is_not_sent() -> None:
    with pytest.raises(errors.MessageTooLarge, match="PredictRequest"):
        wire.encode(
            picture_messages.PredictRequest(request_id=1, picture=bytes(200)), max_frame=100
        )


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x80",  # an empty map: no type
        b"\x81\xa4type\xa5Bogus",
        b"\x82\xa4type\xaeCaptureRequest\xaarequest_id\x01"[:-1] + b"\xa1x",  # text for a number
        b"\x91" * 5000,  # nested deeper than any message
        b"\xc1",  # never used in MessagePack
    ],
)
def test_frames_that_are_no_message(payload: bytes) -> None:
    with pytest.raises(errors.MessageMalformed):
        wire.Decoder().feed(struct.pack(">I", len(payload)) + payload)


def test_a_stream_that_ends_inside_a_frame_is_said() -> None:
    decoder = wire.Decoder()
    decoder.feed(wire.encode(messages.StatusRequest(request_id=1))[:-1])
    with pytest.raises(errors.MessageMalformed, match="middle of a message"):
        decoder.finish()


@pytest.mark.parametrize(
    ("field", "value"), [("count", 0), ("count", 100_001), ("quality", 0), ("quality", 101)]
)
def test_values_out_of_range_are_refused_on_arrival(field: str, value: int) -> None:
    frame = wire.encode(picture_messages.CaptureRequest(request_id=1, **{field: value}))
    with pytest.raises(errors.MessageMalformed, match=field):
        wire.Decoder().feed(frame)


def test_unknown_fields_of_a_newer_peer_are_skipped() -> None:
    import msgspec

    payload = msgspec.msgpack.encode({"type": "StatusRequest", "request_id": 7, "colour": "blue"})
    (message,) = wire.Decoder().feed(struct.pack(">I", len(payload)) + payload)
    assert message == messages.StatusRequest(request_id=7)
