"""A real SSH server with the real daemon behind it, started for these tests and gone after them."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pytest

from tartlet_device.config import ReplaySettings
from tartlet_host.remote import inventory, probe, rollout
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_host.remote.session import open_session
from tartlet_shared.bundle import Bundle
from tests.hardware.real_pi import VARIABLE

Start = Callable[..., EmbeddedDevice]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The smallest real bundle."""
    return probe.write_bundle(tmp_path_factory.mktemp("bundles") / "first", name="first")


@pytest.fixture(scope="session")
def large_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same model with 3 MB beside it that cannot be compressed."""
    folder = tmp_path_factory.mktemp("bundles") / "large"
    return probe.write_bundle(folder, name="large", filler_bytes=3_000_000)


@pytest.fixture(scope="session")
def footage(tmp_path_factory: pytest.TempPathFactory) -> ReplaySettings:
    """Two bright spots, over and over, as fast as they are asked for."""
    folder = tmp_path_factory.mktemp("footage")
    spots = cv2.cvtColor(probe.spots_picture(), cv2.COLOR_RGB2BGR)
    for number in range(3):
        assert cv2.imwrite(str(folder / f"{number}.png"), spots)
    return ReplaySettings(path=str(folder), rate=0)


@pytest.fixture
def start(footage: ReplaySettings) -> Iterator[Start]:
    """Starts a device with the options given; stopped after the test."""
    with contextlib.ExitStack() as stack:

        def begin(**options: object) -> EmbeddedDevice:
            camera = options.pop("camera", footage)
            return stack.enter_context(EmbeddedDevice(camera, **options))  # type: ignore[arg-type]

        yield begin


@pytest.fixture(scope="session")
def shared(footage: ReplaySettings) -> Iterator[EmbeddedDevice]:
    """One device for all tests that change nothing on it; it has no model."""
    with EmbeddedDevice(footage) as device:
        yield device


@pytest.fixture(scope="session")
def steady(footage: ReplaySettings, bundle: Bundle) -> Iterator[EmbeddedDevice]:
    """One device for all tests that only ask; `bundle` serves on it."""
    with EmbeddedDevice(footage) as device:
        push(device, bundle)
        yield device


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys, the agent and the SSH configuration of whoever runs the tests stay out of it.

    Except on a real Pi, which they open.
    """
    if os.environ.get(VARIABLE):
        return
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


@pytest.fixture
def embedded(start: Start) -> EmbeddedDevice:
    """A device of its own for one test, without a model."""
    return start()


@pytest.fixture
def serving(embedded: EmbeddedDevice, bundle: Bundle) -> EmbeddedDevice:
    """A device on which `bundle` serves."""
    push(embedded, bundle)
    return embedded


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a `tartlet` command against a device: exit code, standard output, standard error."""
    from tartlet_host.cli import main

    def command(config_dir: Path, *words: object) -> tuple[int, str, str]:
        monkeypatch.setenv(inventory.CONFIG_DIR_VARIABLE, str(config_dir))
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(word) for word in words])
        said = capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return caught.value.code, said.out, said.err

    return command


def push(embedded: EmbeddedDevice, bundle: Bundle) -> rollout.PushReport:
    """Push and activate."""
    with open_session(embedded.device) as session:
        plan = rollout.plan(bundle, *rollout.facts(session.client, bundle))
        return rollout.apply(plan, session.client, session.connection)


def active_digest(embedded: EmbeddedDevice) -> str | None:
    """The model that the device says it serves."""
    with open_session(embedded.device) as session:
        model = session.client.status().model
        return None if model is None else model.digest


class Relay:
    """Passes bytes on to a port; ends every connection once so many came from the client.

    Args:
        port: on loopback, where to pass bytes to.
        limit: bytes from the client after which it cuts; None for never.
        answer_limit: bytes to the client, of each connection, after which that one is cut.

    Attributes:
        cuts: connections that were cut for their answers.
    """

    def __init__(
        self, port: int, limit: int | None = None, answer_limit: int | None = None
    ) -> None:
        self.passed = self.cuts = 0
        self._answer_limit = answer_limit
        self._limit = limit
        self._behind = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        # A blocked accept is woken by a last connection, not by closing its socket.
        self._limit = -1
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port)).close()
        self._cut()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            if self._limit == -1:
                client.close()
                return
            server = socket.create_connection(("127.0.0.1", self._behind))
            self._open += [client, server]
            for source, sink, counts in ((client, server, True), (server, client, False)):
                thread = threading.Thread(target=self._pass, args=(source, sink, counts))
                self._threads.append(thread)
                thread.start()

    def _pass(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        answered = 0
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                answered += 0 if counts else len(data)
                if self._answer_limit is not None and answered > self._answer_limit:
                    self.cuts += 1
                    break
                if counts:
                    self.passed += len(data)
                    if self._limit is not None and self.passed > self._limit:
                        break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _cut(self) -> None:
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@pytest.fixture
def relay() -> Iterator[Callable[..., Relay]]:
    """Starts relays; ended after the test."""
    with contextlib.ExitStack() as stack:
        yield lambda *limits: stack.enter_context(Relay(*limits))


@pytest.fixture(scope="session")
def helpers() -> type[Helpers]:
    """The functions above; a conftest cannot be imported."""
    return Helpers


class Helpers:
    """What tests do with a device."""

    push = staticmethod(push)
    active_digest = staticmethod(active_digest)
