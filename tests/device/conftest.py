"""A tiny real model, bundles made of it, and a daemon around it."""

from __future__ import annotations

import functools
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import cv2
import msgspec
import numpy as np
import pytest

from tartlet_device import handlers
from tartlet_device.assembly import assembled
from tartlet_device.config import DeviceConfig, ReplaySettings
from tartlet_device.live_config import LiveConfig
from tartlet_device.server import Server
from tartlet_device.web.site import served
from tartlet_shared import manifest, messages, push_messages, wire
from tartlet_shared.fingerprint import fingerprint
from tests.tiny_model import (
    BRIGHT_MODEL,
    DECODING,
    HEIGHT,
    PREPROCESSING,
    WIDTH,
    BundleMaker,
    bright_picture,
)


@pytest.fixture
def make_bundle(tmp_path) -> BundleMaker:
    folder = tmp_path / "made"
    folder.mkdir()
    return BundleMaker(folder)


@pytest.fixture(scope="session")
def bright_onnx(tmp_path_factory) -> Path:
    """The same network as the TFLite file, float, written with the onnx package."""
    from onnx import TensorProto, checker, helper, numpy_helper

    nodes = [helper.make_node("Transpose", ["picture"], ["nchw"], perm=[0, 3, 1, 2])]
    weights, outputs = [], []
    for level, stride in enumerate((8, 16)):
        bias = 0.0 if level == 0 else -2.0
        for part, channels, gain, offset in (("scores", 1, 8.0, bias), ("boxes", 4, 0.1, 1.0)):
            name = f"{part}_{level}"
            weight = np.full((channels, 3, stride, stride), gain / (3 * stride**2), np.float32)
            weights.append(numpy_helper.from_array(weight, f"{name}_w"))
            weights.append(
                numpy_helper.from_array(np.full(channels, offset, np.float32), f"{name}_b")
            )
            nodes.append(
                helper.make_node(
                    "Conv",
                    ["nchw", f"{name}_w", f"{name}_b"],
                    [f"{name}_nchw"],
                    kernel_shape=[stride, stride],
                    strides=[stride, stride],
                )
            )
            nodes.append(helper.make_node("Transpose", [f"{name}_nchw"], [name], perm=[0, 2, 3, 1]))
            shape = [1, HEIGHT // stride, WIDTH // stride, channels]
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, HEIGHT, WIDTH, 3])
    graph = helper.make_graph(nodes, "bright", [picture], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    checker.check_model(model)
    path = tmp_path_factory.mktemp("onnx") / "bright.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def socket_folder() -> Iterator[Path]:
    """A folder with a short path: a Unix socket's address has room for 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="tt") as folder:
        yield Path(folder)


@pytest.fixture
def footage(tmp_path) -> Path:
    """A folder of five lossless photos; the bright spot moves to the right."""
    folder = tmp_path / "footage"
    folder.mkdir()
    for number in range(1, 6):
        left = 16 * number
        picture = bright_picture((left, 32, left + 32, 64))
        cv2.imwrite(str(folder / f"photo_{number}.png"), picture)
    return folder


class Client:
    """One connection to a daemon."""

    def __init__(self, path: Path, *, greet: bool = True) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(20)
        self.socket.connect(str(path))
        self._decoder = wire.Decoder()
        self._pending: list[messages.AnyMessage] = []
        if greet:
            self.send(hello())
            assert isinstance(self.receive(), messages.Hello)

    def send(self, *sent: messages.AnyMessage) -> None:
        self.socket.sendall(b"".join(wire.encode(each) for each in sent))

    def receive(self) -> messages.AnyMessage | None:
        """The next message; None when the daemon closed the connection."""
        while not self._pending:
            chunk = self.socket.recv(1 << 16)
            if not chunk:
                return None
            self._pending += self._decoder.feed(chunk)
        return self._pending.pop(0)

    def ask(self, request: messages.RequestMessage) -> messages.AnyMessage | None:
        self.send(request)
        return self.receive()

    def close(self) -> None:
        self.socket.close()


def hello(protocol: int = messages.PROTOCOL_VERSION) -> messages.Hello:
    return messages.Hello(protocol=protocol, fingerprint=fingerprint(), software="test")


@dataclass
class Daemon:
    """A device that is served, in threads of the test."""

    device: handlers.Device
    server: Server
    path: Path
    clients: list[Client] = field(default_factory=list)
    ticks: int = 0

    def connect(self, *, greet: bool = True) -> Client:
        client = Client(self.path, greet=greet)
        self.clients.append(client)
        return client

    def tick(self) -> None:
        self.ticks += 1


@pytest.fixture
def daemon(tmp_path, socket_folder, footage) -> Iterator[Daemon]:
    path = socket_folder / "d.sock"
    config = DeviceConfig(
        socket=str(path),
        store=str(tmp_path / "store"),
        camera=ReplaySettings(path=str(footage), rate=0),
        threads=1,
    )
    with assembled(LiveConfig(None, config)) as device, served(device):
        server = Server(path, functools.partial(handlers.answer, device))
        running = Daemon(device, server, path)
        thread = threading.Thread(target=server.serve, args=(running.tick, 0.05))
        thread.start()
        try:
            yield running
        finally:
            for client in running.clients:
                client.close()
            server.stop()
            thread.join(10)
            server.close()
            assert not thread.is_alive()


@pytest.fixture
def push() -> Callable[[Daemon, Path], str]:
    """Push a bundle the way a laptop does; returns its digest."""

    def push(daemon: Daemon, folder: Path) -> str:
        client = daemon.connect()
        content = (folder / manifest.MANIFEST_NAME).read_bytes()
        wanted = client.ask(push_messages.OfferRequest(request_id=1, manifest=content))
        assert isinstance(wanted, push_messages.Wanted)
        for entry in wanted.files:
            shutil.copy(folder / entry.name, Path(wanted.folder) / entry.sha256)
        accepted = client.ask(push_messages.AcceptRequest(request_id=2, digest=wanted.digest))
        assert isinstance(accepted, push_messages.Accepted), accepted
        client.close()
        return wanted.digest

    return push


@pytest.fixture
def change_manifest() -> Callable[..., None]:
    """Rewrite fields of a bundle's manifest in place."""

    def change(folder: Path, **fields: object) -> str:
        path = folder / manifest.MANIFEST_NAME
        changed = msgspec.structs.replace(manifest.decode(path.read_bytes()), **fields)
        path.write_bytes(manifest.encode(changed))
        return manifest.digest(path.read_bytes())

    return change


@pytest.fixture(scope="session")
def kit() -> SimpleNamespace:
    """What tests use beside the fixtures."""
    return SimpleNamespace(
        model=BRIGHT_MODEL,
        preprocessing=PREPROCESSING,
        decoding=DECODING,
        picture=bright_picture,
        hello=hello,
    )


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Wait until something becomes true in another thread or process; fails after 20 s."""

    def until(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.005)

    return until
