"""Items to tell, a real MQTT broker, and a client that listens to it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tartlet_shared.health_messages import (
    DetectionStatus,
    DeviceHealth,
    EventsHealth,
    OutputHealth,
    ProcessHealth,
    StageHealth,
)
from tartlet_shared.messages import FrameInfo
from tartlet_shared.observation import EventBegan, EventEnded, Observation, Track

FIGURES = DeviceHealth(
    uptime_s=5.0,
    temperature_c=61.5,
    throttled=("under-voltage now",),
    clock_synchronized=True,
    resident_bytes=1000,
    children=(
        ProcessHealth(name="camera", pid=7, resident_bytes=30),
        ProcessHealth(name="camera", pid=8, resident_bytes=12),
    ),
    cma_free_bytes=4000,
    cma_total_bytes=8000,
    free_bytes=2000,
    read_only=True,
    camera_frames=90,
    camera_restarts=2,
    camera_fault="unplugged",
    detection=DetectionStatus(
        frames=6,
        still=0,
        rate=1.0,
        latency_p50_ms=40.0,
        latency_p95_ms=60.0,
        inference_p50_ms=20.0,
        inference_p95_ms=30.0,
    ),
    stages=(StageHealth(name="inference", waiting=2, most=4, dropped=5),),
    events=EventsHealth(lost=3, faults={"video": "no encoder"}),
    outputs=(
        OutputHealth(
            name='odd"\n\\name', queued=3, delivered=7, dropped_events=1, last_error="away"
        ),
    ),
)


def began(number: int, rule: str = "door", label: str = "person") -> EventBegan:
    return EventBegan(
        event_id=f"{number:013d}",
        rule=rule,
        label=label,
        zone=None,
        track_id=number,
        time_s=1e9 + number,
        clock_synchronized=True,
        monotonic_ns=number,
    )


def ended(number: int) -> EventEnded:
    return EventEnded(
        event_id=f"{number:013d}",
        time_s=1e9 + number,
        clock_synchronized=True,
        monotonic_ns=number,
        best_score=0.5,
        best_xyxy=(1.0, 2.0, 3.0, 4.0),
        best_frame=number,
    )


def observed(
    number: int, *labels: str, zones: tuple[str, ...] = (), taken_ns: int | None = None
) -> Observation:
    return Observation(
        frame=FrameInfo(number=number, monotonic_ns=number if taken_ns is None else taken_ns),
        time_s=1e9 + number,
        clock_synchronized=True,
        width=640,
        height=480,
        tracks=tuple(
            Track(
                track_id=index,
                label=label,
                score=0.75,
                xyxy=(0.0, 0.0, 10.0, 10.0),
                frames=3,
                since_ns=0,
                zones=zones,
            )
            for index, label in enumerate(labels)
        ),
    )


@pytest.fixture(scope="session")
def items() -> SimpleNamespace:
    """Makers of items."""
    return SimpleNamespace(began=began, ended=ended, observed=observed, figures=FIGURES)


class Broker:
    """A mosquitto of its own, on loopback, that keeps its state over a restart."""

    def __init__(self, folder: Path, *lines: str) -> None:
        self.folder = folder
        self.port = free_port()
        self._lines = lines or (f"listener {self.port} 127.0.0.1", "allow_anonymous true")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Broker:
        user = ["user root"] if os.geteuid() == 0 else []
        lines = [line.format(port=self.port, folder=self.folder) for line in self._lines]
        settings = self.folder / "mosquitto.conf"
        settings.write_text(
            "\n".join(
                [*user, "persistence true", f"persistence_location {self.folder}/", *lines, ""]
            )
        )
        program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program, "mosquitto is missing: scripts/prepare.sh installs it"
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, "-c", str(settings)], stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert self._process.poll() is None, (self.folder / "mosquitto.log").read_text()
                assert time.monotonic() < deadline, "mosquitto does not listen"
                time.sleep(0.02)
            else:
                return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(20)
            self._process = None


@pytest.fixture
def make_broker(tmp_path) -> Iterator[Callable[..., Broker]]:
    made: list[Broker] = []

    def make(*lines: str) -> Broker:
        folder = tmp_path / f"broker-{len(made)}"
        folder.mkdir()
        made.append(Broker(folder, *lines))
        return made[-1]

    yield make
    for broker in made:
        broker.stop()


class Listener:
    """Subscribes to everything, in a session that outlives the broker's restarts."""

    def __init__(self, port: int, username: str | None = None, password: str | None = None) -> None:
        from paho.mqtt import client as paho
        from paho.mqtt.enums import CallbackAPIVersion

        self._lock = threading.Lock()
        self._received: list[tuple[str, bytes, bool]] = []
        self._ready = threading.Event()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=f"listener-{port}", clean_session=False
        )
        if username is not None:
            self._client.username_pw_set(username, password)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._ready.wait(20)

    def _take(self, client, userdata, message) -> None:
        with self._lock:
            self._received.append((message.topic, message.payload, message.retain))

    def of(self, topic: str) -> list[bytes]:
        with self._lock:
            return [payload for name, payload, _ in self._received if name == topic]

    def retained(self) -> dict[str, bytes]:
        with self._lock:
            return {name: payload for name, payload, retain in self._received if retain}

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def listen() -> Iterator[Callable[..., Listener]]:
    made: list[Listener] = []

    def listen(port: int, *arguments: str) -> Listener:
        made.append(Listener(port, *arguments))
        return made[-1]

    yield listen
    for listener in made:
        listener.close()


@pytest.fixture(scope="session")
def port() -> Callable[[], int]:
    return free_port


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def closing() -> Iterator[Callable]:
    """Stops outputs at the end of a test."""
    opened: list = []

    def closing(output):
        opened.append(output)
        return output

    yield closing
    for output in opened:
        output.stop(5.0)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory) -> SimpleNamespace:
    """A certificate authority, and certificates by it for 127.0.0.1 and for a device."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder = tmp_path_factory.mktemp("certificates")
    now = datetime.datetime.now(datetime.UTC)

    def make(name: str, issuer: tuple | None) -> tuple:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        signer_name, signer_key = issuer or (subject, key)
        loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(signer_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(issuer is None, None), critical=True)
            .add_extension(x509.SubjectAlternativeName([loopback]), critical=False)
            .sign(signer_key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(pem))
        private = key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / f"{name}.key").write_bytes(private)
        (folder / f"{name}.key").chmod(0o600)
        return subject, key

    authority = make("authority", None)
    make("server", authority)
    make("device", authority)
    make("stranger", None)
    return SimpleNamespace(
        **{name: str(folder / f"{name}.pem") for name in ("authority", "server", "device")},
        stranger=str(folder / "stranger.pem"),
        server_key=str(folder / "server.key"),
        device_key=str(folder / "device.key"),
    )
