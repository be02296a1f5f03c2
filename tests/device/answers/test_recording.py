"""Recording over a connection."""

from __future__ import annotations

import itertools
import socket
from typing import Any

import pytest

pytest.importorskip("av", reason="PyAV, the extra `video`, is not installed")

from tartlet_device.answers import recording
from tartlet_device.events.settings import VideoSettings
from tartlet_device.handlers import MOST_RECORDINGS
from tartlet_shared import errors
from tartlet_shared.messages import Failure
from tartlet_shared.record_messages import Recorded, RecordRequest


def received(client: Any) -> list[Recorded]:
    parts: list[Recorded] = []
    while not parts or not parts[-1].last:
        part = client.receive()
        assert isinstance(part, Recorded), part
        parts.append(part)
    return parts


def refused(client: Any, request: RecordRequest) -> Failure:
    """The failure, whatever is said before it to show that somebody is there."""
    client.send(request)
    while not isinstance(answer := client.receive(), Failure):
        assert not answer.frames
    return answer


def test_frames_come_as_they_are_encoded(daemon: Any) -> None:
    client = daemon.connect()
    client.send(RecordRequest(request_id=9, seconds=0.5, rate=20.0))
    parts = received(client)
    assert all(part.request_id == 9 for part in parts)
    (given,) = [part.format for part in parts if part.format is not None]
    assert (given.width, given.height) == (given.seen_width, given.seen_height) == (128, 96)
    assert given.sequence_parameters[0] & 0x1F == 7
    frames = [frame for part in parts for frame in part.frames]
    assert frames[0].key
    times = [frame.frame.monotonic_ns for frame in frames]
    assert all(before < after for before, after in itertools.pairwise(times))
    assert times[-1] - times[0] < 0.5e9
    assert 2 <= len(frames) <= 11
    assert all(frame.content for frame in frames)
    assert not any(part.observations for part in parts)  # no model serves
    # The connection is good for more.
    client.send(RecordRequest(request_id=10, seconds=0.1))
    assert received(client)[-1].last


def test_what_the_model_sees_comes_along(
    daemon: Any, push: Any, make_bundle: Any, until: Any
) -> None:
    daemon.device.model.activate(push(daemon, make_bundle()))
    client = daemon.connect()
    client.send(RecordRequest(request_id=1, seconds=0.5))
    seen = [each for part in received(client) for each in part.observations]
    assert seen
    assert {track.label for each in seen for track in each.tracks} == {"bright"}
    until(lambda: daemon.device.continuous.report() is None)  # it looked only meanwhile


def test_nobody_looks_if_that_is_not_wanted(daemon: Any, push: Any, make_bundle: Any) -> None:
    daemon.device.model.activate(push(daemon, make_bundle()))
    client = daemon.connect()
    client.send(RecordRequest(request_id=1, seconds=0.3, detect=False))
    assert not any(part.observations for part in received(client))


def test_when_the_peer_goes_the_camera_is_left_alone(daemon: Any, until: Any) -> None:
    client = daemon.connect()
    client.send(RecordRequest(request_id=1))
    assert isinstance(client.receive(), Recorded)
    client.socket.shutdown(socket.SHUT_RDWR)
    until(lambda: not daemon.device.camera._orders and not daemon.server._connections)


def test_so_many_at_a_time(daemon: Any, until: Any) -> None:
    clients = [daemon.connect() for _ in range(MOST_RECORDINGS)]
    for client in clients:
        client.send(RecordRequest(request_id=1))
        assert isinstance(client.receive(), Recorded)
    last = daemon.connect()
    answer = refused(last, RecordRequest(request_id=1))
    assert "most at a time" in answer.what
    for client in clients:
        client.socket.shutdown(socket.SHUT_RDWR)
    until(lambda: len(daemon.server._connections) == 1)
    last.send(RecordRequest(request_id=2, seconds=0.1))
    assert received(last)[-1].last


def test_without_an_encoder_the_failure_says_what_to_install(
    daemon: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "av", None)
    answer = refused(daemon.connect(), RecordRequest(request_id=1, seconds=0.1))
    assert answer.code == "device"
    assert "python3-av" in answer.hint


def test_boxes_of_the_last_frame_are_waited_for_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Watcher:
        """The last frame is looked at late; it is waited for, and nothing after it."""

        def __init__(self, numbers: list[int]) -> None:
            self.numbers = numbers

        def next(self, timeout_s: float) -> Any:
            if timeout_s == 0 or not self.numbers:
                return None
            number = self.numbers.pop(0)
            frame = type("F", (), {"number": number})
            return type("U", (), {"observation": type("O", (), {"frame": frame})})

    watcher = Watcher([7, 8, 9, 10])
    late = recording._rest(watcher, 9)  # type: ignore[arg-type]
    assert [each.frame.number for each in late] == [7, 8, 9]
    monkeypatch.setattr(recording, "_LATE_S", 0.05)
    assert recording._rest(Watcher([]), 9) == ()  # type: ignore[arg-type]


def test_settings_are_those_of_the_request(daemon: Any) -> None:
    device = daemon.device
    opened: list[VideoSettings] = []

    def encoder(size: object, settings: VideoSettings) -> Any:
        opened.append(settings)
        raise errors.DeviceError("enough")

    request = RecordRequest(request_id=1, rate=7.0, bitrate_kbps=123)
    replies = recording.recorded(
        request,
        device.camera,
        device.continuous,
        VideoSettings(encoder="software", rate=1.0),
        frame_timeout_s=5.0,
        detect=False,
        encoder=encoder,
    )
    with pytest.raises(errors.DeviceError, match="enough"):
        list(replies)
    (used,) = opened
    assert (used.rate, used.bitrate_kbps, used.encoder) == (7.0, 123, "software")
