from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tartlet_host.remote import pinning, sshconfig, sshd
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_host.remote.inventory import Device
from tartlet_host.remote.session import find_device, jump_keys_of, open_session, target_of
from tartlet_host.remote.stream import BridgeStream, ChannelStream
from tartlet_host.remote.target import Lookup
from tartlet_shared import errors, messages, wire
from tartlet_shared.messages import Hello

pytestmark = pytest.mark.system

Start = Callable[..., EmbeddedDevice]
NO_STREAMLOCAL = ["AllowStreamLocalForwarding no"]


def test_one_connection_without_delay_reaches_the_daemon(shared: EmbeddedDevice) -> None:
    with open_session(shared.device) as session:
        assert session.client.status().camera == "replay"
        counter = session.connection._counter
        assert counter.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        assert type(session.client._stream) is ChannelStream
        assert 0 < session.connection.bytes_sent < 4096
        assert session.connection.bytes_received > 0


def test_where_sockets_are_forbidden_the_bridge_is_used(start: Start) -> None:
    embedded = start(sshd_options=NO_STREAMLOCAL)
    with open_session(embedded.device) as session:
        assert type(session.client._stream) is BridgeStream
        assert session.client.status().camera == "replay"
        photos = list(session.client.capture(3))
        assert [photo.remaining for photo in photos] == [2, 1, 0]


def test_no_bridge_command_says_that_the_device_is_not_set_up(start: Start) -> None:
    embedded = start(sshd_options=NO_STREAMLOCAL)
    device = replace(embedded.device, bridge="no-such-command-here bridge")
    with (
        pytest.raises(errors.DaemonNotRunning, match="no-such-command-here") as caught,
        open_session(device),
    ):
        pass
    assert "tartlet device setup" in caught.value.hint


@pytest.mark.parametrize("options", [[], NO_STREAMLOCAL])
@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_no_daemon_is_told_apart_from_no_permission(
    start: Start, options: list[str], how: str
) -> None:
    embedded = start(sshd_options=options)
    if how == "killed":  # its socket is left behind, with nobody at it
        assert embedded.daemon_pid is not None
        os.kill(embedded.daemon_pid, signal.SIGKILL)
        assert embedded.socket_path.exists()
    embedded.stop_daemon()
    with pytest.raises(errors.DaemonNotRunning) as caught, open_session(embedded.device):
        pass
    assert "systemctl status tartlet" in caught.value.hint


def test_a_daemon_that_comes_back_is_reached_again(embedded: EmbeddedDevice) -> None:
    first = embedded.daemon_pid
    embedded.restart_daemon()
    assert embedded.daemon_pid != first
    with open_session(embedded.device) as session:
        session.client.status()


def test_a_daemon_that_dies_is_a_lost_connection(embedded: EmbeddedDevice) -> None:
    with open_session(embedded.device) as session:
        session.client.status()
        embedded.stop_daemon()
        with pytest.raises(errors.ConnectionLost, match="asking for status"):
            session.client.status()


def test_an_ssh_server_that_dies_is_a_lost_connection(
    shared: EmbeddedDevice, relay: Callable[..., object]
) -> None:
    line = relay(shared.ssh.port)
    device = replace(shared.device, port=line.port)  # type: ignore[attr-defined]
    with open_session(device) as session:
        session.client.status()
        line._cut()  # type: ignore[attr-defined]
        with pytest.raises(errors.ConnectionLost):
            session.client.status()


# -- the OpenSSH configuration


def reading(path: Path) -> Lookup:
    return partial(sshconfig.lookup, files=(path,))


def test_an_alias_of_the_ssh_configuration_is_enough(
    shared: EmbeddedDevice, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text(
        f"Host shed\n  HostName 127.0.0.1\n  Port {shared.ssh.port}\n"
        f"  User {shared.device.user}\n  IdentityFile {shared.ssh.identity}\n"
        "  IdentitiesOnly yes\n"
    )
    device = replace(shared.device, address="shed", user="", port=0, identity="")
    with open_session(device, read_config=reading(config)) as session:
        session.client.status()
        assert session.connection.target.port == shared.ssh.port


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[sshd.Sshd]:
    """A second SSH server, to jump through."""
    folder = tmp_path / "gate"
    folder.mkdir()
    server = sshd.start(folder)
    try:
        yield server
    finally:
        server.stop()


def jumping(embedded: EmbeddedDevice, gate: sshd.Sshd, tmp_path: Path) -> tuple[Device, Path]:
    config = tmp_path / "config"
    config.write_text(
        f"Host gate\n  HostName 127.0.0.1\n  Port {gate.port}\n"
        f"  IdentityFile {gate.identity}\n"
        f"Host shed\n  HostName 127.0.0.1\n  Port {embedded.ssh.port}\n"
        "  ProxyJump gate\n"
    )
    return replace(embedded.device, address="shed", user="", port=0), config


def test_a_device_behind_a_jump_is_reached_through_one_connection(
    shared: EmbeddedDevice, gate: sshd.Sshd, tmp_path: Path
) -> None:
    device, config = jumping(shared, gate, tmp_path)
    shown: list[pinning.Shown] = []

    def accept(key: pinning.Shown) -> bool:
        shown.append(key)
        return True

    pins = pinning.collect(target_of(device, reading(config)), accept)
    assert [(key.address, key.is_jump) for key in shown] == [
        (f"127.0.0.1:{gate.port}", True),
        (f"127.0.0.1:{shared.ssh.port}", False),
    ]
    assert pins.host_key == shared.ssh.host_key
    keys = {address: str(key) for address, key in pins.jump_keys.items()}
    device = replace(device, host_key=str(pins.host_key), jump_keys=keys)
    with open_session(device, read_config=reading(config)) as session:
        session.client.status()
        assert session.connection._counter.getpeername()[1] == gate.port
        assert session.connection.bytes_sent > 2000  # two handshakes went through it
    # Known keys are not asked about again.
    shown.clear()
    again = pinning.collect(
        target_of(device, reading(config)),
        accept,
        pinned=pins.host_key,
        known_jumps=jump_keys_of(device),
    )
    assert again == pins
    assert shown == []


def test_an_unknown_jump_is_refused_before_logging_in_there(
    shared: EmbeddedDevice, gate: sshd.Sshd, tmp_path: Path
) -> None:
    device, config = jumping(shared, gate, tmp_path)
    with (
        pytest.raises(errors.HostKeyUnknown) as caught,
        open_session(device, read_config=reading(config)),
    ):
        pass
    assert str(gate.port) in caught.value.where
    assert "Accepted" not in (tmp_path / "gate" / "sshd.log").read_text()


def test_a_jump_that_cannot_reach_the_device_says_so(
    embedded: EmbeddedDevice, gate: sshd.Sshd, tmp_path: Path
) -> None:
    device, config = jumping(embedded, gate, tmp_path)
    embedded.ssh.stop()
    keys = {f"127.0.0.1:{gate.port}": str(gate.host_key)}
    with (
        pytest.raises(errors.Unreachable, match=f"cannot be reached from 127.0.0.1:{gate.port}"),
        open_session(replace(device, jump_keys=keys), read_config=reading(config)),
    ):
        pass


RELAY = """
import os, socket, sys, threading
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def up():
    while data := os.read(0, 65536):
        s.sendall(data)
threading.Thread(target=up, daemon=True).start()
while data := s.recv(65536):
    os.write(1, data)
"""


def test_a_proxy_command_carries_the_connection(shared: EmbeddedDevice, tmp_path: Path) -> None:
    script, config = tmp_path / "relay.py", tmp_path / "config"
    script.write_text(RELAY)
    config.write_text(f"Host 127.0.0.1\n  ProxyCommand {sys.executable} {script} %h %p\n")
    with open_session(shared.device, read_config=reading(config)) as session:
        started = time.monotonic()
        for _ in range(5):
            session.client.status()
        assert session.connection._counter.family == socket.AF_UNIX
        assert time.monotonic() - started < 5


def test_a_proxy_command_that_fails_is_unreachable(shared: EmbeddedDevice, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host 127.0.0.1\n  ProxyCommand false\n")
    with (
        pytest.raises(errors.Unreachable),
        open_session(shared.device, read_config=reading(config)),
    ):
        pass


# -- nobody there, or somebody else


def test_a_closed_port_and_an_unknown_name_are_told_apart(
    embedded: EmbeddedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded.ssh.stop()
    with pytest.raises(errors.Unreachable, match="nothing listens"), open_session(embedded.device):
        pass

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with (
        pytest.raises(errors.Unreachable, match="name is not known"),
        open_session(embedded.device),
    ):
        pass


def test_a_server_that_does_not_speak_ssh_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        device = find_device(f"x@127.0.0.1:{listener.getsockname()[1]}", Path("none"))
        with pytest.raises(errors.Unreachable, match="no SSH connection"), open_session(device):
            pass
        thread.join()


@contextlib.contextmanager
def pretending(path: Path, answer: bytes) -> Iterator[None]:
    """A daemon that reads one message and gives this answer."""
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def converse() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)
                connection.recv(4096)

        thread = threading.Thread(target=converse)
        thread.start()
        yield
        thread.join()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (
            wire.encode(Hello(protocol=99, fingerprint="x", software="9.0")),
            errors.VersionMismatch,
        ),
        (
            wire.encode(messages.failure(0, errors.VersionMismatch("speaks 99", hint="upgrade"))),
            errors.VersionMismatch,
        ),
        (b"GET / HTTP/1.1\r\n\r\n", errors.ProtocolError),
    ],
)
def test_a_daemon_that_we_do_not_understand_is_refused(
    embedded: EmbeddedDevice, answer: bytes, error: type[Exception]
) -> None:
    embedded.stop_daemon()
    with (
        pretending(embedded.socket_path, answer),
        pytest.raises(error),
        open_session(embedded.device),
    ):
        pass
