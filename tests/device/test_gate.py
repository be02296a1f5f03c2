"""What a restricted key may ask for."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from tartlet_device import gate
from tartlet_device.config import DeviceConfig
from tartlet_shared import errors


@pytest.fixture
def config(tmp_path: Path, socket_folder: Path) -> DeviceConfig:
    return DeviceConfig(socket=str(socket_folder / "d.sock"), store=str(tmp_path / "store"))


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "bash",
        "bash -c 'tartlet-device bridge'",
        "tartlet-device",
        "tartlet-device serve",
        "tartlet-device bridge; id",
        "tartlet-device bridge && id",
        "tartlet-device bridge $(id)",
        "tartlet-device bridge --socket /run/docker.sock",
        "tartlet-device bridge --socket",
        "tartlet-device bridge --config /tmp/mine.toml",
        "tartlet-device bridge --socket=/run/docker.sock",
        "tartlet-device 'bridge",
        "scp -t /tmp",
        "sftp",
        "internal-sftp-x",
        "rsync --server . /",
    ],
)
def test_everything_else_is_refused_and_nothing_is_run(asked: str, config: DeviceConfig) -> None:
    with pytest.raises(errors.UsageError, match="for tartlet alone"):
        gate.enter(asked, config)


@pytest.mark.parametrize("which", ["socket_path", "web_socket_path"])
@pytest.mark.parametrize("program", ["tartlet-device", "/usr/local/bin/tartlet-device"])
def test_the_sockets_of_the_device_are_reached(
    which: str, program: str, config: DeviceConfig
) -> None:
    path = getattr(config, which)
    asked = f"{program} bridge" + ("" if which == "socket_path" else f" --socket '{path}'")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        ours, theirs = socket.socketpair()
        passing = threading.Thread(
            target=gate.enter,
            args=(asked, config),
            kwargs={"reading": theirs.fileno(), "writing": theirs.fileno()},
        )
        passing.start()
        listener.settimeout(20)
        connection, _ = listener.accept()
        ours.sendall(b"hello")
        assert connection.recv(5) == b"hello"
        connection.sendall(b"there")
        assert ours.recv(5) == b"there"
        connection.close()
        passing.join(20)
        assert not passing.is_alive()
        ours.close()
        theirs.close()


@pytest.mark.parametrize(
    "asked", ["internal-sftp", "/usr/lib/openssh/sftp-server", "/usr/lib/openssh/sftp-server -f X"]
)
def test_sftp_is_ours(asked: str, config: DeviceConfig) -> None:
    reading, writing = os.pipe()
    answers, answering = os.pipe()
    os.write(writing, b"\0\0\0\x05\x01\0\0\0\x03")
    os.close(writing)
    gate.enter(asked, config, reading=reading, writing=answering)
    assert b"posix-rename" in os.read(answers, 1000)
    for descriptor in (reading, answers, answering):
        os.close(descriptor)
