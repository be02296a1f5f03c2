from __future__ import annotations

import socket
import stat
import struct
import threading
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tartlet_device import server as servers
from tartlet_device.connections import Connections
from tartlet_device.server import MOST_CONNECTIONS, Server
from tartlet_shared import errors, picture_messages, wire
from tartlet_shared.messages import Failure, Status, StatusRequest
from tartlet_shared.picture_messages import CaptureRequest, Photo, Prediction, PredictRequest
from tartlet_shared.push_messages import (
    AcceptRequest,
    Activated,
    ActivateRequest,
    Have,
    HaveRequest,
    OfferRequest,
    RollbackRequest,
)


def assert_failure(message, kind, request_id) -> Failure:
    assert isinstance(message, Failure), message
    assert (message.code, message.request_id) == (kind.code, request_id)
    return message


# -- conversation


def test_status_of_a_device_without_a_model(daemon):
    status = daemon.connect().ask(StatusRequest(request_id=5))
    assert isinstance(status, Status)
    assert (status.request_id, status.model, status.previous) == (5, None, None)
    assert status.camera == "replay"
    assert status.camera_error == ""
    assert set(status.runtimes) == {"litert", "onnx"}
    assert status.resident_bytes > 10_000_000
    assert status.free_bytes > 0


def test_replies_come_in_the_order_of_the_requests(daemon):
    client = daemon.connect()
    client.send(*(StatusRequest(request_id=number) for number in range(20)))
    assert [client.receive().request_id for _ in range(20)] == list(range(20))


def test_photos_are_consecutive_and_say_how_many_follow(daemon):
    client = daemon.connect()
    client.send(CaptureRequest(request_id=1, count=7, quality=80))
    photos = [client.receive() for _ in range(7)]
    assert [photo.frame.number for photo in photos] == [1, 2, 3, 4, 5, 1, 2]
    assert [photo.remaining for photo in photos] == [6, 5, 4, 3, 2, 1, 0]
    picture = cv2.imdecode(np.frombuffer(photos[0].jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (photos[0].height, photos[0].width, 3) == (96, 128, 3)


def test_predict_from_the_camera(daemon, make_bundle, push):
    client = daemon.connect()
    assert_failure(client.ask(PredictRequest(request_id=3)), errors.NoActiveModel, 3)
    digest = push(daemon, make_bundle())
    client.ask(ActivateRequest(request_id=4, digest=digest))
    prediction = client.ask(PredictRequest(request_id=5))
    assert isinstance(prediction, Prediction)
    left = 16 * prediction.frame.number
    found = picture_messages.unpack(prediction.detections)
    centre = (found.xyxy[0, 0] + found.xyxy[0, 2]) / 2
    assert left <= centre <= left + 32
    assert (prediction.labels, prediction.model) == (("bright",), digest)
    assert (prediction.width, prediction.height) == (128, 96)
    assert prediction.jpeg.startswith(b"\xff\xd8")
    times = prediction.timings
    parts = times.capture + times.preprocess + times.inference + times.postprocess + times.encode
    assert parts <= times.total + 1e-6
    without = client.ask(PredictRequest(request_id=6, want_picture=False))
    assert without.jpeg == b""


def test_predict_on_a_picture_that_was_sent(daemon, make_bundle, push, kit):
    client = daemon.connect()
    client.ask(ActivateRequest(request_id=1, digest=push(daemon, make_bundle())))
    picture = cv2.imencode(".png", kit.picture((64, 32, 96, 64)))[1].tobytes()
    prediction = client.ask(PredictRequest(request_id=2, picture=picture))
    assert (prediction.frame, prediction.jpeg) == (None, b"")
    assert len(picture_messages.unpack(prediction.detections)) >= 1
    none = client.ask(PredictRequest(request_id=3, picture=picture, score_threshold=1.0))
    assert len(picture_messages.unpack(none.detections)) == 0
    for broken in (b"no picture", picture[:80]):
        failure = client.ask(PredictRequest(request_id=4, picture=broken))
        assert_failure(failure, errors.PictureUnreadable, 4)
    assert isinstance(client.ask(StatusRequest(request_id=5)), Status)


def test_push_activate_and_roll_back(daemon, make_bundle, push):
    client = daemon.connect()
    first = push(daemon, make_bundle("first"))
    assert client.ask(HaveRequest(request_id=1, digest=first)) == Have(
        request_id=1, stored=True, active=False
    )
    activated = client.ask(ActivateRequest(request_id=2, digest=first))
    assert isinstance(activated, Activated), activated
    assert (activated.digest, activated.previous) == (first, None)
    assert activated.self_test.detections >= 1
    assert_failure(client.ask(RollbackRequest(request_id=3)), errors.NothingToRollBackTo, 3)
    second = push(daemon, make_bundle("second"))
    assert client.ask(ActivateRequest(request_id=4, digest=second)).previous == first
    assert client.ask(HaveRequest(request_id=5, digest=second)).active
    back = client.ask(RollbackRequest(request_id=6))
    assert (back.digest, back.previous) == (first, second)
    status = client.ask(StatusRequest(request_id=7))
    assert (status.model.digest, status.model.name) == (first, "first")
    assert status.previous == second


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        (ActivateRequest(request_id=9, digest="0" * 64), errors.BundleNotOnDevice),
        (AcceptRequest(request_id=9, digest="0" * 64), errors.BundleNotOnDevice),
        (OfferRequest(request_id=9, manifest=b"{}"), errors.BundleCorrupt),
        (RollbackRequest(request_id=9), errors.NothingToRollBackTo),
        (PredictRequest(request_id=9, picture=b"GIF89a"), errors.PictureUnreadable),
    ],
)
def test_refusals_carry_their_code_and_the_connection_goes_on(daemon, request_, kind):
    client = daemon.connect()
    failure = assert_failure(client.ask(request_), kind, 9)
    assert failure.what
    assert failure.hint
    assert isinstance(client.ask(StatusRequest(request_id=10)), Status)


def test_a_camera_without_frames_is_a_failure_and_in_the_status(daemon, footage):
    for photo in footage.iterdir():
        photo.write_bytes(b"gone")
    client = daemon.connect()
    client.send(CaptureRequest(request_id=1, count=20))
    while isinstance(client.receive(), Photo):
        pass  # the one that was read before the photos were damaged
    failure = client.ask(CaptureRequest(request_id=2))
    assert_failure(failure, errors.FootageUnreadable, 2)
    assert str(footage) in failure.where
    assert str(footage) in client.ask(StatusRequest(request_id=3)).camera_error


def test_what_nobody_expected_is_logged_and_a_failure(daemon, monkeypatch, caplog):
    monkeypatch.setattr(daemon.device.store, "has", lambda _digest: 1 / 0)
    client = daemon.connect()
    failure = client.ask(HaveRequest(request_id=4, digest="0" * 64))
    assert_failure(failure, errors.TartletError, 4)
    assert "ZeroDivisionError" in failure.what
    assert "Traceback" in caplog.text
    assert isinstance(client.ask(StatusRequest(request_id=5)), Status)


def test_a_reply_that_is_too_long_is_a_failure(daemon, monkeypatch):
    encode = wire.encode

    def refuse_photos(message):
        if isinstance(message, Photo):
            raise errors.MessageTooLarge("too long")
        return encode(message)

    monkeypatch.setattr(servers.wire, "encode", refuse_photos)
    client = daemon.connect()
    client.socket.sendall(encode(CaptureRequest(request_id=8, count=3)))
    assert_failure(client.receive(), errors.MessageTooLarge, 8)
    client.socket.sendall(encode(StatusRequest(request_id=9)))
    assert client.receive().request_id == 9


# -- peers that misbehave


@pytest.mark.parametrize("protocol", [0, 2, 99])
def test_another_protocol_version_is_refused(daemon, kit, protocol):
    client = daemon.connect(greet=False)
    client.send(kit.hello(protocol))
    failure = assert_failure(client.receive(), errors.VersionMismatch, 0)
    assert "upgrade" in failure.hint
    assert client.receive() is None


def test_a_peer_that_says_nothing_is_let_go(daemon, monkeypatch):
    monkeypatch.setattr(servers, "HELLO_TIMEOUT_S", 0.05)
    assert daemon.connect(greet=False).receive() is None


def test_the_first_message_must_be_a_hello(daemon):
    client = daemon.connect(greet=False)
    client.send(StatusRequest(request_id=1))
    assert_failure(client.receive(), errors.MessageMalformed, 0)
    assert client.receive() is None


@pytest.mark.parametrize("what", ["hello", "reply"])
def test_only_requests_may_follow(daemon, kit, what):
    client = daemon.connect()
    client.send(kit.hello() if what == "hello" else Have(request_id=1, stored=True, active=True))
    assert_failure(client.receive(), errors.MessageMalformed, 0)
    assert client.receive() is None


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (struct.pack(">I", 5) + b"hello", errors.MessageMalformed),
        (b"SSH-2.0-OpenSSH_9.2\r\n", errors.MessageTooLarge),
        (struct.pack(">I", wire.MAX_FRAME + 1), errors.MessageTooLarge),
        (struct.pack(">I", 0), errors.MessageMalformed),
    ],
)
@pytest.mark.parametrize("greet", [False, True])
def test_bytes_that_are_no_message_close_that_connection_only(daemon, sent, kind, greet):
    other = daemon.connect()
    client = daemon.connect(greet=greet)
    client.socket.sendall(sent)
    assert_failure(client.receive(), kind, 0)
    assert client.receive() is None
    assert isinstance(other.ask(StatusRequest(request_id=1)), Status)


def test_a_connection_that_ends_inside_a_message_is_told_so(daemon):
    client = daemon.connect()
    client.socket.sendall(struct.pack(">I", 100) + b"half")
    client.socket.shutdown(socket.SHUT_WR)
    assert_failure(client.receive(), errors.MessageMalformed, 0)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cuts=st.lists(st.integers(1, 60), max_size=12))
def test_requests_may_arrive_in_any_pieces(daemon, kit, cuts):
    sent = wire.encode(kit.hello()) + wire.encode(StatusRequest(request_id=7))
    client = daemon.connect(greet=False)
    for cut in cuts:
        client.socket.sendall(sent[:cut])
        sent = sent[cut:]
    client.socket.sendall(sent)
    client.receive()
    assert client.receive().request_id == 7
    client.close()


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(noise=st.binary(min_size=1, max_size=200))
def test_noise_never_harms_the_daemon(daemon, noise):
    client = daemon.connect(greet=False)
    client.socket.sendall(noise)
    client.socket.shutdown(socket.SHUT_WR)
    answer = client.receive()
    assert answer is None or isinstance(answer, Failure)
    client.close()


def test_a_client_that_vanishes_in_the_middle_of_a_reply_is_no_error(daemon, caplog, until):
    client = daemon.connect()
    client.send(CaptureRequest(request_id=1, count=100_000))
    client.receive()
    client.close()
    other = daemon.connect()
    until(lambda: not daemon.device.camera._orders)  # nobody goes on taking its photos
    assert isinstance(other.ask(StatusRequest(request_id=1)), Status)
    assert "Traceback" not in caplog.text


def test_many_clients_at_once(daemon, make_bundle, push):
    digest = push(daemon, make_bundle())
    daemon.connect().ask(ActivateRequest(request_id=1, digest=digest))
    seen: list[int] = []

    def work(client):
        for number in range(10):
            reply = client.ask(PredictRequest(request_id=number, want_picture=False))
            assert isinstance(reply, Prediction)
            seen.append(reply.request_id)

    threads = [threading.Thread(target=work, args=(daemon.connect(),)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(seen) == 60


def test_too_many_connections_are_refused_and_room_is_made_again(daemon, until):
    clients = [daemon.connect() for _ in range(MOST_CONNECTIONS)]
    refused = daemon.connect(greet=False)
    assert_failure(refused.receive(), errors.DeviceError, 0)
    clients[0].close()
    until(lambda: len(daemon.server._connections) < MOST_CONNECTIONS)
    assert isinstance(daemon.connect().ask(StatusRequest(request_id=1)), Status)


# -- the socket


def test_the_socket_is_for_owner_and_group_only(daemon):
    mode = daemon.path.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o660


def test_a_second_daemon_on_the_same_socket_is_refused(daemon):
    with pytest.raises(errors.DeviceError, match="another tartlet daemon"):
        Server(daemon.path, lambda _request: iter(()))
    assert isinstance(daemon.connect().ask(StatusRequest(request_id=1)), Status)


@pytest.mark.parametrize("leftover", ["socket", "file"])
def test_what_a_killed_daemon_left_is_replaced(socket_folder, leftover):
    path = socket_folder / "d.sock"
    if leftover == "socket":
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
    else:
        path.touch()
    server = Server(path, lambda _request: iter(()))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    server.close()
    assert list(socket_folder.iterdir()) == []


def test_closing_leaves_the_socket_of_a_successor_alone(socket_folder):
    path = socket_folder / "d.sock"
    old = Server(path, lambda _request: iter(()))
    path.unlink()
    new = Server(path, lambda _request: iter(()))
    old.close()
    assert path.exists()
    new.close()
    assert not path.exists()


def test_a_path_too_long_for_a_socket_is_said_so(tmp_path):
    with pytest.raises(errors.ConfigError, match="107"):
        Server(tmp_path / ("x" * 110), lambda _request: iter(()))


def test_a_folder_that_cannot_be_written_is_said_so(tmp_path, socket_folder):
    (socket_folder / "file").touch()
    with pytest.raises(errors.DeviceError, match="cannot listen"):
        Server(socket_folder / "file" / "d.sock", lambda _request: iter(()))


def test_the_tick_goes_on_while_clients_are_served(daemon, until):
    client = daemon.connect()
    ticks = daemon.ticks
    until(lambda: daemon.ticks > ticks + 2)
    assert isinstance(client.ask(StatusRequest(request_id=1)), Status)


def test_a_descriptor_that_cannot_be_accepted_does_not_end_the_daemon(caplog):
    def no_descriptor():
        raise OSError(24, "too many files")

    connections = Connections("test", 1, use=lambda _connection: None, refusal=b"")
    connections.accept(SimpleNamespace(accept=no_descriptor))
    assert "too many files" in caplog.text
    assert len(connections) == 0


def test_a_thread_that_cannot_be_started_ends_that_connection_only(monkeypatch, caplog):
    def no_room(_thread):
        raise RuntimeError("can't start new thread")

    ours, theirs = socket.socketpair()
    connections = Connections("test", 1, use=lambda _connection: None, refusal=b"")
    with ours, theirs, monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_room)
        connections.accept(SimpleNamespace(accept=lambda: (ours, None)))
        assert theirs.recv(1) == b""
    assert "can't start new thread" in caplog.text
    assert len(connections) == 0
